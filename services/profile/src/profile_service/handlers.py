"""The use cases."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assent.events.v1.bank_pb2 import BankEvent, BankEventRecorded
from assent.events.v1.envelope_pb2 import Envelope
from profile_service import bank_events
from profile_service.domain import identity
from profile_service.domain.facts import event_key
from profile_service.domain.identity import Known
from profile_service.hashing import Hasher
from profile_service.ports import Directory, Journal, Ledger, Members, Note, Publisher
from servicekit.clock import Clock
from servicekit.errors import AssentError, Invalid, NotFound
from servicekit.publishing import PublishAck
from servicekit.streams import subject as stream_subject

NewId = Callable[[], str]


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


async def erase_subject(subject: str, *, request_id: str, directory: Directory, clock: Clock) -> int:
    """Forget a subject and everybody it absorbed; how many rows went."""
    return await directory.erase(subject, request_id=request_id, now_us=clock.now_us())
