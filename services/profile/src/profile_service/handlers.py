"""The use cases."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from assent.events.v1.bank_pb2 import BankEvent, BankEventRecorded
from assent.events.v1.envelope_pb2 import Envelope
from profile_service import bank_events
from profile_service.catalogue import Plan
from profile_service.domain import identity
from profile_service.domain.facts import event_key
from profile_service.domain.fold import Row, segment_of, union
from profile_service.domain.history import History, history
from profile_service.domain.identity import Known
from profile_service.domain.view import Declared, View, holds, remembered, view
from profile_service.hashing import Hasher
from profile_service.ports import Catalog, Directory, Held, Journal, Ledger, Members, Note, Profiles, Publisher
from servicekit.basis import SignedBasis, Verifier
from servicekit.clock import Clock
from servicekit.errors import AssentError, Invalid, NotFound
from servicekit.publishing import PublishAck
from servicekit.streams import subject as stream_subject

NewId = Callable[[], str]
HORIZON_DAYS = 400
"""How far back a view looks; no window is longer."""
_DAY_MS = 86_400_000


class Status(enum.Enum):
    """What became of a bank event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status of one event; reason and field when it was rejected."""

    event_id: str
    status: Status
    reason: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes bank events: validates, finds whose they are, and publishes; answers when the stream has acknowledged."""

    directory: Directory
    journal: Journal
    publisher: Publisher
    hasher: Hasher
    clock: Clock
    new_id: NewId

    async def __call__(self, events: Sequence[BankEvent]) -> list[Outcome]:
        """One outcome per event, in order. Raises Unavailable when an event could be neither stored nor refused."""
        outcomes: list[Outcome | None] = [None] * len(events)
        good = self._check(events, outcomes)
        good = await self._without_known(events, good, outcomes)
        owners = await self._owners(events, good, outcomes)
        await self._publish(events, owners, outcomes)
        assert all(outcomes)
        return [outcome for outcome in outcomes if outcome]

    def _check(self, events: Sequence[BankEvent], outcomes: list[Outcome | None]) -> list[int]:
        now_ms, once = self.clock.now_us() // 1000, dict[str, int]()
        for number, event in enumerate(events):
            try:
                bank_events.check(event, now_ms)
            except Invalid as error:
                outcomes[number] = Outcome(event.event_id, Status.REJECTED, error.code, error.field or "")
                continue
            if once.setdefault(event.event_id, number) != number:
                outcomes[number] = Outcome(event.event_id, Status.DUPLICATE)
        return list(once.values())

    async def _without_known(
        self, events: Sequence[BankEvent], good: list[int], outcomes: list[Outcome | None]
    ) -> list[int]:
        keys = {number: event_key(events[number].event_id) for number in good}
        known = await self.journal.known(list(keys.values()))
        for number in [number for number in good if keys[number] in known]:
            outcomes[number] = Outcome(events[number].event_id, Status.DUPLICATE)
        return [number for number in good if keys[number] not in known]

    async def _owners(
        self, events: Sequence[BankEvent], good: list[int], outcomes: list[Outcome | None]
    ) -> dict[int, str]:
        wanted = {
            number: self.hasher.known(events[number].subject.type, events[number].subject.value) for number in good
        }
        found = await find_or_create(list(set(wanted.values())), self.directory, new_id=self.new_id, clock=self.clock)
        owners: dict[int, str] = {}
        for number, identifier in wanted.items():
            known = found[identifier]
            if known.subject is None or known.shared:
                reason = "SHARED_IDENTIFIER" if known.shared else "UNKNOWN_SUBJECT"
                outcomes[number] = Outcome(events[number].event_id, Status.REJECTED, reason, "subject")
            else:
                owners[number] = known.subject
        return owners

    async def _publish(
        self, events: Sequence[BankEvent], owners: Mapping[int, str], outcomes: list[Outcome | None]
    ) -> None:
        now_ms = self.clock.now_us() // 1000
        facts = [recorded(events[number], owner, now_ms) for number, owner in owners.items()]
        results = await self.publisher.publish_many(facts)
        for number, result in zip(owners, results, strict=True):
            status = Status.DUPLICATE if _acknowledged(result).duplicate else Status.ACCEPTED
            outcomes[number] = Outcome(events[number].event_id, status)


def _acknowledged(result: PublishAck | AssentError) -> PublishAck:
    if isinstance(result, AssentError):
        raise result
    return result


def recorded(event: BankEvent, owner: str, now_ms: int) -> tuple[str, Envelope]:
    """The fact to publish: the event without its identifier, under its owner's partition."""
    envelope = Envelope(
        event_id=event.event_id,
        key=owner,
        occurred_at_ms=event.occurred_at_ms,
        recorded_at_ms=now_ms,
        producer="profile",
        bank_event=BankEventRecorded(subject_id=owner, event=event),
    )
    envelope.bank_event.event.ClearField("subject")
    return stream_subject("bank", owner), envelope


async def find_or_create(
    identifiers: Sequence[Known], directory: Directory, *, new_id: NewId, clock: Clock
) -> Mapping[Known, Known]:
    """Each identifier as it is stored; unknown ones get subjects, except an unknown subject id, which is an error of the sender."""
    found = dict(zip(identifiers, await directory.find(identifiers), strict=True))
    missing = [asked for asked, known in found.items() if known.subject is None and asked.type != "subject_id"]
    if missing:
        await directory.create({asked: new_id() for asked in missing}, now_us=clock.now_us())
        found |= dict(zip(missing, await directory.find(missing), strict=True))
    return found


