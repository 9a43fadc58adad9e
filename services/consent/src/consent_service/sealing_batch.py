"""Sealing a batch: what was planned is committed to, hashed and put into the tree. Pure: keys, time and randomness are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from consent_service.batching import Chain, Outcome, Tip
from consent_service.commands import Command
from consent_service.domain import commitments
from consent_service.domain.bodies import class_of, open_body, private_body, public_body
from consent_service.domain.commitments import EVENT_ID_SIZE, NONCE_SIZE, Stamp, SubjectKey
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import SubjectState
from consent_service.domain.leaf import LeafClass
from consent_service.domain.position import Position
from consent_service.planning import Draft
from consent_service.ports import NoticeBytes, Opened, Published, Request, Result, Written
from tlog import CompactRange, TileId, extend_tiles, leaf_hash, right_edge

Random = Callable[[int], bytes]


class EventRow(NamedTuple):
    """A row of `event`."""

    idx: int
    of: int
    kind: str
    event_id: bytes
    subject_id: str | None
    subject_seq: int | None
    purpose: str | None
    notice: str | None
    regimes: tuple[str, ...]
    actor_type: str | None
    effective: bool
    reason: str
    event_us: int
    recorded_us: int
    valid_to_us: int | None
    request_id: str | None
    request_hash: bytes | None
    request_entries: int | None
    epoch: int
    pub: str
    nonce: bytes | None = None
    sealed: bytes | None = None


EVENT_COLUMNS: Final = tuple("class" if name == "of" else name for name in EventRow._fields)


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that is stored together, and where the log ends with it. `written` has each draft's entries, by command."""

    base: Head
    tip: Tip
    leaves: Sequence[tuple[int, bytes]]
    events: Sequence[EventRow]
    states: Sequence[tuple[SubjectState, Chain]]
    rerooted: Sequence[tuple[str, frozenset[str]]]
    tiles: Mapping[TileId, bytes]
    registries: Sequence[Published]
    notices: Sequence[NoticeBytes]
    written: Mapping[int, Result]


def seal(
    tip: Tip,
    commands: Sequence[Command],
    outcomes: Sequence[Outcome],
    chains: Mapping[str, Chain],
    keys: Mapping[str, SubjectKey],
    *,
    now_us: int,
    random: Random,
) -> Batch:
    """The rows of all that was planned, and the tip after it."""
    drafts = [(n, outcome) for n, outcome in enumerate(outcomes) if isinstance(outcome, Draft)]
    sealer = _Sealer(tip, chains, keys, now_us, random)
    written = {number: sealer.add(draft, commands[number].request) for number, draft in drafts}
    tree, tiles, edge = _grown(tip, sealer.hashes)
    published = [draft for _, draft in drafts if draft.registry is not None]
    last = published[-1] if published else None
    head = Head(
        tip.head.ledger,
        tip.head.epoch,
        tip.head.size + len(sealer.leaves),
        now_us if sealer.leaves else tip.head.recorded_us,
        last.registry.index if last and last.registry else tip.head.registry_index,
        last.registry.digest if last and last.registry else tip.head.registry_digest,
    )
    return Batch(
        base=tip.head,
        tip=Tip(head, tree, edge, (last.in_force if last else None) or tip.registry),
        leaves=sealer.leaves,
        events=sealer.events,
        states=[(state, sealer.chains[state.subject]) for state in _last_states(drafts)],
        rerooted=[rerooted for _, draft in drafts for rerooted in draft.write.rerooted],
        tiles=tiles,
        registries=[draft.registry for draft in published if draft.registry is not None],
        notices=[notice for draft in published for notice in draft.notices],
        written=written,
    )


def _grown(tip: Tip, hashes: Sequence[bytes]) -> tuple[CompactRange, Mapping[TileId, bytes], Mapping[TileId, bytes]]:
    size = tip.tree.size
    tiles = extend_tiles(size, tip.edge, hashes)
    edge = {**tip.edge, **tiles}
    return tip.tree.copy().extend(hashes), tiles, {tile: edge[tile] for tile in right_edge(size + len(hashes))}


def _last_states(drafts: Iterable[tuple[int, Draft]]) -> Iterable[SubjectState]:
    return {state.subject: state for _, draft in drafts for state in draft.write.states}.values()


