"""Requests that write. Every bad field is named; what only says no is never turned away for how it says it."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service.commands import Publish, RecordChoice, SetLink, Signal, Withdraw
from consent_service.domain.acceptance import Item, Screen
from consent_service.domain.choices import NoticeRef
from consent_service.domain.words import LIFT_OF, Kind
from consent_service.ports import NoticeBytes
from consent_service.requests import parts
from consent_service.requests.fields import bad, bounded, if_named, named, names, optional, time

MOST_ITEMS: Final = 64
MOST_SCOPES: Final = 32
MOST_DOCUMENT_BYTES: Final = 1 << 20
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SIGNAL: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ITEMS: Final = {
    types_pb2.CHOICE_KIND_GRANT: Kind.GRANT,
    types_pb2.CHOICE_KIND_REFUSE: Kind.REFUSE,
    types_pb2.CHOICE_KIND_NOTICE_SERVED: Kind.NOTICE_SERVED,
}
_OBJECTIONS: Final = {
    types_pb2.CHOICE_KIND_OBJECT: Kind.OBJECT,
    types_pb2.CHOICE_KIND_RESTRICT: Kind.RESTRICT,
}


def record_choice(request: pb.RecordChoiceRequest) -> RecordChoice:
    """A preference screen. One that only says no keeps what can be kept, and refuses nothing but what cannot be understood."""
    bounded(request.items, "items", least=1, most=MOST_ITEMS)
    items = tuple(_item(item, f"items[{number}]") for number, item in enumerate(request.items))
    return _choice(request, items)


def grant(request: pb.GrantConsentRequest) -> RecordChoice:
    """Grants under one notice."""
    bounded(request.scopes, "scopes", least=1, most=MOST_SCOPES)
    found = ((parts.scope(scope, f"scopes[{n}]"), f"scopes[{n}]") for n, scope in enumerate(request.scopes))
    times = _valid(request, "")
    items = tuple(Item(Kind.GRANT, parts.listed(scope, at), request.explicit, **times, at=at) for scope, at in found)
    return _choice(request, items)


def objection(request: pb.RecordObjectionRequest) -> RecordChoice:
    """An objection or a restriction, or its lifting."""
    kind = _OBJECTIONS.get(request.kind)
    if kind is None:
        bad("kind", "OBJECT or RESTRICT is needed.")
    kind = kind if request.on else LIFT_OF[kind]
    return _choice(request, tuple(Item(kind, scope, at=at) for scope, at in parts.selected(request)))


def _choice(request: Any, items: tuple[Item, ...]) -> RecordChoice:
    lenient = all(item.denial for item in items)
    shown = "notice" in request.DESCRIPTOR.fields_by_name and request.HasField("notice")
    screen = Screen(
        items=items,
        actor=parts.lenient_actor(request.actor) if lenient else parts.actor(request.actor),
        evidence=parts.lenient_evidence(request.evidence) if lenient else parts.evidence(request.evidence),
        notice=parts.notice(request.notice, "notice") if shown and not lenient else None,
        event_us=_event(request),
        regimes=() if lenient else names(request.regimes, "regimes"),
    )
    return RecordChoice(parts.request_of(request), parts.subject(request.subject_id), screen)


def _event(request: Any) -> int | None:
    """The time that the client claims, whatever it is: acceptance judges it."""
    return request.event_time_us if request.HasField("event_time_us") else None


def _item(item: pb.Choice, at: str) -> Item:
    kind = _ITEMS.get(item.kind)
    if kind is None:
        bad(f"{at}.kind", "GRANT, REFUSE or NOTICE_SERVED is needed.")
    scope = parts.scope(item.scope, f"{at}.scope")
    if kind is Kind.REFUSE:
        return Item(kind, scope)
    return Item(kind, parts.listed(scope, f"{at}.scope"), item.explicit, **_valid(item, f"{at}."))


def _valid(value: pb.Choice | pb.GrantConsentRequest, at: str) -> dict[str, Any]:
    """From when and until when."""
    return {
        "from_us": time(value.valid_from_us, f"{at}valid_from_us") if value.HasField("valid_from_us") else None,
        "to_us": time(value.valid_to_us, f"{at}valid_to_us") if value.HasField("valid_to_us") else None,
    }


def withdraw(request: pb.WithdrawConsentRequest) -> Withdraw:
    """A withdrawal. Its selector must be understood; nothing else can turn it away."""
    by_index = request.WhichOneof("selector") == "grant"
    return Withdraw(
        request=parts.request_of(request),
        subject=parts.subject(request.subject_id),
        scopes=() if by_index else tuple(scope for scope, _ in parts.selected(request)),
        grant=request.grant if by_index else None,
        actor=parts.lenient_actor(request.actor),
        reason=request.reason if _TOKEN.fullmatch(request.reason) else "",
        event_us=_event(request),
    )


def signal(request: pb.RecordOptOutSignalRequest) -> Signal:
    """An opt-out signal; its name in lower case."""
    name = request.signal.lower()
    if not _SIGNAL.fullmatch(name):
        bad("signal", "A signal's name is needed.")
    return Signal(
        request=parts.request_of(request),
        subject=parts.subject(request.subject_id),
        signal=name,
        on=request.on,
        regime=optional(request.regime, "regime"),
        device_ref=if_named(request.device_ref) if request.on else optional(request.device_ref, "device_ref"),
        actor=parts.lenient_actor(request.actor) if request.on else parts.actor(request.actor),
        evidence=parts.lenient_evidence(request.evidence) if request.on else parts.evidence(request.evidence),
        event_us=_event(request),
    )


def set_link(request: pb.SetSubjectLinkRequest) -> SetLink:
    """A wanted link."""
    survivor, absorbed = parts.subject(request.survivor, "survivor"), parts.subject(request.absorbed, "absorbed")
    if survivor == absorbed:
        bad("absorbed", "A subject is not linked to itself.")
    evidence_ref = optional(request.evidence_ref, "evidence_ref")
    return SetLink(parts.request_of(request), survivor, absorbed, request.linked, evidence_ref)


def publish(request: pb.PublishRegistryRequest) -> Publish:
    """A registry to publish."""
    if not 0 < len(request.document) <= MOST_DOCUMENT_BYTES:
        bad("document", "A document of at most 1 MiB is needed.")
    return Publish(
        request=parts.request_of(request),
        document=request.document,
        notices=tuple(_notice_bytes(notice, f"notices[{n}]") for n, notice in enumerate(request.notices)),
        approvers=names(request.approvers, "approvers"),
    )


def _notice_bytes(notice: pb.Notice, at: str) -> NoticeBytes:
    digest = hashlib.sha256(notice.bytes).hexdigest()
    ref = NoticeRef(named(notice.id, f"{at}.id"), notice.version, named(notice.locale, f"{at}.locale"), digest)
    return NoticeBytes(ref, notice.bytes)
