"""Batches: what many commands come to together is what they come to one by one, and every leaf opens."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

from consent_fakes import LEDGER, NOW, WORDS, WORDS_DE, a_document, a_registry, a_request, grant, ref, refuse, screen
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service import batching, sealing_batch
from consent_service.batching import Chain, First, Recalled, Same, Tip
from consent_service.commands import Note, Publish, RecordChoice, Seal, SetLink, Withdraw
from consent_service.domain import bodies, commitments
from consent_service.domain.acceptance import Actor
from consent_service.domain.bodies import Place
from consent_service.domain.choices import Scope
from consent_service.domain.commitments import Sealed, SubjectKey
from consent_service.domain.entries import Head
from consent_service.domain.leaf import parse
from consent_service.domain.words import Kind
from consent_service.planning import Draft
from consent_service.ports import NoticeBytes, Opened
from consent_service.results import Stored, again
from consent_service.sealing_batch import Batch
from servicekit.basis import canonical
from servicekit.errors import AlreadyExists, AssentError
from tlog import CompactRange, extend_tiles, leaf_hash

REGISTRY = a_registry()
EMPTY = Tip(Head(LEDGER, 1, 0, 0), CompactRange.empty(), {}, REGISTRY)
SUBJECTS = ("anna", "ben", "carl")
KEYS = {subject: SubjectKey(hashlib.sha256(subject.encode()).digest()) for subject in SUBJECTS}
NOTHING = Recalled({}, {}, {}, {}, {})


class Ledger:
    """What is stored, by batch after batch."""

    def __init__(self):
        self.tip = EMPTY
        self.batches: list[Batch] = []
        self.states, self.chains, self.requests, self.entries = {}, {}, {}, {}

    def recalled(self):
        return Recalled(self.requests, self.states, self.chains, self.entries, {})

    def append(self, *commands, now_us=None):
        now_us = batching.time_of(self.tip.head, NOW + len(self.batches) if now_us is None else now_us)
        outcomes = batching.plan(self.tip, commands, self.recalled(), now_us)
        batch = sealing_batch.seal(self.tip, commands, outcomes, self.chains, KEYS, now_us=now_us, random=os.urandom)
        self.tip = batch.tip
        self.batches.append(batch)
        for state, chain in batch.states:
            self.states[state.subject], self.chains[state.subject] = state, chain
        for row in batch.events:
            if row.request_id is not None:
                self.requests[row.request_id] = First(row.idx, row.request_entries, row.request_hash)
        for outcome in outcomes:
            if isinstance(outcome, Draft):
                self.entries |= {entry.index: entry for entry in outcome.write.entries}
        return outcomes, batch

    @property
    def events(self):
        return [row for batch in self.batches for row in batch.events]

    @property
    def leaves(self):
        return [leaf for batch in self.batches for _, leaf in batch.leaves]


def choose(subject, *items, **changed):
    return RecordChoice(a_request(), subject, screen(*(items or (grant(),)), **changed))


subjects = st.sampled_from(SUBJECTS)
choices = st.builds(
    choose,
    subjects,
    st.sampled_from((grant(), refuse(), grant("offers.credit"), refuse("advice"), grant("unheard_of"))),
    event_us=st.sampled_from((None, NOW - 5, NOW)),
    actor=st.just(Actor(id="me")),
)
withdrawals = st.builds(
    lambda who, purpose: Withdraw(a_request(), who, (Scope(purpose),)), subjects, st.sampled_from(("*", "offers"))
)
links = st.builds(
    lambda pair, linked: SetLink(a_request(), *pair, linked),
    st.permutations(SUBJECTS).map(lambda found: tuple(found[:2])),
    st.booleans(),
)
seals = st.builds(
    lambda who, kind: Seal(a_request(), (who,), kind, "case"), subjects, st.sampled_from((Kind.SEALED, Kind.UNSEALED))
)
commands = st.lists(choices | withdrawals | links | seals, max_size=12)


@settings(max_examples=80)
@given(commands, st.lists(st.integers(1, 4), max_size=12))
def test_a_batch_comes_to_what_its_commands_come_to_one_by_one(given_commands, sizes):
    """But for the time, which is one for a batch; here all have the same."""
    together, apart = Ledger(), Ledger()
    left, sizes = list(given_commands), iter([*sizes, 99, 99])
    while left:
        size = next(sizes)
        together.append(*left[:size], now_us=NOW)
        left = left[size:]
    for command in given_commands:
        apart.append(command, now_us=NOW)

    assert together.states == apart.states
    assert together.tip.head == apart.tip.head
    secret = {"event_id": b"", "nonce": b"", "sealed": b""}
    assert [row._replace(**secret) for row in together.events] == [row._replace(**secret) for row in apart.events]


@settings(max_examples=60)
@given(commands)
def test_every_leaf_opens_and_the_tree_is_a_function_of_the_leaves(given_commands):
    ledger = Ledger()
    ledger.append(Note({"event": "CREATED"}))
    for start in range(0, len(given_commands), 3):
        ledger.append(*given_commands[start : start + 3])
    last = dict.fromkeys(SUBJECTS, commitments.FIRST)
    for row, leaf in zip(ledger.events, ledger.leaves, strict=True):
        parsed, pub = parse(leaf), row.pub.encode()
        assert (parsed.of, parsed.epoch, parsed.recorded_us) == (row.of, row.epoch, row.recorded_us)
        if row.subject_id is None:
            assert parsed.c_pub == commitments.open_commitment(pub)
            continue
        key, place = KEYS[row.subject_id], Place(row.idx, row.epoch, row.recorded_us)
        priv = commitments.unseal(key, bytes.fromhex(LEDGER), row.event_id, Sealed(row.nonce, row.sealed))
        made = commitments.subject_leaf(
            key,
            commitments.Stamp(bytes.fromhex(LEDGER), row.epoch, row.recorded_us),
            row.event_id,
            pub=pub,
            priv=priv,
            previous=last[row.subject_id],
        )
        assert made == leaf
        assert bodies.read_entry(place, pub, priv).subject == row.subject_id
        last[row.subject_id] = leaf_hash(leaf)

    hashes = [leaf_hash(leaf) for leaf in ledger.leaves]
    assert ledger.tip.tree == CompactRange.empty().extend(hashes)
    tiles = {}
    for batch in ledger.batches:
        assert all(data.startswith(tiles.get(tile, b"")) for tile, data in batch.tiles.items())
        tiles |= batch.tiles
    assert tiles == extend_tiles(0, {}, hashes)


@settings(max_examples=60)
@given(commands)
def test_a_repeat_is_answered_from_what_is_stored_as_it_was(given_commands):
    """Of those that left an entry: it is the entry that remembers the request."""
    ledger = Ledger()
    _, batch = ledger.append(*given_commands)
    kept = [number for number, first in batch.written.items() if first.entries]
    outcomes, repeat = ledger.append(*(given_commands[number] for number in kept))
    rows = {row.idx: (row, leaf) for row, (_, leaf) in zip(batch.events, batch.leaves, strict=True)}

    for number, found in zip(kept, outcomes, strict=True):
        first = batch.written[number]
        assert isinstance(found, First)
        stored = [_stored(*rows[index]) for index in range(found.start, found.start + found.entries)]
        assert again(LEDGER, stored, REGISTRY) == replace(first, replayed=True)
    assert repeat.leaves == []


def _stored(row, leaf):
    place = Place(row.idx, row.epoch, row.recorded_us)
    entry = replace(bodies.read_entry(place, row.pub.encode()), subject=row.subject_id)
    salt = KEYS[row.subject_id].sub(commitments.SALT_PUB, row.event_id)
    return Stored(entry, Opened(leaf, row.pub.encode(), salt))


def test_a_request_id_twice_in_a_batch_is_one_set_of_entries():
    command = choose("anna")
    other = replace(command, request=a_request(b"other", command.request.id))
    ledger = Ledger()

    outcomes, batch = ledger.append(command, command, other)

    assert outcomes[1] == Same(0)
    assert isinstance(outcomes[2], AlreadyExists)
    assert len(batch.events) == 1
    answers = list(batching.answers(outcomes, batch.written, {}))
    assert answers[1] == replace(answers[0], replayed=True)


def test_what_is_turned_away_leaves_no_trace_and_its_id_may_be_used_again():
    bad = choose("anna", grant("unheard_of"))
    good = replace(choose("anna"), request=bad.request)

    outcomes, batch = Ledger().append(bad, good)

    assert isinstance(outcomes[0], AssentError)
    assert [row.request_id for row in batch.events] == [good.request.id]


def test_a_registry_counts_from_the_next_command_on():
    words = (NoticeBytes(ref("en"), WORDS), NoticeBytes(ref("de"), WORDS_DE))
    published = Publish(a_request(), canonical(a_document()), words, ("one", "two"))
    ledger = Ledger()
    ledger.tip = replace(EMPTY, registry=a_registry(purposes=[], notices=[], default_regimes=["gdpr"]))

    outcomes, batch = ledger.append(choose("anna"), published, choose("ben"))

    assert [type(outcome) is Draft for outcome in outcomes] == [False, True, True]
    assert batch.tip.head.registry_index == 0
    assert batch.tip.registry.purpose("offers") is not None
    assert Chain() == Chain(0, commitments.FIRST)


def test_the_ledgers_time_goes_on_when_the_clock_was_set_back():
    head = Head(LEDGER, 1, 5, NOW)

    assert [batching.time_of(head, now) for now in (NOW - 9, NOW, NOW + 1)] == [NOW + 1, NOW, NOW + 1]
