"""Entries, states and results as the canonical JSON in which they are stored, and back. Absent fields are omitted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry
from consent_service.domain.fold import Link, Statements
from consent_service.domain.position import Position
from consent_service.domain.words import ActorType, Kind
from consent_service.ports import Result, Written
from servicekit.basis import canonical

Json = dict[str, Any]


def _present(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value not in (None, "", (), [], {}, False)}


def write_scope(scope: Scope) -> Json:
    """Sets sorted; an absent set of a denial says any."""
    return _present(
        purpose=scope.purpose,
        channels=sorted(scope.channels),
        categories=sorted(scope.categories),
        recipients=sorted(scope.recipients),
    )


def read_scope(value: Mapping[str, Any]) -> Scope:
    """As written."""
    sets = (frozenset(value.get(name, ())) for name in ("channels", "categories", "recipients"))
    return Scope(value["purpose"], *sets)


def write_statement(statement: Statement) -> Json:
    """One statement."""
    return {
        "index": statement.index,
        "kind": statement.kind.value,
        "scope": write_scope(statement.scope),
        "event": statement.event_us,
        "recorded": statement.recorded_us,
        "from": statement.from_us,
        "effective": statement.effective,
        **({"to": statement.to_us} if statement.to_us is not None else {}),
        **_present(
            explicit=statement.explicit,
            notice=list(statement.notice) if statement.notice else None,
            links=list(statement.links),
            exceptions=[write_scope(scope) for scope in statement.exceptions],
        ),
    }


def read_statement(value: Mapping[str, Any]) -> Statement:
    """As written."""
    notice = value.get("notice")
    return Statement(
        index=value["index"],
        kind=Kind(value["kind"]),
        scope=read_scope(value["scope"]),
        event_us=value["event"],
        recorded_us=value["recorded"],
        from_us=value["from"],
        to_us=value.get("to"),
        explicit=value.get("explicit", False),
        notice=NoticeRef(*notice) if notice else None,
        effective=value["effective"],
        links=tuple(value.get("links", ())),
        exceptions=tuple(map(read_scope, value.get("exceptions", ()))),
    )


def write_statements(statements: Sequence[Statement]) -> str:
    """A subject's statements, in index order."""
    return canonical([write_statement(statement) for statement in statements]).decode()


@lru_cache(maxsize=1024)
def read_statements(text: str) -> Statements:
    """As written. The same text is the same statements, so that a session's checks parse them once; each check reads the text."""
    return tuple(map(read_statement, json.loads(text)))


def write_body(entry: Entry) -> str:
    """What an entry says beyond its columns."""
    link, actor, evidence = entry.link, entry.actor, entry.evidence
    return canonical(
        _present(
            statement=write_statement(entry.statement) if entry.statement else None,
            link=_write_link(link) if link else None,
            actor=_present(
                type=actor.type.value, id=actor.id, auth_level=actor.auth_level, on_behalf_ref=actor.on_behalf_ref
            )
            if actor
            else None,
            evidence=_write_evidence(evidence) if evidence else None,
            regimes=list(entry.regimes),
            note=dict(entry.note),
            sealed=sorted(entry.sealed),
        )
    ).decode()


def _write_evidence(evidence: Evidence) -> Json:
    return _present(
        method=evidence.method,
        ui_variant=evidence.ui_variant,
        locale=evidence.locale,
        session_ref=evidence.session_ref,
        dropped=list(evidence.dropped),
    )


def _write_link(link: Link) -> Json:
    return {
        "side": link.side,
        "other": link.other,
        "link": link.link,
        "members": sorted(link.members),
        "statements": [write_statement(statement) for statement in link.statements],
        **_present(sealed=sorted(link.sealed)),
    }


def read_entry(row: Mapping[str, Any]) -> Entry:
    """An entry from its row: the columns, and `body` as written."""
    body = json.loads(row["body"])
    link, actor, evidence = body.get("link"), body.get("actor"), body.get("evidence")
    return Entry(
        index=row["idx"],
        epoch=row["epoch"],
        kind=Kind(row["kind"]),
        recorded_us=row["recorded_us"],
        event_us=row["event_us"],
        subject=row["subject_id"],
        effective=row["effective"],
        reason=row["reason"],
        statement=read_statement(body["statement"]) if "statement" in body else None,
        link=_read_link(link) if link else None,
        actor=Actor(**{**actor, "type": ActorType(actor["type"])}) if actor else None,
        evidence=Evidence(**{**evidence, "dropped": tuple(evidence.get("dropped", ()))}) if evidence else None,
        regimes=tuple(body.get("regimes", ())),
        request_id=row["request_id"],
        note=body.get("note", {}),
        sealed=frozenset(body.get("sealed", ())),
    )


def _read_link(value: Mapping[str, Any]) -> Link:
    return Link(
        side=value["side"],
        other=value["other"],
        link=value["link"],
        members=frozenset(value["members"]),
        statements=tuple(map(read_statement, value["statements"])),
        sealed=frozenset(value.get("sealed", ())),
    )


def write_result(result: Result) -> str:
    """What a repeat of the request is answered with."""
    return json.dumps({**asdict(replace(result, carried=())), "carried": list(map(write_statement, result.carried))})


def read_result(text: str) -> Result:
    """As written; what earlier versions did not write is absent."""
    value = json.loads(text)
    return Result(
        position=Position(**value["position"]),
        recorded_us=value["recorded_us"],
        entries=tuple(Written(**entry) for entry in value["entries"]),
        subject=value["subject"],
        denied=tuple(value["denied"]),
        digest=value["digest"],
        display_status=value.get("display_status", ""),
        carried=tuple(map(read_statement, value.get("carried", ()))),
    )
