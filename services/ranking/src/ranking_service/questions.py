"""From a RankRequest to a query: every bad field is named, never its value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from assent.catalog.v1.value_pb2 import Attribute
from assent.catalog.v1.value_pb2 import Value as WireValue
from assent.ranking.v1.ranking_service_pb2 import RankRequest
from assent.signals.v1.signal_pb2 import Signal
from ranking_service.domain.query import Candidate, Query
from ranking_service.domain.specification import Specification, Value
from servicekit.basis import SignedBasis, Verifier
from servicekit.errors import Exhausted, Invalid

MOST_CANDIDATES: Final = 1000
MOST_PLACEMENTS: Final = 64
LONGEST: Final = 256
MODEL: Final = "model:"


def query(request: RankRequest, allowed: Mapping[str, frozenset[str]], reads: AbstractSet[str]) -> Query:
    """The query of a request whose basis allows this, with the readings that a bundle's rules read and no others.

    Raises Invalid, and Exhausted for too many candidates.
    """
    if len(request.candidates) > MOST_CANDIDATES:
        raise Exhausted(f"At most {MOST_CANDIDATES} candidates.", reason="TOO_MANY_CANDIDATES", field="candidates")
    if len(request.placements) > MOST_PLACEMENTS:
        raise Invalid(f"At most {MOST_PLACEMENTS} placements.", reason="TOO_MANY", field="placements")
    if request.now_ms <= 0:
        raise Invalid("A time is needed.", reason="REQUIRED", field="now_ms")
    return Query(
        decision_id=text(request.decision_id, "decision_id"),
        now_ms=request.now_ms,
        seed=request.seed,
        channel=text(request.channel, "channel"),
        candidates=_candidates(request),
        placements=_placements(request),
        arms=dict(request.arms),
        killed=frozenset(name.removeprefix(MODEL) for name in request.killed),
        allowed=allowed,
        readings=dict(_readings(request, reads)) if reads else {},
        last_shown={shown.action: shown.at_ms for shown in request.contact.last_shown},
    )


def check_names(asked: Query, specification: Specification) -> None:
    """Raise Invalid for a candidate or placement that the bundle does not have."""
    for place, candidate in enumerate(asked.candidates):
        if candidate.action not in specification.actions:
            raise _unknown(f"candidates[{place}].action")
        if not candidate.placements <= specification.placements.keys():
            raise _unknown(f"candidates[{place}].placements")
    if not asked.placements.keys() <= specification.placements.keys():
        raise _unknown("placements")


def allowed_by(request: RankRequest, verifier: Verifier) -> Mapping[str, frozenset[str]]:
    """Categories by purpose; nothing without a basis. Raises Forbidden BASIS_* for one that does not hold at `now_ms`.

    A ranking is told no subject, so it takes the basis's own.
    """
    if not request.HasField("basis"):
        return {}
    signed = SignedBasis(request.basis.body, request.basis.key_id, request.basis.signature)
    subject = verifier.recorded(signed).subject
    now_us = request.now_ms * 1000
    return verifier.verify_then(signed, now_us=now_us, subject=subject, channel=request.channel).allowed


def text(value: str, field: str) -> str:
    """A text of 1 to 256 printable characters."""
    if not _is_text(value):
        raise _bad_text(field)
    return value


def _is_text(value: str) -> bool:
    return 0 < len(value) <= LONGEST and value.isprintable()


def _bad_text(field: str) -> Invalid:
    return Invalid(f"1 to {LONGEST} printable characters.", reason="BAD_TEXT", field=field)


def _candidates(request: RankRequest) -> tuple[Candidate, ...]:
    found = tuple(Candidate(each.action, frozenset(each.placements)) for each in request.candidates)
    for place, candidate in enumerate(found):
        if not _is_text(candidate.action):
            raise _bad_text(f"candidates[{place}].action")
    _refuse_repeats([candidate.action for candidate in found], "candidates")
    return found


def _placements(request: RankRequest) -> dict[str, int]:
    _refuse_repeats([placement.id for placement in request.placements], "placements")
    return {text(each.id, f"placements[{place}].id"): each.max_items for place, each in enumerate(request.placements)}


def _refuse_repeats(names: Collection[str], field: str) -> None:
    if len(set(names)) < len(names):
        raise Invalid("Named twice.", reason="REPEATED", field=field)


def _unknown(field: str) -> Invalid:
    return Invalid("The bundle has no such thing.", reason="UNKNOWN_ID", field=field)


def _readings(request: RankRequest, reads: AbstractSet[str]) -> Iterator[tuple[str, Value]]:
    yield from _attributes("", request.context, reads)
    for field in request.view:
        name = field.attribute
        if name in reads:
            yield from _value(name, field.value)
    for signal in sorted(request.signals, key=_weakest_first):
        yield f"signal.{signal.definition}", signal.strength
        yield from _attributes(f"signal.{signal.definition}.", signal.fields, reads)
    yield "context.channel", request.channel


def _weakest_first(signal: Signal) -> tuple[int, str]:
    """Of several signals of one definition the strongest speaks last."""
    return signal.strength, signal.id


def _attributes(prefix: str, attributes: Iterable[Attribute], reads: AbstractSet[str]) -> Iterator[tuple[str, Value]]:
    for attribute in attributes:
        name = prefix + attribute.name
        if name in reads:
            yield from _value(name, attribute.value)


def _value(name: str, value: WireValue) -> Iterator[tuple[str, Value]]:
    kind = value.WhichOneof("kind")
    if kind is not None:
        yield name, _READERS[kind](value)


_READERS: Final[Mapping[str, Callable[[WireValue], Value]]] = {
    "integer": lambda value: value.integer,
    "boolean": lambda value: value.boolean,
    "text": lambda value: value.text,
    "set": lambda value: frozenset(value.set.ids),
    "money": lambda value: value.money.amount_minor,
}
