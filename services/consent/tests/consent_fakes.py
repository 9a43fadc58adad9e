"""A ledger in memory, bound to the PostgreSQL one by the contract tests; an example registry; the use cases as a bench."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service import batching, handlers, history, planning, reading
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
from consent_service.domain.acceptance import Actor, Evidence, Item, Screen
from consent_service.domain.bodies import PUBLIC_NOTES
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import unknown
from consent_service.domain.position import Position
from consent_service.domain.words import Kind
from consent_service.planning import Seen
from consent_service.ports import Ledger, NoticeBytes, Published, Request, Result, Snapshot, Writer, Written
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from servicekit.basis import canonical, ledger_id
from servicekit.clock import Clock, FixedClock
from servicekit.errors import AlreadyExists, Unavailable
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


def _shown(entry: Entry) -> Entry:
    """What is kept of an entry outside its private body."""
    actor = Actor(entry.actor.type) if entry.actor else None
    notes = {name: value for name, value in entry.note.items() if name in PUBLIC_NOTES}
    if entry.link or entry.sealed:
        return entry
    return replace(entry, actor=actor, evidence=None, note=notes)


class MemoryLedger:
    """Everything in dictionaries, and its own writer; a write that fails leaves no trace."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or FixedClock(NOW)
        self.recorder = Registries()
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

    async def append(self, command):
        """One command by itself: what a batch of many must come to, too."""
        needs = planning.needs(command)
        self._answer()
        request = command.request
        async with self._lock:
            first = self.results.get(request.id)
            if first is not None:
                return self._again(request, *first)
            seen = self._see(needs, await self.recorder.in_force(self.head, self))
            draft = planning.plan(command, seen)
            result = self._result(draft, seen.now_us)
            if draft.write.entries:
                self._store(draft, request, result)
        return result

    def _again(self, request, content_hash, result):
        if content_hash != request.content_hash:
            raise AlreadyExists(reason="REQUEST_ID_REUSED")
        return replace(result, replayed=True)

    def _see(self, needs, registry) -> Seen:
        return Seen(
            self.head,
            batching.time_of(self.head, self.clock.now_us()),
            registry,
            self.states,
            {index: self.entries[index] for index in needs.entries if index < len(self.entries)},
            {ref[:3]: self.notices[ref[:3]].ref.sha256 for ref in needs.notices if ref[:3] in self.notices},
        )

    def _result(self, draft, now_us) -> Result:
        written = tuple(Written(e.index, e.kind.value, e.effective, e.reason) for e in draft.write.entries)
        return Result(
            position=Position(LEDGER, self.head.epoch, self.head.size + len(written) - 1),
            recorded_us=now_us,
            entries=written,
            subject=draft.subject,
            denied=draft.denied,
            digest=draft.digest,
            display_status=draft.display_status,
            carried=draft.carried,
        )

    def _store(self, draft, request, result) -> None:
        first, *rest = draft.write.entries
        self.entries.extend([replace(first, request_id=request.id), *rest])
        for state in draft.write.states:
            self.states[state.subject] = state
            self.roots.setdefault(state.subject, state.subject)
        for root, subjects in draft.write.rerooted:
            self.roots.update(dict.fromkeys(subjects, root))
        self.results[request.id] = request.content_hash, result
        for notice in draft.notices:
            self.notices.setdefault(notice.ref[:3], notice)
        if draft.registry is not None:
            self.registries.append(draft.registry)
            named = {"registry_index": draft.registry.index, "registry_digest": draft.registry.digest}
            self.head = replace(self.head, **named)
        self.head = replace(self.head, size=len(self.entries), recorded_us=result.recorded_us)

    async def checkpointed(self) -> int:
        return 0

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

    async def page(self, subject: str, *, after: int, size: int, amount: int, whole: bool):
        found = [e for e in self.entries[:size] if e.subject == subject and e.index > after][:amount]
        return found if whole else list(map(_shown, found))

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        return self.notices.get(ref[:3])

    async def history(self, subject: str, *, size: int, known_us: int, as_of_us: int):
        return [
            entry
            for entry in self.entries[:size]
            if entry.subject == subject and entry.recorded_us <= known_us and entry.event_us <= as_of_us
        ]


_: type[Ledger] = MemoryLedger
__: type[Writer] = MemoryLedger
_numbers = itertools.count()


def a_request(content: bytes = b"content", request_id: str = "") -> Request:
    return Request(request_id or f"request-{next(_numbers):020}", hashlib.sha256(content).digest())


class Bench:
    """The use cases on one ledger at a clock that stands still. A ledger in memory is its own writer."""

    def __init__(self, ledger: Ledger, writer: Writer | None = None, clock: FixedClock | None = None) -> None:
        self.ledger = ledger
        self.writer = writer or ledger
        self.clock = clock or getattr(ledger, "clock", None) or FixedClock(NOW)
        self.registries = Registries()
        self.key = StatementKey(KEY, VKEY.key_id)
        self._with = {"ledger": ledger, "registries": self.registries, "clock": self.clock}

    async def entomb(self, subject: str) -> None:
        """Leave of the subject what an erasure leaves."""
        self.ledger.states[subject] = replace(unknown(subject), erased=True)
        self.ledger.roots[subject] = subject

    async def publish(self, *, request: Request | None = None, **changed: Any):
        words = [NoticeBytes(ref("en"), WORDS), NoticeBytes(ref("de"), WORDS_DE)]
        return await self.publish_bytes(canonical(a_document(**changed)), words, request)

    async def publish_bytes(self, document: bytes, notices=(), request: Request | None = None):
        command = Publish(request or a_request(document), document, tuple(notices), ("one", "two"))
        return await handlers.write(command, writer=self.writer, ledger=self.ledger)

    async def choose(self, subject: str, *items: Item, request: Request | None = None, **changed: Any):
        command = RecordChoice(request or a_request(), subject, screen(*items, **changed))
        return await handlers.write(command, writer=self.writer, ledger=self.ledger)

    async def withdraw(self, subject: str, *scopes: Scope, request: Request | None = None, **changed: Any):
        command = Withdraw(request or a_request(), subject, scopes or (Scope("*"),), **changed)
        return await handlers.write(command, writer=self.writer, ledger=self.ledger)

    async def object(self, subject: str, *items: Item, **changed: Any):
        """Objections, restrictions and their lifting, as items."""
        changed = {"evidence": Evidence(method="button"), "notice": None, **changed}
        return await self.choose(subject, *items, **changed)

    async def signal(self, subject: str, on: bool = True, request: Request | None = None, **changed: Any):
        fields = {"evidence": Evidence(method="button"), **changed}
        command = Signal(request or a_request(), subject, fields.pop("signal", "gpc"), on, **fields)
        return await handlers.write(command, writer=self.writer, ledger=self.ledger)

    async def link(self, survivor: str, absorbed: str, linked: bool = True, request: Request | None = None):
        command = SetLink(request or a_request(), survivor, absorbed, linked)
        return await handlers.write(command, writer=self.writer, ledger=self.ledger)

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
        whole = changed.pop("whole", True)
        return await history.list_consent_events(ListEvents(subject, **changed), ledger=self.ledger, whole=whole)

    async def registry(self, **changed: Any):
        return await history.get_registry(FindRegistry(**changed), ledger=self.ledger)
