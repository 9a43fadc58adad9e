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
_KINDS = {kind.value: kind for kind in Kind}


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
    """As written. Scopes are few and values, so each is made once."""
    channels, categories, recipients = (
        value.get("channels", ()),
        value.get("categories", ()),
        value.get("recipients", ()),
    )
    return _scope(value["purpose"], tuple(channels), tuple(categories), tuple(recipients))


@lru_cache(maxsize=4096)
def _scope(purpose: str, channels: tuple[str, ...], categories: tuple[str, ...], recipients: tuple[str, ...]) -> Scope:
    return Scope(purpose, frozenset(channels), frozenset(categories), frozenset(recipients))


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
    notice, exceptions = value.get("notice"), value.get("exceptions")
    return Statement(
        value["index"],
        _KINDS[value["kind"]],
        read_scope(value["scope"]),
        value["event"],
        value["recorded"],
        value["from"],
        value.get("to"),
        value.get("explicit", False),
        _notice(*notice) if notice else None,
        value["effective"],
        tuple(value.get("links", ())),
        tuple(map(read_scope, exceptions)) if exceptions else (),
    )


@lru_cache(maxsize=1024)
def _notice(id_: str, version: int, locale: str, sha256: str = "") -> NoticeRef:
    return NoticeRef(id_, version, locale, sha256)


def write_statements(statements: Sequence[Statement]) -> str:
    """A subject's statements, in index order."""
    return f"[{','.join(map(_text, statements))}]"


def _text(statement: Statement) -> str:
    """A statement in canonical form. Each choice writes its subject's statements anew, so the common ones are put together from parts."""
    if statement.links or statement.exceptions:
        return canonical(write_statement(statement)).decode()
    effective = "true" if statement.effective else "false"
    explicit = ',"explicit":true' if statement.explicit else ""
    notice = _notice_text(statement.notice) if statement.notice is not None else ""
    until = f',"to":{statement.to_us}' if statement.to_us is not None else ""
    return (
        f'{{"effective":{effective},"event":{statement.event_us}{explicit},"from":{statement.from_us},"index":{statement.index}'
        f',"kind":"{statement.kind}"{notice},"recorded":{statement.recorded_us},"scope":{_scope_text(statement.scope)}{until}}}'
    )


@lru_cache(maxsize=4096)
def _scope_text(scope: Scope) -> str:
    return canonical(write_scope(scope)).decode()


@lru_cache(maxsize=1024)
def _notice_text(notice: NoticeRef) -> str:
    return f',"notice":{canonical(list(notice)).decode()}'


@lru_cache(maxsize=1024)
def read_statements(text: str) -> Statements:
    """As written. The same text is the same statements, so that a session's checks parse them once; each check reads the text."""
    return tuple(map(read_statement, json.loads(text)))