async def resolve_subject(
    identifier: Known, *, create: bool, directory: Directory, new_id: NewId, clock: Clock
) -> tuple[Members, bool]:
    """Whom an identifier stands for, and whether it was created for this. NotFound for an unknown or shared one."""
    who, shared = await directory.resolve(identifier)
    created = who is None and create and identifier.type != "subject_id"
    if created:
        await find_or_create([identifier], directory, new_id=new_id, clock=clock)
        who, shared = await directory.resolve(identifier)
    if shared:
        raise NotFound("The identifier belongs to several people.", reason="SHARED_IDENTIFIER", field="identifier")
    if who is None:
        raise NotFound("The identifier points to nobody.", reason="UNKNOWN_IDENTIFIER", field="identifier")
    return who, created


async def link_identifiers(
    identifiers: Sequence[Known],
    *,
    request_id: str,
    evidence: str,
    directory: Directory,
    ledger: Ledger,
    new_id: NewId,
    clock: Clock,
) -> Members:
    """Make these identifiers one subject. The ledger is told of a merge first: if it refuses, nothing has changed."""
    seen = await directory.find(identifiers)
    for known in seen:
        if known.type == "subject_id" and known.subject is None:
            raise NotFound("There is no such subject.", reason="UNKNOWN_SUBJECT", field="identifiers")
    linking = identity.link(seen, await directory.subjects(seen))
    survivor = linking.survivor or new_id()
    for absorbed in linking.absorbed:
        await ledger.link(survivor, absorbed, request_id=_part_of(request_id, survivor, absorbed), evidence=evidence)
    if linking.attach or linking.absorbed:
        await directory.link(linking, seen, survivor, Note(request_id, evidence, clock.now_us()))
    who = await directory.members(survivor)
    if who is None:
        raise NotFound("The subject was erased meanwhile.", reason="UNKNOWN_SUBJECT")
    return who


def _part_of(request_id: str, survivor: str, absorbed: str) -> str:
    """A request id for one merge of several, the same for a repeat."""
    return hashlib.sha256(f"{request_id}:{survivor}:{absorbed}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asks to see. `attributes` empty asks for every field; `now_ms` 0 is the service's time."""

    basis: SignedBasis | None
    subject: str
    channel: str
    attributes: Sequence[str] = ()
    bundle_digest: str = ""
    now_ms: int = 0


async def get_view(asked: Asked, *, verifier: Verifier, profiles: Profiles, catalog: Catalog, clock: Clock) -> View:
    """The fields that the basis covers. The basis is looked at before anything is read."""
    now_us = clock.now_us()
    basis = verifier.verify(asked.basis, now_us=now_us, subject=asked.subject, channel=asked.channel)
    plan = await catalog.plan(asked.bundle_digest)
    now_ms = asked.now_ms or now_us // 1000
    held = await profiles.held(asked.subject, segment_of(now_ms - HORIZON_DAYS * _DAY_MS), segment_of(now_ms))
    known, position = read(held, basis.members), held.who.position if held else 0
    last = known.memo.get(Shown)
    if last is None or not last.serves(plan, asked.attributes, basis.allowed, now_ms):
        fields = chosen(plan, asked.attributes)
        plan.prepare(known)
        made = view(fields, lambda field: remembered(field, known, now_ms), basis.allowed, now_ms=now_ms, position=0)
        last = Shown(plan, tuple(asked.attributes), basis.allowed, holds(known, made, fields, now_ms), made)
        known.memo[Shown] = last
    return replace(last.view, position=position)


class Shown(NamedTuple):
    """The view of a history that was shown last, and what it is a function of."""

    plan: Plan
    attributes: tuple[str, ...]
    allowed: Mapping[str, frozenset[str]]
    holds: range
    view: View

    def serves(self, plan: Plan, attributes: Sequence[str], allowed: Mapping[str, frozenset[str]], now_ms: int) -> bool:
        """Whether the same would come out."""
        same = self.plan is plan and now_ms in self.holds and self.attributes == tuple(attributes)
        return same and self.allowed == allowed


def chosen(plan: Plan, attributes: Sequence[str]) -> list[Declared]:
    """The declared fields that are asked for, sorted by name."""
    for number, name in enumerate(attributes):
        if name not in plan.fields:
            raise Invalid(
                "The bundle declares no such field.", reason="UNKNOWN_ATTRIBUTE", field=f"attributes[{number}]"
            )
    wanted = set(attributes)
    return [field for name, field in plan.fields.items() if not wanted or name in wanted]


def read(held: Held | None, allowed: frozenset[str]) -> History:
    """The history of all members that the basis speaks of: what is not in it was merged after, and is left out."""
    if held is None:
        return history({})
    members = allowed.intersection(held.rows)
    if members not in held.memo:
        held.memo[members] = _history([held.rows[member] for member in sorted(members)])
    return cast("History", held.memo[members])


def _history(parts: Sequence[Mapping[int, Row]]) -> History:
    if len(parts) == 1:
        return history(parts[0])
    rows: dict[int, Row] = {}
    for part in parts:
        union(rows, dict(part))
    return history(rows)


async def erase_subject(subject: str, *, request_id: str, directory: Directory, clock: Clock) -> int:
    """Forget a subject and everybody it absorbed; how many rows went."""
    return await directory.erase(subject, request_id=request_id, now_us=clock.now_us())
