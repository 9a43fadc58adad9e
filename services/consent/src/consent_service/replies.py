"""Domain to protobuf; nothing else."""

from __future__ import annotations

from typing import Any, Final

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service.announcements import name_of
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.bodies import PUBLIC_NOTES
from consent_service.domain.choices import Key, NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry
from consent_service.domain.position import Position
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Basis, State
from consent_service.ports import Result
from consent_service.receipts import Receipt
from consent_service.watching import Told

_KINDS: Final = {name.removeprefix("CHOICE_KIND_"): number for name, number in types_pb2.ChoiceKind.items()}
_CATEGORIES: Final = {
    name.removeprefix("DATA_CATEGORY_").lower(): number for name, number in DataCategory.items() if number
}
_STATES: Final[dict[State, types_pb2.ConsentState.ValueType]] = {
    state: types_pb2.CONSENT_STATE_UNSPECIFIED
    if state is State.UNKNOWN
    else types_pb2.ConsentState.Value(f"CONSENT_STATE_{state.value}")
    for state in State
}
_BASES: Final = {basis: types_pb2.LawfulBasis.Value(f"LAWFUL_BASIS_{basis.value}") for basis in Basis}


def kind_number(kind: str) -> types_pb2.ChoiceKind.ValueType:
    """The enum's number; that of a registry or the ledger itself is not stated."""
    return _KINDS.get(kind, types_pb2.CHOICE_KIND_UNSPECIFIED)


def position(value: Position) -> types_pb2.Position:
    """A position."""
    return types_pb2.Position(ledger=value.ledger, epoch=value.epoch, index=value.index)


def result(value: Result, receipt: Receipt | None, reached: types_pb2.WaitFor.ValueType) -> types_pb2.WriteResult:
    """The result of a write."""
    entries = [
        types_pb2.Entry(
            index=entry.index,
            kind=kind_number(entry.kind),
            effective=entry.effective,
            reason=entry.reason,
            leaf_hash=entry.leaf_hash,
        )
        for entry in value.entries
    ]
    return types_pb2.WriteResult(
        position=position(value.position),
        token=value.position.token,
        recorded_at_us=value.recorded_us,
        entries=entries,
        resolved_subject=value.subject,
        replayed=value.replayed,
        receipt=types_pb2.Receipt(**receipt._asdict()) if receipt else None,
        reached=reached,
    )


def display_status(value: str) -> types_pb2.DisplayStatus.ValueType:
    """How a signal was answered."""
    return types_pb2.DisplayStatus.Value(f"DISPLAY_STATUS_{value or 'UNSPECIFIED'}")


def verdict(key: Key, found: Verdict) -> types_pb2.Verdict:
    """A verdict, with its key."""
    return types_pb2.Verdict(
        key=types_pb2.Key(
            purpose=key.purpose,
            channel=key.channel,
            category=_CATEGORIES[key.category],
            recipient=key.recipient,
        ),
        allowed=found.allowed,
        state=_STATES[found.state],
        reason=found.reason.value,
        basis=_BASES[found.basis] if found.basis else types_pb2.LAWFUL_BASIS_UNSPECIFIED,
        support=found.support,
        valid_to_us=found.until_us,
    )


def statement(value: Statement) -> pb.Statement:
    """A statement."""
    return pb.Statement(
        index=value.index,
        kind=kind_number(value.kind.value),
        scope=_scope(value.scope),
        notice=_notice(value.notice) if value.notice else None,
        event_time_us=value.event_us,
        recorded_at_us=value.recorded_us,
        valid_to_us=value.to_us,
        effective=value.effective,
        explicit=value.explicit,
        valid_from_us=value.from_us,
        links=value.links,
        exceptions=map(_scope, value.exceptions),
    )


def event(value: Entry, ledger: str, *, with_evidence: bool) -> pb.ConsentEvent:
    """An entry. Without evidence only what does not say who acted, how, or on which device."""
    made = pb.ConsentEvent(
        position=types_pb2.Position(ledger=ledger, epoch=value.epoch, index=value.index),
        kind=kind_number(value.kind.value),
        recorded_at_us=value.recorded_us,
        event_time_us=value.event_us,
        effective=value.effective,
        reason=value.reason,
        statement=statement(value.statement) if value.statement else None,
        linked_subject=value.link.other if value.link else "",
        carried=map(statement, value.link.statements) if value.link else (),
        actor=_actor(value.actor, whole=with_evidence) if value.actor else None,
        evidence=_evidence(value.evidence) if value.evidence and with_evidence else None,
        regimes=value.regimes,
    )
    made.note.update({name: text for name, text in value.note.items() if with_evidence or name in PUBLIC_NOTES})
    return made


def watched(value: Told | Position, ledger: str) -> pb.WatchConsentsResponse:
    """A message of a stream."""
    if isinstance(value, Position):
        return pb.WatchConsentsResponse(head=position(value))
    entry = value.entry
    change = pb.WatchConsentsResponse.Change(
        ledger=ledger,
        epoch=entry.epoch,
        index=entry.index,
        previous_index=value.previous,
        subject_id=entry.subject or "",
    )
    named: dict[str, Any] = {name_of(entry.kind): change}
    return pb.WatchConsentsResponse(**named)


def _actor(value: Actor, *, whole: bool) -> types_pb2.Actor:
    kind = types_pb2.ActorType.Value(f"ACTOR_TYPE_{value.type.value}")
    if not whole:
        return types_pb2.Actor(type=kind)
    return types_pb2.Actor(type=kind, id=value.id, auth_level=value.auth_level, on_behalf_ref=value.on_behalf_ref)


def _evidence(value: Evidence) -> types_pb2.Evidence:
    return types_pb2.Evidence(
        method=value.method,
        ui_variant=value.ui_variant,
        locale=value.locale,
        session_ref=value.session_ref,
        attachment_refs=value.attachment_refs,
        free_text=value.free_text,
    )


def _scope(value: Scope) -> types_pb2.Scope:
    return types_pb2.Scope(
        purpose=value.purpose,
        channels=sorted(value.channels),
        categories=[_CATEGORIES[category] for category in sorted(value.categories)],
        recipients=sorted(value.recipients),
    )


def _notice(value: NoticeRef) -> types_pb2.NoticeRef:
    return types_pb2.NoticeRef(
        id=value.id, version=value.version, locale=value.locale, sha256=bytes.fromhex(value.sha256)
    )
