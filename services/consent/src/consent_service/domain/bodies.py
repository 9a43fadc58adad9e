"""The two bodies of an entry and the entry again. The public one can be shown without saying who; the private one says the rest.

Public: kind, scope, explicit, notice with hash, regimes, event_time, valid_from, valid_to, effective, seq, how a signal was answered. Private: subject, actor,
evidence, request. Entries of registry and ledger have one open body. Absent fields are omitted, sets are sorted, times are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

from consent_service.codec import read_scope, read_statement, write_scope, write_statement
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.canonical import flag, joined, number, parsed, text, unique, whole
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry
from consent_service.domain.fold import Link
from consent_service.domain.leaf import LeafClass
from consent_service.domain.words import ActorType, Kind

Json = Mapping[str, Any]
Parts = dict[str, str]

PUBLIC_NOTES: Final = frozenset({"display_status"})
"""Notes of an entry that say nothing about anybody's device, words or time."""

_CLASSES: Final[Mapping[str, LeafClass]] = {
    "REGISTRY": LeafClass.REGISTRY,
    "LEDGER": LeafClass.LEDGER,
    "ERASURE": LeafClass.ERASURE,
}
_NAMES: Final[Mapping[type, tuple[str, ...]]] = {
    record: tuple(sorted(field.name for field in fields(record))) for record in (Actor, Evidence)
}


@dataclass(frozen=True, slots=True)
class Place:
    """What the log itself says of an entry."""

    index: int
    epoch: int
    recorded_us: int


def class_of(kind: str) -> LeafClass:
    """The class of an entry's leaf; a kind that speaks of a person is SUBJECT."""
    return _CLASSES.get(kind, LeafClass.SUBJECT)


def public_body(entry: Entry, seq: int) -> bytes:
    """The public body of the subject's entry number `seq`."""
    if entry.link is None and not entry.note:
        return _plain(entry, seq).encode()
    parts = _common(entry)
    parts["seq"] = number(seq)
    if entry.regimes:
        parts["regimes"] = _texts(entry.regimes)
    if entry.statement is not None:
        parts |= _choice(entry.statement)
    if entry.link is not None:
        parts["link"] = _open_side(entry.link)
    shown = {name: value for name, value in entry.note.items() if name in PUBLIC_NOTES} if entry.note else None
    if shown:
        parts["note"] = _note(shown)
    return joined(parts).encode()


def _plain(entry: Entry, seq: int) -> str:
    """A choice, or whatever has no more fields: put together in the order of the names."""
    statement = entry.statement
    explicit = notice = scope = window = ""
    if statement is not None:
        explicit = f',"explicit":{flag(statement.explicit)}'
        notice = f',"notice":{_notice(statement.notice)}' if statement.notice is not None else ""
        scope = f',"scope":{_scope(statement.scope)}'
        until = f',"valid_to":{number(statement.to_us)}' if statement.to_us is not None else ""
        window = f',"valid_from":{number(statement.from_us)}{until}'
    reason = f',"reason":{_word(entry.reason)}' if entry.reason else ""
    regimes = f',"regimes":{_texts(entry.regimes)}' if entry.regimes else ""
    return (
        f'{{"effective":{flag(entry.effective)},"event_time":{number(entry.event_us)}{explicit},"kind":{_word(entry.kind)}'
        f'{notice}{reason}{regimes}{scope},"seq":{number(seq)}{window}}}'
    )


def private_body(entry: Entry, request_id: str | None = None) -> bytes:
    """The private body of a subject's entry; the first of a request names it."""
    request_id = entry.request_id if request_id is None else request_id
    parts = {"subject": text(entry.subject or "")}
    if entry.actor is not None:
        parts["actor"] = _record(entry.actor)
    if entry.evidence is not None:
        parts["evidence"] = _record(entry.evidence)
    if request_id is not None:
        parts["request_id"] = text(request_id)
    if entry.link is not None:
        parts["link"] = _closed_side(entry.link)
    if entry.sealed:
        parts["sealed"] = unique(entry.sealed)
    if entry.note:
        parts["note"] = _note(entry.note)
    return joined(parts).encode()


def open_body(entry: Entry, document: str | None = None) -> bytes:
    """The one body of an entry of registry or ledger; a registry's carries its document, so that an export vouches for each notice."""
    parts = _common(entry)
    if entry.note:
        parts["note"] = _note(entry.note)
    if document is not None:
        parts["document"] = text(document)
    return joined(parts).encode()


