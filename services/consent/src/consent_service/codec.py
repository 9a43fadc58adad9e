"""Scopes and statements as the canonical JSON in which they are stored, and back. Absent fields are omitted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.fold import Statements
from consent_service.domain.words import Kind
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
