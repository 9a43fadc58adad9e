"""The fold's states and the signals in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_ENDED
from automaton.sequencing import AHEAD_MS
from servicekit import outbox, postgres, queries
from servicekit.partitions import Fenced
from servicekit.postgres import Connection, Pool
from servicekit.streams import subject
from signals_service import translation
from signals_service.domain.showing import StoredSignal
from signals_service.ports import (
    Everything,
    Looked,
    NewSignal,
    Progress,
    Running,
    SessionRow,
    SessionState,
    Signals,
    States,
    Step,
)

sql = queries.load("signals_service")

KNOWN_FOR_S: Final = 0.25
"""How old an answer about all partitions may be."""


class PostgresStates:
    """What the fold keeps."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def position(self, pp: int) -> int:
        """The stream sequence that the partition stands at."""
        async with postgres.connection(self._pool) as connection:
            return await sql.position_of(connection, pp=pp) or 0

    async def sessions(self, pp: int) -> list[SessionState]:
        """Every live session of the partition."""
        async with postgres.connection(self._pool) as connection:
            rows = [row async for row in sql.sessions_of_partition(connection, pp=pp)]
        return [SessionState(_session(row, pp), row["state"]) for row in rows]

    async def commit(self, step: Step) -> frozenset[str]:
        """One transaction; the ids of detections that are new. Raises Fenced when a newer owner has committed."""
        async with postgres.transaction(self._pool) as connection:
            moved = await sql.commit_position(
                connection, pp=step.pp, epoch=step.epoch, position=step.position, stream_ms=step.stream_ms
            )
            if moved is None:
                raise Fenced
            await _save(connection, step)
            new = await _add(connection, step)
            if step.erased:
                await sql.erase_sessions(connection, sessions=list(step.erased))
            for (at, reason), over in groupby(step.ended, key=lambda one: (one.at, one.reason)):
                await _end(connection, [one.id for one in over], at, reason, step.now_ms)
        return new

    async def say_owned(self, held: Mapping[int, int]) -> None:
        """The owner of these partitions (and epochs) is alive."""
        if held:
            async with postgres.connection(self._pool) as connection:
                await sql.say_owned(connection, pps=list(held), epochs=list(held.values()))


