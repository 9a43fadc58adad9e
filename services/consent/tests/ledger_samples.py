"""A small ledger made with the real leaves, commitments and signatures: what verifying is tested on."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent_service.domain import commitments as c
from consent_service.domain.acceptance import Actor
from consent_service.domain.bodies import class_of, open_body, private_body, public_body
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry
from consent_service.domain.export import (
    ChainLine,
    CheckpointLine,
    EntryLine,
    Header,
    NoticeLine,
    export_lines,
)
from consent_service.domain.words import Kind
from servicekit.basis import canonical
from tlog import (
    ED25519,
    Checkpoint,
    CompactRange,
    Ed25519Signer,
    TileId,
    VerifierKey,
    extend_tiles,
    format_vkey,
    leaf_hash,
    leaf_hashes,
    sign_checkpoint,
)

ORIGIN = "bank.example/consent/harbour"
LEDGER = hashlib.sha256(b"harbour").hexdigest()[:32]
START_US = 1_790_000_000_000_000
WORDS = b"We may use what you tell us."
NOTICE = NoticeRef("choices", 1, "en", hashlib.sha256(WORDS).hexdigest())
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Ed25519Signer(ORIGIN, KEY)
VKEY = format_vkey(VerifierKey(ORIGIN, ED25519, KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)))


@dataclass
class Person:
    """A subject, as the writer knows one."""

    id: str
    key: c.SubjectKey = field(default_factory=lambda: c.SubjectKey(os.urandom(32)))
    last: bytes = c.FIRST
    indices: list[int] = field(default_factory=list)


class Sample:
    """Grows entry by entry, and exports itself."""

    def __init__(self):
        self.entries: list[EntryLine] = []
        self.notes: dict[int, bytes] = {}
        self.people: list[Person] = []
        self.epoch = 1
        self._open(Kind.LEDGER, {"event": "CREATED"})
        document = canonical({"notices": [NOTICE._asdict()], "v": 1}).decode()
        digest = f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"
        self._open(Kind.REGISTRY, {"digest": digest, "approvers": "a,b"}, document)

    @property
    def size(self):
        return len(self.entries)

    def stamp(self):
        return c.Stamp(bytes.fromhex(LEDGER), self.epoch, START_US + self.size // 3)

    def _open(self, kind, note, document=None):
        entry = Entry(self.size, self.epoch, kind, self.stamp().recorded_us, START_US, note=note)
        body = open_body(entry, document)
        self.entries.append(EntryLine(self.size, c.open_leaf(class_of(kind), self.stamp(), body), body))

    def takeover(self):
        self.epoch += 1
        self._open(Kind.LEDGER, {"event": "EPOCH_STARTED"})

    def person(self):
        self.people.append(Person(f"person-{len(self.people)}"))
        return self.people[-1]

    def choose(self, person, kind=Kind.GRANT):
        stamp, event_id = self.stamp(), os.urandom(16)
        scope = Scope("offers.credit", frozenset({"web", "mobile"}), frozenset({"behaviour"}), frozenset({"self"}))
        statement = Statement(
            self.size, kind, scope, START_US, stamp.recorded_us, START_US, START_US + 10**12, notice=NOTICE
        )
        entry = Entry(
            self.size,
            self.epoch,
            kind,
            stamp.recorded_us,
            START_US,
            person.id,
            statement=statement,
            actor=Actor(id="me"),
        )
        pub, priv = public_body(entry, len(person.indices) + 1), private_body(entry)
        leaf = c.subject_leaf(person.key, stamp, event_id, pub=pub, priv=priv, previous=person.last)
        person.last = leaf_hash(leaf)
        person.indices.append(self.size)
        self.entries.append(EntryLine(self.size, leaf, pub, person.key.sub(c.SALT_PUB, event_id)))

    def erase(self, person):
        body = canonical({"kind": "ERASURE", "event_time": START_US, "effective": True})
        leaf = c.erasure_leaf(person.key, self.stamp(), os.urandom(16), body=body, previous=person.last)
        person.indices.append(self.size)
        for index in person.indices[:-1]:
            self.entries[index] = self.entries[index]._replace(pub=None, salt_pub=None)
        self.entries.append(EntryLine(self.size, leaf, body))

    def range(self, size=None):
        return CompactRange.empty().extend(leaf_hashes([entry.leaf for entry in self.entries[:size]]))

    def sign(self, root=None, size=None, signer=SIGNER, origin=ORIGIN):
        size = self.size if size is None else size
        note = sign_checkpoint(Checkpoint(origin, size, root or self.range(size).root()), [signer])
        self.notes[size] = note
        return note

    def lines(self, first=0, end=None):
        """The export as a list of lines, checkpoints and the notice last."""
        end = self.size if end is None else end
        header = Header(LEDGER, ORIGIN, first, end, self.range(first).hashes)
        whole = not first and end == self.size
        chains = [ChainLine(person.key.chain, tuple(person.indices)) for person in self.people if whole][:2]
        notes = [CheckpointLine(note) for size, note in sorted(self.notes.items()) if first <= size <= end]
        named = any(b'"choices' in (entry.pub or b"") for entry in self.entries[first:end])
        notices = [NoticeLine(*NOTICE[:3], WORDS)] if named else []
        return list(export_lines(header, [*self.entries[first:end], *notes, *notices, *chains]))

    def tiles(self):
        """The stored tiles, as the writer would have them."""
        tiles: dict[TileId, bytes] = {}
        tiles |= extend_tiles(0, {}, leaf_hashes([entry.leaf for entry in self.entries]))
        return tiles


def a_sample(entries=40, people=5):
    """Choices of some people, two epochs, an erasure, and three checkpoints."""
    sample = Sample()
    persons = [sample.person() for _ in range(people)]
    for number in count():
        if sample.size >= entries - 1:
            break
        sample.choose(persons[number % people], Kind.WITHDRAW if number % 7 == 6 else Kind.GRANT)
        if sample.size == entries // 2:
            sample.takeover()
        if sample.size in (entries // 4, entries // 2 + 1):
            sample.sign()
    sample.erase(persons[-1])
    sample.sign()
    return sample