class _Sealer:
    """Rows, leaves and chains as they grow."""

    def __init__(
        self, tip: Tip, chains: Mapping[str, Chain], keys: Mapping[str, SubjectKey], now_us: int, random: Random
    ) -> None:
        self.leaves: list[tuple[int, bytes]] = []
        self.hashes: list[bytes] = []
        self.events: list[EventRow] = []
        self.chains = dict(chains)
        self._keys = keys
        self._head = tip.head
        self._stamp = Stamp(bytes.fromhex(tip.head.ledger), tip.head.epoch, now_us)
        self._random = random

    def add(self, draft: Draft, request: Request | None) -> Result:
        """The draft's rows, and what is answered for them."""
        entries = draft.write.entries
        written, opened = [], []
        for number, entry in enumerate(entries):
            asked = (request, len(entries)) if request is not None and number == 0 else None
            shown = self._entry(entry, draft, asked)
            opened.append(shown)
            written.append(Written(entry.index, entry.kind.value, entry.effective, entry.reason, self.hashes[-1]))
        end = entries[-1].index if entries else self._head.size + len(self.leaves) - 1
        return Result(
            position=Position(self._head.ledger, self._head.epoch, end),
            recorded_us=self._stamp.recorded_us,
            entries=tuple(written),
            subject=draft.subject,
            denied=draft.denied,
            digest=draft.digest,
            display_status=draft.display_status,
            carried=draft.carried,
            opened=tuple(opened),
        )

    def _entry(self, entry: Entry, draft: Draft, asked: tuple[Request, int] | None) -> Opened:
        of = class_of(entry.kind.value)
        if of is LeafClass.SUBJECT:
            opened, row = self._subjects(entry, asked)
        elif of is LeafClass.ERASURE:
            opened, row = self._erasures(entry, asked)
        else:
            opened, row = self._open(of, entry, draft, asked)
        self.leaves.append((entry.index, opened.leaf))
        self.events.append(row)
        return opened

    def _subjects(self, entry: Entry, asked: tuple[Request, int] | None) -> tuple[Opened, EventRow]:
        subject = entry.subject
        assert subject is not None
        key, chain, event_id = self._keys[subject], self.chains.get(subject, Chain()), self._random(EVENT_ID_SIZE)
        pub = public_body(entry, chain.seq + 1)
        priv = private_body(entry, asked[0].id if asked is not None else None)
        nonce = self._random(NONCE_SIZE)
        made = commitments.subject_entry(key, self._stamp, event_id, nonce, pub=pub, priv=priv, previous=chain.last)
        self._link(subject, chain, made.leaf)
        row = _row(entry, LeafClass.SUBJECT, event_id, pub, asked, seq=chain.seq + 1, sealed=made.sealed)
        return Opened(made.leaf, pub, made.salt), row

    def _erasures(self, entry: Entry, asked: tuple[Request, int] | None) -> tuple[Opened, EventRow]:
        """Its row names nobody: the case does."""
        subject = entry.subject
        assert subject is not None
        chain, event_id, body = self.chains.get(subject, Chain()), self._random(EVENT_ID_SIZE), open_body(entry)
        leaf = commitments.erasure_leaf(self._keys[subject], self._stamp, event_id, body=body, previous=chain.last)
        self._link(subject, chain, leaf)
        return Opened(leaf, body), _row(replace(entry, subject=None), LeafClass.ERASURE, event_id, body, asked)

    def _open(
        self, of: LeafClass, entry: Entry, draft: Draft, asked: tuple[Request, int] | None
    ) -> tuple[Opened, EventRow]:
        document = draft.registry.document.decode() if draft.registry is not None else None
        body = open_body(entry, document)
        leaf = commitments.open_leaf(of, self._stamp, body)
        self.hashes.append(leaf_hash(leaf))
        return Opened(leaf, body), _row(entry, of, self._random(EVENT_ID_SIZE), body, asked)

    def _link(self, subject: str, chain: Chain, leaf: bytes) -> None:
        hashed = leaf_hash(leaf)
        self.hashes.append(hashed)
        self.chains[subject] = Chain(chain.seq + 1, hashed)


def _row(
    entry: Entry,
    of: LeafClass,
    event_id: bytes,
    pub: bytes,
    asked: tuple[Request, int] | None,
    *,
    seq: int | None = None,
    sealed: commitments.Sealed | None = None,
) -> EventRow:
    statement = entry.statement
    notice = statement.notice if statement is not None else None
    return EventRow(
        entry.index,
        of.value,
        entry.kind.value,
        event_id,
        entry.subject,
        seq,
        statement.scope.purpose if statement is not None else None,
        f"{notice.id} {notice.version} {notice.locale}" if notice is not None else None,
        entry.regimes,
        entry.actor.type.value if entry.actor is not None else None,
        entry.effective,
        entry.reason,
        entry.event_us,
        entry.recorded_us,
        statement.to_us if statement is not None else None,
        asked[0].id if asked is not None else None,
        asked[0].content_hash if asked is not None else None,
        asked[1] if asked is not None else None,
        entry.epoch,
        pub.decode(),
        *(sealed or (None, None)),
    )