class PostgresSignals:
    """What readers and withdrawals ask."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._everything: tuple[Everything | None, float] = (None, 0.0)

    async def look(self, subjects: Sequence[str], session: str, partitions: Sequence[int], now_ms: int) -> Looked:
        """What is active, and how far the fold has come: in one statement per subject, so that progress never promises too much."""
        signals: list[StoredSignal] = []
        progress: dict[int, Progress] = {}
        async with postgres.connection(self._pool) as connection:
            for subject in subjects:
                rows = await sql.look(
                    connection,
                    pps=partitions,
                    subject=subject,
                    session=session,
                    latest_ms=now_ms + AHEAD_MS,
                    now_ms=now_ms,
                )
                for row in rows:
                    if row["id"] is not None:
                        signals.append(_signal(row))
                    else:
                        # What an earlier statement said is older: it counts for the signals that came with it.
                        progress.setdefault(row["pp"], Progress(row["position"], row["silent_ms"]))
        return Looked(signals, progress)

    async def everything(self) -> Everything:
        """All partitions together. Asked at most four times a second, because it rarely matters; its age counts as silence."""
        loop = asyncio.get_running_loop()
        known, at = self._everything
        if known is None or loop.time() - at > KNOWN_FOR_S:
            at = loop.time()
            async with postgres.connection(self._pool) as connection:
                row = await sql.everything(connection)
            known = Everything(row["partitions"], row["silent_ms"] or 0)
            self._everything = known, at
        return known._replace(silent_ms=known.silent_ms + int((loop.time() - at) * 1000))

    async def running(self, subjects: Sequence[str], now_ms: int) -> list[Running]:
        """Everything that has not expired, hidden or not."""
        async with postgres.connection(self._pool) as connection:
            found = sql.running_signals(connection, subjects=list(subjects), now_ms=now_ms)
            return [
                Running(row["id"], row["purpose"], frozenset(row["categories"]), row["channel"]) async for row in found
            ]

    async def end(self, ids: Sequence[str], at_ms: int, reason: str) -> None:
        """End these unless they are over, and publish it."""
        if ids:
            async with postgres.transaction(self._pool) as connection:
                await _end(connection, ids, at_ms, reason, at_ms)

    async def sessions_of(self, subjects: Sequence[str]) -> list[SessionRow]:
        """Live sessions of subjects."""
        async with postgres.connection(self._pool) as connection:
            found = sql.sessions_of(connection, subjects=list(subjects))
            return [_session(row, row["pp"]) async for row in found]

    async def channels_of(self, subject: str) -> list[str]:
        """Channels on which a subject has a session or a signal."""
        async with postgres.connection(self._pool) as connection:
            return [row["channel"] async for row in sql.channels_of(connection, subject=subject)]

    async def subject_of(self, session: str) -> str | None:
        """Whose a session is."""
        async with postgres.connection(self._pool) as connection:
            found: str | None = await sql.subject_of(connection, session=session)
            return found

    async def progress(self, partitions: Sequence[int]) -> Mapping[int, Progress]:
        """Where these partitions stand; one that was never owned is absent."""
        async with postgres.connection(self._pool) as connection:
            rows = [row async for row in sql.progress(connection, pps=list(partitions))]
        return {row["pp"]: Progress(row["position"], row["silent_ms"]) for row in rows}

    async def forgotten_before(self, request_id: str) -> int | None:
        """The answer to a request that was obeyed before."""
        async with postgres.connection(self._pool) as connection:
            found: int | None = await sql.forgotten_before(connection, request_id=request_id)
            return found

    async def forget(self, request_id: str, subject: str) -> int:
        """Delete what is about a subject; the number of rows. Idempotent by request_id."""
        async with postgres.transaction(self._pool) as connection:
            return int(await sql.forget_subject(connection, request_id=request_id, subject=subject))


async def _save(connection: Connection, step: Step) -> None:
    if step.removed:
        await sql.remove_sessions(connection, sessions=list(step.removed))
    if step.saved:
        rows = [one.row for one in step.saved]
        await sql.save_sessions(
            connection,
            sessions=[row.session for row in rows],
            pp=step.pp,
            visitors=[row.visitor for row in rows],
            subjects=[row.subject for row in rows],
            channels=[row.channel for row in rows],
            states=[one.state for one in step.saved],
            changed_ms=step.now_ms,
        )


async def _add(connection: Connection, step: Step) -> frozenset[str]:
    """Store detections; what is new is remembered and, unless it is shadow, published."""
    if not step.detected:
        return frozenset()
    records = [_record(one) for one in step.detected]
    new = frozenset([row["id"] async for row in sql.add_signals(connection, signals=records)])
    ids = [one.signal.id for one in step.detected if one.signal.id in new]
    await sql.add_changes(connection, ids=ids, revisions=[0] * len(ids), change="detected", at=step.now_ms, reason=None)
    for one in step.detected:
        if one.signal.id in new and not one.shadow:
            fact = translation.signal_changed(
                one.signal, SIGNAL_CHANGE_DETECTED, reason="", at_ms=one.signal.at, now_ms=step.now_ms
            )
            await outbox.add(connection, fact, subject("signal", fact.key))
    return new


async def _end(connection: Connection, ids: Sequence[str], at_ms: int, reason: str, now_ms: int) -> None:
    rows = [row async for row in sql.end_signals(connection, ids=list(ids), at=at_ms, reason=reason)]
    await sql.add_changes(
        connection,
        ids=[row["id"] for row in rows],
        revisions=[row["revision"] for row in rows],
        change="ended",
        at=at_ms,
        reason=reason,
    )
    for row in rows:
        if not row["shadow"]:
            fact = translation.signal_changed(
                _signal(row), SIGNAL_CHANGE_ENDED, reason=reason, at_ms=at_ms, now_ms=now_ms
            )
            await outbox.add(connection, fact, subject("signal", fact.key))


_COLUMNS = (
    "id", "revision", "definition", "version", "hash", "kind", "strength", "warrants", "internal", "purpose", "session",
    "subject", "fields", "count", "first_at", "at", "expires_at", "ledger_index", "bundle",
)  # fmt: skip


def _record(new: NewSignal) -> dict[str, Any]:
    """The row of a detection, as JSON."""
    signal = new.signal
    return {
        **{name: getattr(signal, name) for name in _COLUMNS},
        "categories": list(signal.categories),
        "evidence": list(signal.evidence),
        "per": [list(pair) for pair in signal.per],
        "pp": new.pp,
        "channel": new.channel,
        "shadow": new.shadow,
        "known_at": new.known_at,
    }


def _signal(row: Any) -> StoredSignal:
    return StoredSignal(
        **{name: row[name] for name in _COLUMNS},
        categories=tuple(row["categories"]),
        evidence=tuple(row["evidence"]),
        per=[(name, value) for name, value in row["per"]],
    )


def _session(row: Any, pp: int) -> SessionRow:
    return SessionRow(row["session"], pp, row["visitor"], row["subject"], row["channel"])


_states: type[States] = PostgresStates
_signals: type[Signals] = PostgresSignals
