"""A ledger in memory, bound to the PostgreSQL one by the contract tests; an example registry; the use cases as a bench."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service import handlers, history, reading
from consent_service.commands import (
    Check,
    Evaluate,
    FindRegistry,
    ListEvents,
    Look,
    Publish,
    RecordChoice,
    SetLink,
    Signal,
    Withdraw,
)
from consent_service.domain import document
from consent_service.domain.acceptance import Evidence, Item, Screen
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import unknown
from consent_service.domain.words import Kind
from consent_service.ports import Ledger, NoticeBytes, Published, Request, Snapshot, Writing
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from servicekit.basis import canonical, ledger_id
from servicekit.clock import FixedClock
from servicekit.errors import Unavailable
from servicekit.vkeys import verifier_key

LEDGER = ledger_id("harbour")
NOW = 1_800_000_000_000_000
DAY = 86_400 * 1_000_000
WORDS = b"We use your data for what you choose here."
WORDS_DE = b"Wir nutzen Ihre Daten, wie Sie es hier bestimmen."
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = verifier_key("harbour", KEY.public_key())
CHANNELS = ("branch", "mobile", "web")
CATEGORIES = ("behaviour", "holding", "sensitive", "transaction")
SELF_ONLY = frozenset({"self"})


def a_notice(locale: str = "en", version: int = 1, **changed: Any) -> dict[str, Any]:
    words = WORDS if locale == "en" else WORDS_DE
    return {
        "id": "choices",
        "version": version,
        "locale": locale,
        "sha256": hashlib.sha256(words).hexdigest(),
        "status": "OPEN",
        "effective_from_us": NOW - 400 * DAY,
        "covers": {
            "purposes": ["advice", "offers", "offers.credit", "sharing"],
            "channels": list(CHANNELS),
            "categories": list(CATEGORIES),
            "recipients": ["partner", "self"],
        },
        **changed,
    }


def a_regime(name: str, *bases: str, **changed: Any) -> dict[str, Any]:
    return {
        "id": name,
        "allowed_bases": sorted(bases),
        "max_event_age_us": 7 * DAY,
        "window_us": 0,
        "notice_required": True,
        **changed,
    }


def a_purpose(name: str, basis: str, *more: tuple[str, str], **changed: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": name,
        "bases": {"gdpr": basis, **dict(more)},
        "categories": list(CATEGORIES),
        "recipients": ["self"],
        **changed,
    }


def a_document(**changed: Any) -> dict[str, Any]:
    """Every basis, a subtree, a purpose that is limited to a channel, and a regime that narrows."""
    everything = ("CONSENT", "CONTRACT", "LEGAL_OBLIGATION", "LEGITIMATE_INTEREST", "OPT_OUT")
    return {
        "v": 1,
        "default_regimes": ["gdpr"],
        "channels": list(CHANNELS),
        "recipients": ["partner", "self"],
        "regimes": [
            a_regime("au_cdr", "CONSENT", max_validity_us=365 * DAY),
            a_regime("gdpr", *everything),
            a_regime("glba_fcra", "OPT_OUT", window_us=30 * DAY),
        ],
        "purposes": [
            a_purpose("advice", "LEGITIMATE_INTEREST"),
            a_purpose("fraud", "LEGAL_OBLIGATION", special_ground={"gdpr": "9(2)(g)"}),
            a_purpose("offers", "CONSENT", ("au_cdr", "CONSENT")),
            a_purpose("offers.credit", "CONSENT", recipients=["partner", "self"]),
            a_purpose("service", "CONTRACT", channels=["mobile", "web"], categories=["transaction"]),
            a_purpose("sharing", "OPT_OUT", ("glba_fcra", "OPT_OUT")),
        ],
        "notices": [a_notice("de"), a_notice("en")],
        **changed,
    }


def a_registry(index: int = 1, **changed: Any):
    return document.read(a_document(**changed), digest="sha256:" + "d" * 64, index=index)


def ref(locale: str = "en", version: int = 1) -> NoticeRef:
    words = WORDS if locale == "en" else WORDS_DE
    return NoticeRef("choices", version, locale, hashlib.sha256(words).hexdigest())


def scope(purpose: str = "offers", channels=("mobile",), categories=("transaction",), recipients=("self",)) -> Scope:
    return Scope(purpose, frozenset(channels), frozenset(categories), frozenset(recipients))


def grant(purpose: str = "offers", **changed: Any) -> Item:
    fields = {name: changed.pop(name) for name in ("explicit", "from_us", "to_us") if name in changed}
    return Item(Kind.GRANT, scope(purpose, **changed), **fields)


def refuse(purpose: str = "offers") -> Item:
    return Item(Kind.REFUSE, Scope(purpose))


def served(purpose: str = "sharing", **changed: Any) -> Item:
    return Item(Kind.NOTICE_SERVED, scope(purpose, **changed))


def acts(kind: Kind, purpose: str = "*", **sets: Any) -> Item:
    """An item of the objection layer."""
    return Item(kind, Scope(purpose, **{name: frozenset(values) for name, values in sets.items()}))


def screen(*items: Item, **changed: Any) -> Screen:
    return Screen(items, **{"notice": ref(), **changed})


class MemoryLedger:
    """Everything in dictionaries; a write that fails leaves no trace."""

    def __init__(self) -> None:
        creation = Entry(0, 1, Kind.LEDGER, 0, 0, note={"event": "CREATED", "ledger": LEDGER})
        self.head = Head(LEDGER, 1, 1, 0)
        self.entries: list[Entry] = [creation]
        self.states: dict[str, Any] = {}
        self.roots: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self.registries: list[Published] = []
        self.notices: dict[Any, NoticeBytes] = {}
        self._lock = asyncio.Lock()
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise Unavailable(reason="CONSENT_UNAVAILABLE")

    async def read(self, subject: str, *, epoch: int = 0) -> Snapshot:
        self._answer()
        state = self.states.get(self.roots.get(subject, subject), unknown(subject))
        next_start = 0 if epoch < 1 else None
        return Snapshot(self.head, state.members, state.statements, next_start, state.status, state.subject)

    @asynccontextmanager
    async def writing(self):
        self._answer()
        async with self._lock:
            yield MemoryWriting(self)

    async def registry_at(self, index: int) -> Published:
        return next(found for found in self.registries if found.index == index)

    async def registry(self, digest: str = "") -> Published | None:
        found = [published for published in self.registries if digest in ("", published.digest)]
        return found[-1] if found else None

    async def registry_known_at(self, recorded_us: int, *, size: int) -> int | None:
        known = [
            p.index for p in self.registries if p.index < size and self.entries[p.index].recorded_us <= recorded_us
        ]
        return max(known, default=None)

    async def recorded_at(self, index: int) -> int | None:
        return self.entries[index].recorded_us if index < len(self.entries) else None

    async def page(self, subject: str, *, after: int, size: int, amount: int):
        return [e for e in self.entries[:size] if e.subject == subject and e.index > after][:amount]

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        return self.notices.get(ref[:3])

    async def history(self, subject: str, *, size: int, known_us: int, as_of_us: int):
        return [
            entry
            for entry in self.entries[:size]
            if entry.subject == subject and entry.recorded_us <= known_us and entry.event_us <= as_of_us
        ]


@dataclass
class MemoryWriting:
    ledger: MemoryLedger

    @property
    def head(self) -> Head:
        return self.ledger.head

    async def registry_at(self, index: int) -> Published:
        return await self.ledger.registry_at(index)

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        return await self.ledger.notice(ref)

    async def first_result(self, request_id: str):
        return self.ledger.results.get(request_id)

    async def lineage(self, subject: str):
        found = [self.ledger.states.get(subject, unknown(subject))]
        while found[-1].survivor is not None:
            found.append(self.ledger.states[found[-1].survivor])
        return tuple(found)

    async def entry(self, index: int):
        return self.ledger.entries[index] if index < len(self.ledger.entries) else None

    async def commit(self, commit) -> None:
        ledger = self.ledger
        ledger.entries.extend(commit.write.entries)
        for state in commit.write.states:
            ledger.states[state.subject] = state
            ledger.roots.setdefault(state.subject, state.subject)
        for root, subjects in commit.write.rerooted:
            ledger.roots.update(dict.fromkeys(subjects, root))
        ledger.results[commit.request.id] = commit.request.content_hash, commit.result
        for notice in commit.notices:
            ledger.notices.setdefault(notice.ref[:3], notice)
        if commit.registry is not None:
            ledger.registries.append(commit.registry)
            named = {"registry_index": commit.registry.index, "registry_digest": commit.registry.digest}
            ledger.head = replace(ledger.head, **named)
        if commit.write.entries:
            recorded_us = commit.write.entries[-1].recorded_us
            ledger.head = replace(ledger.head, size=len(ledger.entries), recorded_us=recorded_us)


_: type[Ledger] = MemoryLedger
__: type[Writing] = MemoryWriting
_numbers = itertools.count()


def a_request(content: bytes = b"content", request_id: str = "") -> Request:
    return Request(request_id or f"request-{next(_numbers):020}", hashlib.sha256(content).digest())


class Bench:
    """The use cases on one ledger at a clock that stands still."""

    def __init__(self, ledger: Ledger, clock: FixedClock | None = None) -> None:
        self.ledger = ledger
        self.clock = clock or FixedClock(NOW)
        self.registries = Registries()
        self.key = StatementKey(KEY, VKEY.key_id)
        self._with = {"ledger": ledger, "registries": self.registries, "clock": self.clock}

    async def publish(self, *, request: Request | None = None, **changed: Any):
        words = [NoticeBytes(ref("en"), WORDS), NoticeBytes(ref("de"), WORDS_DE)]
        return await self.publish_bytes(canonical(a_document(**changed)), words, request)

    async def publish_bytes(self, document: bytes, notices=(), request: Request | None = None):
        command = Publish(request or a_request(document), document, tuple(notices), ("one", "two"))
        return await handlers.write(command, **self._with)

    async def choose(self, subject: str, *items: Item, request: Request | None = None, **changed: Any):
        command = RecordChoice(request or a_request(), subject, screen(*items, **changed))
        return await handlers.write(command, **self._with)

    async def withdraw(self, subject: str, *scopes: Scope, request: Request | None = None, **changed: Any):
        command = Withdraw(request or a_request(), subject, scopes or (Scope("*"),), **changed)
        return await handlers.write(command, **self._with)

    async def object(self, subject: str, *items: Item, **changed: Any):
        """Objections, restrictions and their lifting, as items."""
        changed = {"evidence": Evidence(method="button"), "notice": None, **changed}
        return await self.choose(subject, *items, **changed)

    async def signal(self, subject: str, on: bool = True, request: Request | None = None, **changed: Any):
        fields = {"evidence": Evidence(method="button"), **changed}
        command = Signal(request or a_request(), subject, fields.pop("signal", "gpc"), on, **fields)
        return await handlers.write(command, **self._with)

    async def link(self, survivor: str, absorbed: str, linked: bool = True, request: Request | None = None):
        command = SetLink(request or a_request(), survivor, absorbed, linked)
        return await handlers.write(command, **self._with)

    async def check(self, subject: str, *keys: Key, **changed: Any):
        keys = keys or (Key("offers", "mobile", "transaction"),)
        return await reading.check_consent(Check(subject, keys, **changed), **self._with)

    async def reason(self, subject: str, *key: str, **changed: Any) -> str:
        keys = (Key(*key),) if key else ()
        return (await self.check(subject, *keys, **changed)).verdicts[0].reason.value

    async def basis(self, subject: str, channel: str = "mobile", **changed: Any):
        return await reading.evaluate_basis(Evaluate(subject, channel, **changed), **self._with, key=self.key)

    async def body(self, subject: str, channel: str = "mobile", **changed: Any) -> dict[str, Any]:
        return json.loads((await self.basis(subject, channel, **changed))[0].body)

    async def look(self, subject: str, **changed: Any):
        return await history.get_consent_state(Look(subject, **changed), **self._with)

    async def events(self, subject: str, **changed: Any):
        return await history.list_consent_events(ListEvents(subject, **changed), ledger=self.ledger)

    async def registry(self, **changed: Any):
        return await history.get_registry(FindRegistry(**changed), ledger=self.ledger)