def read_entry(place: Place, pub: bytes, priv: bytes | None = None) -> Entry:
    """The entry again; without its private body whatever that says is absent. Invalid when a body is not canonical."""
    return entry_of(place, parsed(pub), parsed(priv) if priv is not None else {})


def entry_of(place: Place, said: Json, private: Json) -> Entry:
    """The entry that the values of its bodies say; of a private one that is not there, nothing."""
    kind = Kind(said["kind"])
    return Entry(
        index=place.index,
        epoch=place.epoch,
        kind=kind,
        recorded_us=place.recorded_us,
        event_us=said["event_time"],
        subject=private.get("subject"),
        effective=said["effective"],
        reason=said.get("reason", ""),
        statement=_read_statement(place, kind, said) if "scope" in said else None,
        link=_read_link(said["link"], private.get("link", {})) if "link" in said else None,
        actor=_read_actor(private["actor"]) if "actor" in private else None,
        evidence=Evidence(**_tuples(private["evidence"])) if "evidence" in private else None,
        regimes=tuple(said.get("regimes", ())),
        request_id=private.get("request_id"),
        note={**said.get("note", {}), **private.get("note", {})},
        sealed=frozenset(private.get("sealed", ())),
    )


def _common(entry: Entry) -> Parts:
    parts = {
        "kind": _word(entry.kind.value),
        "event_time": number(entry.event_us),
        "effective": flag(entry.effective),
    }
    if entry.reason:
        parts["reason"] = _word(entry.reason)
    return parts


def _choice(statement: Statement) -> Parts:
    parts = {
        "scope": _scope(statement.scope),
        "explicit": flag(statement.explicit),
        "valid_from": number(statement.from_us),
    }
    if statement.to_us is not None:
        parts["valid_to"] = number(statement.to_us)
    if statement.notice is not None:
        parts["notice"] = _notice(statement.notice)
    return parts


@lru_cache(maxsize=4096)
def _scope(scope: Scope) -> str:
    return whole(write_scope(scope))


@lru_cache(maxsize=1024)
def _notice(notice: NoticeRef) -> str:
    return whole(notice._asdict())


@lru_cache(maxsize=256)
def _texts(values: tuple[str, ...]) -> str:
    """A list whose order the request gave."""
    return whole(list(values))


@lru_cache(maxsize=256)
def _word(value: str) -> str:
    return text(value)


def _note(note: Mapping[str, str]) -> str:
    return whole(dict(note))


def _open_side(link: Link) -> str:
    statements = [write_statement(statement) for statement in link.statements]
    return whole({"side": link.side, "link": link.link, "statements": statements})


def _closed_side(link: Link) -> str:
    sealed = {"sealed": unique(link.sealed)} if link.sealed else {}
    return joined({"other": text(link.other), "members": unique(link.members), **sealed})


def _record(value: Actor | Evidence) -> str:
    """Whatever texts it holds; one that is empty is absent. They say who, so no cache keeps them."""
    found = [(name, getattr(value, name)) for name in _NAMES[type(value)]]
    parts = [f'"{name}":{whole(list(held)) if type(held) is tuple else text(held)}' for name, held in found if held]
    return "{" + ",".join(parts) + "}"


def _read_statement(place: Place, kind: Kind, said: Json) -> Statement:
    notice = said.get("notice")
    return Statement(
        index=place.index,
        kind=kind,
        scope=read_scope(said["scope"]),
        event_us=said["event_time"],
        recorded_us=place.recorded_us,
        from_us=said["valid_from"],
        to_us=said.get("valid_to"),
        explicit=said["explicit"],
        notice=NoticeRef(**notice) if notice else None,
        effective=said["effective"],
    )


def _read_link(said: Json, private: Json) -> Link:
    return Link(
        side=said["side"],
        other=private.get("other", ""),
        link=said["link"],
        members=frozenset(private.get("members", ())),
        statements=tuple(map(read_statement, said["statements"])),
        sealed=frozenset(private.get("sealed", ())),
    )


def _read_actor(said: Json) -> Actor:
    return Actor(**{**said, "type": ActorType(said["type"])})


def _tuples(said: Json) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
