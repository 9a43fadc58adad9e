"""What auditors ask. Every bad field is named."""

from __future__ import annotations

import re
from typing import Any, Final

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service.auditing.entries_store import Picked
from consent_service.auditing.exporting import Export
from consent_service.auditing.finding import Place, Reliances, Search
from consent_service.auditing.proving import Prove
from consent_service.domain.leaf import LeafClass
from consent_service.history import FOREVER
from consent_service.reliance.assessing import Rule
from consent_service.requests import parts
from consent_service.requests.fields import bad, bounded, named, names, optional, purpose, time

PAGE: Final = 100
LONGEST_PAGE: Final = 1000
SEARCH: Final = 1000
LONGEST_SEARCH: Final = 10_000
LAST_INDEX: Final = (1 << 62) - 1
_PLACE: Final = re.compile(r"(0|[1-9][0-9]{0,18}) ([^ ]{1,256}) ([^ ]{1,128})")
_KIND: Final = re.compile(r"[A-Z][A-Z_]{0,31}")
_ACTORS: Final = {number: name.removeprefix("ACTOR_TYPE_") for name, number in types_pb2.ActorType.items() if number}
_RULES: Final = {
    number: Rule(name.removeprefix("VIOLATION_RULE_")) for name, number in pb.ViolationRule.items() if number
}


def prove(request: pb.ProveConsentStateRequest) -> Prove:
    """A state to prove."""
    if request.detail not in pb.ProofDetail.values():
        bad("detail", "PUBLIC or FULL is taken.")
    return Prove(
        subject=parts.subject(request.subject_id),
        key=parts.key(request.key, "key"),
        as_of_us=time(request.as_of_us, "as_of_us") if request.HasField("as_of_us") else None,
        known_us=time(request.as_known_at_us, "as_known_at_us") if request.HasField("as_known_at_us") else None,
        regimes=names(request.regimes, "regimes"),
        full=request.detail == pb.PROOF_DETAIL_FULL,
    )


def reliances(request: pb.ListReliancesRequest) -> Reliances:
    """A page of reliances."""
    if request.HasField("entry") and request.entry > LAST_INDEX:
        bad("entry", "An entry's index is needed.")
    return Reliances(
        support=request.entry if request.HasField("entry") else None,
        subject=parts.subject(request.subject_id) if request.subject_id else None,
        after=_place(request.page_token),
        amount=_amount(request.page_size, PAGE, LONGEST_PAGE),
        **_span(request),
    )


def search(request: pb.FindViolationsRequest) -> Search:
    """Violations to find."""
    unknown = [number for number, rule in enumerate(request.rules) if rule not in _RULES]
    if unknown:
        bad(f"rules[{unknown[0]}]", "A rule is needed.")
    return Search(
        rules=frozenset(_RULES[rule] for rule in request.rules) or frozenset(Rule),
        margin_us=time(request.clock_margin_us, "clock_margin_us"),
        after=_place(request.page_token),
        amount=_amount(request.page_size, SEARCH, LONGEST_SEARCH),
        **_span(request),
    )


def _span(request: Any) -> dict[str, int]:
    first = time(request.from_us, "from_us")
    last = time(request.to_us, "to_us") or FOREVER
    if first > last:
        bad("to_us", "It is before from_us.")
    return {"from_us": first, "to_us": last}


def _amount(asked: int, default: int, most: int) -> int:
    if not 0 <= asked <= most:
        bad("page_size", f"A page has 1 to {most}.")
    return asked or default


def _place(token: str) -> Place:
    found = _PLACE.fullmatch(token) if token else None
    if token and found is None:
        bad("page_token", "The token is not of an earlier answer.")
    return Place(int(found[1]), found[2], found[3]) if found is not None else Place()


def token(place: Place | None) -> str:
    """Where the next page begins."""
    return f"{place.decided_us} {place.decision} {place.purpose}" if place is not None else ""


def export(request: pb.ExportAuditRequest) -> Export:
    """What to export."""
    first, last = index_range(request)
    return Export(
        first, last, _picked(request), optional(request.actor_id, "actor_id"), optional(request.method, "method")
    )


def index_range(request: pb.ExportAuditRequest | pb.VerifyRangeRequest) -> tuple[int, int]:
    """From and to, where 0 is the end."""
    first, last = getattr(request, "from"), request.to
    if first > LAST_INDEX or last > LAST_INDEX or (last and first > last):
        bad("to", "It is an index after `from`.")
    return first, last


def _picked(request: pb.ExportAuditRequest) -> Picked:
    classes = tuple(sorted(set(bounded(request.classes, "classes", most=4))))
    if not set(classes) <= set(LeafClass):
        bad("classes", "A class is 1 to 4.")
    kinds = tuple(sorted(set(bounded(request.kinds, "kinds", most=32))))
    if not all(map(_KIND.fullmatch, kinds)):
        bad("kinds", "A kind is a word in capitals.")
    if request.actor and request.actor not in _ACTORS:
        bad("actor", "A type of actor is needed.")
    return Picked(
        classes=classes or None,
        kinds=kinds or None,
        actor=_ACTORS.get(request.actor),
        notice=_notice(request.notice) if request.HasField("notice") else None,
        purpose=purpose(request.purpose, "purpose") if request.purpose else None,
        regime=named(request.regime, "regime") if request.regime else None,
        effective=request.effective if request.HasField("effective") else None,
        event_from=_time(request, "event_from_us"),
        event_to=_time(request, "event_to_us"),
        ends_from=_time(request, "valid_to_from_us"),
        ends_to=_time(request, "valid_to_to_us"),
    )


def _notice(asked: types_pb2.NoticeRef) -> str:
    """As the ledger's column has it."""
    return f"{named(asked.id, 'notice.id')} {asked.version} {named(asked.locale, 'notice.locale')}"


def _time(request: pb.ExportAuditRequest, name: str) -> int | None:
    return time(getattr(request, name), name) if request.HasField(name) else None  # type: ignore[arg-type]
