"""Rows as values, and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from consent_service import codec
from consent_service.domain import bodies, commitments
from consent_service.domain.acceptance import Actor
from consent_service.domain.bodies import Place
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import Sealed, SubjectKey
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import SubjectState
from consent_service.domain.words import ActorType, Kind, Status
from consent_service.ports import NoticeBytes, Published
from servicekit import queries
from servicekit.errors import Unavailable

Row = Mapping[str, Any]

sql = queries.load("consent_service")

OPENED: Final = frozenset({Kind.LINKED.value, Kind.UNLINKED.value, Kind.SEALED.value, Kind.UNSEALED.value})
"""The kinds whose private bodies say what a fold needs: which subjects they are about."""


def unavailable() -> Unavailable:
    """The one answer when the primary gives none."""
    return Unavailable("The consent ledger does not answer.", reason="CONSENT_UNAVAILABLE")


@asynccontextmanager
async def primary() -> AsyncIterator[None]:
    """Whatever keeps the primary from answering, the caller hears that consent is unavailable."""
    try:
        yield
    except Unavailable as away:
        raise unavailable() from away


def head_of(row: Row | None) -> Head:
    """The head; a ledger without an entry does not answer yet."""
    if row is None or not row["size"]:
        raise unavailable()
    return bare_head(row)


def bare_head(row: Row) -> Head:
    """The head, also of a ledger without an entry."""
    return Head(
        ledger=row["ledger_id"],
        epoch=row["epoch"],
        size=row["size"],
        recorded_us=row["recorded_us"],
        registry_index=row["registry_idx"],
        registry_digest=row["registry_digest"],
    )


def state_of(row: Row) -> SubjectState:
    """A subject's state."""
    return SubjectState(
        subject=row["subject_id"],
        members=frozenset(row["members"]),
        survivor=row["survivor"],
        link=row["link"],
        statements=codec.read_statements(row["statements"]),
        last_index=row["last_idx"],
        sealed=frozenset(row["sealed"]),
        erased=row["status"] == Status.ERASED,
    )


def text_array(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL writes one: an array of arrays has but one length for all."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in sorted(values))
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def needs_key(row: Row, *, whole: bool) -> bool:
    """Whether the private body has to be opened."""
    return row["sealed"] is not None and (whole or row["kind"] in OPENED)


def entry_of(row: Row, ledger: bytes, key: SubjectKey | None) -> Entry:
    """An entry; without the key what its private body says is absent, but for the columns."""
    place = Place(row["idx"], row["epoch"], row["recorded_us"])
    if key is not None and row["sealed"] is not None:
        opened = commitments.unseal(key, ledger, row["event_id"], Sealed(row["nonce"], row["sealed"]))
        return bodies.entry_of(place, json.loads(row["pub"]), json.loads(opened))
    entry = bodies.entry_of(place, json.loads(row["pub"]), {})
    actor = Actor(ActorType(row["actor_type"])) if row["actor_type"] else None
    return replace(entry, subject=row["subject_id"], actor=actor, request_id=row["request_id"])


def published_of(row: Row) -> Published:
    """A registry."""
    return Published(index=row["idx"], epoch=row["epoch"], digest=row["digest"], document=bytes(row["document"]))


def notice_of(row: Row | None) -> NoticeBytes | None:
    """A notice's bytes."""
    if row is None:
        return None
    return NoticeBytes(NoticeRef(row["id"], row["version"], row["locale"], row["sha256"]), bytes(row["bytes"]))
