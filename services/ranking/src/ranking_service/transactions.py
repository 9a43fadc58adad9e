"""The bodies of the store's transactions: how decisions, outcomes and unlearning change the sums.

Learning shares a lock that unlearning takes alone, so that nothing being learned escapes it. Decisions are locked in one order,
so that a decision and its outcomes, which arrive on two streams, find each other whichever commits first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final

from ranking_service.domain.counts import NOTHING, Count, Counts, Key, is_due, merged
from ranking_service.domain.learning import Decision, Item, ItemOutcome, Label, Learned, Outcome, change, label
from ranking_service.domain.snapshot import Snapshot, parse
from ranking_service.domain.specification import Attribution
from ranking_service.ports import Position
from servicekit import queries
from servicekit.partitions import Fenced
from servicekit.postgres import Connection

sql = queries.load("ranking_service")

ALL_CHANNELS: Final = "*"
HEARTBEAT_MS: Final = 3_600_000
"""A new version is built this often although nothing changed, so that an old one means that nobody builds."""

ItemKey = tuple[str, str]


async def learn_decisions(tx: Connection, decisions: Sequence[Decision], now_ms: int) -> None:
    """Open or close each decision that was not known, then learn from the outcomes that waited for it.

    Whoever unlearns waits for us, so barriers hold until we commit. Usually nothing is known of a decision, and nothing waits for it.
    """
    batch = {decision.id: decision for decision in decisions}
    wanted = [each for each in batch.values() if each.items]
    barriers = await sql.barriers(tx, subjects=sorted({each.subject_id for each in wanted})) if wanted else ()
    open_ = {each.id for each in wanted if not any(_stops(found, each) for found in barriers)}
    added = {row["decision_id"] for row in await sql.add_decisions(tx, **_opened(batch, open_, now_ms))}
    await _add_items(tx, [batch[name] for name in sorted(added & open_)])
    await _settle_known(tx, {name: each for name, each in batch.items() if name not in added}, open_)


def _opened(batch: Mapping[str, Decision], open_: AbstractSet[str], now_ms: int) -> dict[str, Any]:
    """The rows of decisions of which nothing is known, in the one order in which everybody locks them."""
    rows = [batch[name] for name in sorted(batch)]
    learnable = [each if each.id in open_ else None for each in rows]
    return {
        "decisions": [each.id for each in rows],
        "states": ["LEARNABLE" if each else "CLOSED" for each in learnable],
        "subjects": [each and each.subject_id for each in learnable],
        "channels": [each and each.channel for each in learnable],
        "arms": [each and each.arm for each in learnable],
        "versions": [each and each.snapshot_version for each in learnable],
        "known_ms": now_ms,
    }


async def _settle_known(tx: Connection, known: Mapping[str, Decision], open_: AbstractSet[str]) -> None:
    """Open or close those of these decisions that only outcomes knew so far."""
    if not known:
        return
    states = await sql.lock_decisions(tx, decisions=sorted(known))
    awaited = [row["decision_id"] for row in states if row["state"] == "AWAITED"]
    closed = [name for name in awaited if name not in open_]
    if closed:
        await sql.close_decisions(tx, decisions=closed)
        await sql.remove_outcomes(tx, decisions=closed)
    await _open(tx, [known[name] for name in awaited if name in open_])


async def learn_outcomes(tx: Connection, outcomes: Sequence[ItemOutcome], now_ms: int) -> None:
    """Keep what is new, and relabel the items it is about."""
    batch = {each.outcome.id: each for each in outcomes}
    await _awaited(tx, [(each.decision_id, each.subject_id, each.channel) for each in batch.values()], now_ms)
    added = await sql.add_outcomes(
        tx,
        outcomes=list(batch),
        decisions=[each.decision_id for each in batch.values()],
        actions=[each.action for each in batch.values()],
        kinds=[each.outcome.kind for each in batch.values()],
        times=[each.outcome.at_ms for each in batch.values()],
        replaced=[each.outcome.replaces for each in batch.values()],
    )
    await _relabel(tx, {(row["decision_id"], row["action"]) for row in added})


async def build(tx: Connection, now_ms: int, *, force: bool) -> Snapshot | None:
    """Move deltas into the sums, and write the next version when it is due. The first version is empty."""
    newest = await sql.newest_version(tx)
    if newest is None:
        return await _written(tx, Snapshot(version=1, as_of_ms=now_ms, counts={}))
    force = force or now_ms - newest["as_of_ms"] >= HEARTBEAT_MS
    if not force and not await sql.has_deltas(tx):
        return None
    await _add_up(tx)
    counts = await _state(tx)
    if not force and not is_due(await _published(tx), counts):
        return None
    return await _written(tx, Snapshot(version=newest["version"] + 1, as_of_ms=now_ms, counts=counts))


async def _published(tx: Connection) -> Counts:
    """The sums of the newest version."""
    row = await sql.newest_snapshot(tx)
    return parse(row["body"], row["digest"]).counts


async def _awaited(tx: Connection, noted: Iterable[tuple[str, str, str]], now_ms: int) -> list[str]:
    """Lock the decisions, in one order for everybody; those of which only outcomes are known, or nothing."""
    rows = sorted({decision: (decision, subject, channel) for decision, subject, channel in noted}.values())
    decisions = [row[0] for row in rows]
    await sql.note_decisions(
        tx, decisions=decisions, subjects=[row[1] for row in rows], channels=[row[2] for row in rows], known_ms=now_ms
    )
    states = await sql.lock_decisions(tx, decisions=decisions)
    return [row["decision_id"] for row in states if row["state"] == "AWAITED"]


def _stops(barrier: Any, decision: Decision) -> bool:
    """Whether a decision arrives too late to be learned from."""
    return (
        barrier["subject_id"] == decision.subject_id
        and barrier["channel"] in {ALL_CHANNELS, decision.channel}
        and (decision.at_ms <= barrier["until_ms"] or decision.ledger_index < barrier["ledger_index"])
    )


async def _open(tx: Connection, decisions: Sequence[Decision]) -> None:
    if not decisions:
        return
    ids = [each.id for each in decisions]
    await sql.open_decisions(
        tx,
        decisions=ids,
        subjects=[each.subject_id for each in decisions],
        channels=[each.channel for each in decisions],
        arms=[each.arm for each in decisions],
        versions=[each.snapshot_version for each in decisions],
    )
    items = await _add_items(tx, decisions)
    await sql.drop_strangers(tx, decisions=ids)
    await _relabel(tx, {(item.decision_id, item.action) for item in items})


async def _add_items(tx: Connection, decisions: Sequence[Decision]) -> Sequence[Item]:
    """Keep what was placed."""
    items = list(chain.from_iterable(each.items for each in decisions))
    if not items:
        return items
    await sql.add_items(
        tx,
        decisions=[item.decision_id for item in items],
        actions=[item.action for item in items],
        placements=[item.placement for item in items],
        slots=[item.slot for item in items],
        models=[item.model for item in items],
        contexts=[item.channel for item in items],
        kinds=[item.attribution.positive for item in items],
        windows=[item.attribution.window_ms for item in items],
    )
    return items


async def _relabel(tx: Connection, touched: set[ItemKey]) -> None:
    """Let each item add what its outcomes teach now, instead of what it added before."""
    if not touched:
        return
    keys = sorted(touched)
    names = {"decisions": [key[0] for key in keys], "actions": [key[1] for key in keys]}
    known: defaultdict[ItemKey, list[Outcome]] = defaultdict(list)
    for row in await sql.outcomes_of(tx, **names):
        known[row["decision_id"], row["action"]].append(
            Outcome(row["outcome_id"], row["kind"], row["at_ms"], row["replaces"])
        )
    changed = []
    for row in await sql.items(tx, **names):
        after = label(known[row["decision_id"], row["action"]], Attribution(row["positive_kind"], row["window_ms"]))
        if after != _label(row):
            changed.append((row, after))
    if changed:
        await _write_labels(tx, changed)
    await _add_deltas(tx, chain.from_iterable(change(_key(row), _label(row), after) for row, after in changed))


async def _write_labels(tx: Connection, changed: Sequence[tuple[Any, Label | None]]) -> None:
    await sql.relabel(
        tx,
        decisions=[row["decision_id"] for row, _ in changed],
        actions=[row["action"] for row, _ in changed],
        weeks=[after.week if after else None for _, after in changed],
        labels=[after.positive if after else None for _, after in changed],
    )


async def _add_deltas(tx: Connection, parts: Iterable[Learned]) -> None:
    """One summed delta per touched key and week."""
    weeks: defaultdict[int, list[tuple[Key, Count]]] = defaultdict(list)
    for part in parts:
        weeks[part.week].append((part.key, part.sums))
    rows = [(*key, week, *count) for week, found in weeks.items() for key, count in merged(found).items()]
    if rows:
        await sql.add_deltas(tx, **_columns(rows))


async def raise_barrier(
    tx: Connection, subject_id: str, channel: str, *, until_ms: int, ledger_index: int, now_ms: int
) -> None:
    """Let nothing older be learned of a subject."""
    await sql.raise_barrier(
        tx, subject_id=subject_id, channel=channel, until_ms=until_ms, ledger_index=ledger_index, noted_ms=now_ms
    )


async def remove(tx: Connection, subject_id: str, channels: list[str] | None) -> int:
    """Subtract what these decisions taught, and forget them."""
    rows = await sql.decisions_of(tx, subject_id=subject_id, channels=channels)
    decisions = [row["decision_id"] for row in rows]
    items = await sql.remove_items(tx, decisions=decisions)
    outcomes = await sql.remove_outcomes(tx, decisions=decisions)
    await sql.close_decisions(tx, decisions=decisions)
    await _add_deltas(tx, chain.from_iterable(change(_key(row), _label(row), None) for row in items))
    return len(items) + int(outcomes.rpartition(" ")[2])


async def move(tx: Connection, at: Position | None) -> None:
    """The partition is folded up to here; raises Fenced when a newer lease was at work."""
    if at is None:
        return
    moved = await sql.move_position(tx, stream=at.stream, partition=at.partition, seq=at.sequence, epoch=at.epoch)
    if moved != "INSERT 0 1":
        raise Fenced


async def move_all(tx: Connection, places: Sequence[Position]) -> None:
    """These partitions are folded up to there, locked in one order; raises Fenced when a newer lease was at work in any."""
    ordered = sorted(places, key=lambda at: at.partition)
    moved = await sql.move_positions(
        tx,
        streams=[at.stream for at in ordered],
        partitions=[at.partition for at in ordered],
        seqs=[at.sequence for at in ordered],
        epochs=[at.epoch for at in ordered],
    )
    if len(moved) < len(ordered):
        raise Fenced


async def _add_up(tx: Connection) -> None:
    taken = await sql.take_deltas(tx)
    if taken:
        rows = [
            tuple(row[name] for name in ("model", "action", "context", "week", "trials", "positives")) for row in taken
        ]
        await sql.add_to_state(tx, **_columns(rows))
        await sql.drop_empty_state(tx)


async def _state(tx: Connection) -> Counts:
    rows = await sql.state(tx)
    found = ((_key(row), Count(row["trials"], row["positives"])) for row in rows)
    return {key: count for key, count in found if count != NOTHING}


async def _written(tx: Connection, snapshot: Snapshot) -> Snapshot:
    await sql.add_snapshot(
        tx, version=snapshot.version, digest=snapshot.digest, as_of_ms=snapshot.as_of_ms, body=snapshot.body
    )
    return snapshot


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    names = ("models", "actions", "contexts", "weeks", "trials", "positives")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _key(row: Any) -> Key:
    return Key(row["model"], row["action"], row["context"])


def _label(row: Any) -> Label | None:
    return None if row["week"] is None else Label(row["week"], row["label"])
