"""Messages to the domain's request, and evaluations back to messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from assent.catalog.v1.value_pb2 import IdSet
from assent.catalog.v1.value_pb2 import Value as WireValue
from assent.eligibility.v1 import eligibility_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2 as profile
from assent.signals.v1.signal_pb2 import Signal, SignalKind
from catalog.values import Missing, Value
from eligibility_service.border import counted, known, moment, text
from eligibility_service.domain.evaluation import Evaluation
from eligibility_service.domain.reasons import Reason
from eligibility_service.domain.request import ContactState, LiveSignal, Money, Pause, RawValue, Request, Seen, Used
from servicekit.errors import Invalid
from servicekit.values import plain

SOURCES = frozenset({"profile", "signals", "contact"})
STRONGEST = 3
REMEMBERED = 4096
MOST_PLACEMENTS = 64
MOST_JURISDICTIONS = 16

_WITHHELD = {
    profile.WITHHELD_REASON_UNSPECIFIED: Missing.UNKNOWN,
    profile.WITHHELD_REASON_UNKNOWN: Missing.UNKNOWN,
    profile.WITHHELD_REASON_NO_CONSENT: Missing.NO_CONSENT,
    profile.WITHHELD_REASON_STALE: Missing.STALE,
}


def raw(value: WireValue) -> RawValue:
    """A value as it came; money keeps its currency."""
    kind = value.WhichOneof("kind")
    if kind == "money":
        return Money(value.money.amount_minor, value.money.currency)
    return plain(value) if kind == "set" or kind is None else getattr(value, kind)


def to_request(message: pb.EvaluateRequest, allowed: Mapping[str, frozenset[str]] | None) -> Request:
    """The request as the domain reads it. Raises Invalid naming the field."""
    _check(message)
    return Request(
        now_ms=message.now_ms,
        channel=message.channel,
        allowed=allowed,
        placements=tuple(message.placements),
        jurisdictions=tuple(message.jurisdictions),
        view=_View(message.view),
        withheld=_withheld(message),
        signals=_signals(message),
        signals_fresh=message.signals_fresh,
        context={attribute.name: raw(attribute.value) for attribute in message.context},
        contact=_contact(message.contact) if message.HasField("contact") else None,
        killed=frozenset(message.killed),
        unavailable=frozenset(message.unavailable),
    )


class _View(Mapping[str, Seen]):
    """The fields of a view, each translated when a rule reads it: a decision reads a third of them."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[profile.ViewField]) -> None:
        self._fields = {field.attribute: field for field in fields}

    def __getitem__(self, name: str) -> Seen:
        field = self._fields[name]
        return Seen(raw(field.value), field.as_of_ms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _check(message: pb.EvaluateRequest) -> None:
    moment(message.now_ms, "now_ms")
    text(message.channel, "channel")
    counted(message.placements, "placements", least=0, most=MOST_PLACEMENTS)
    counted(message.jurisdictions, "jurisdictions", least=0, most=MOST_JURISDICTIONS)
    if not SOURCES.issuperset(message.unavailable):
        raise Invalid(f"Only {', '.join(sorted(SOURCES))}.", reason="UNKNOWN_SOURCE", field="unavailable")


def _withheld(message: pb.EvaluateRequest) -> dict[str, Missing]:
    for place, each in enumerate(message.withheld):
        if each.reason not in _WITHHELD:
            known(each.reason, profile.WithheldReason, f"withheld[{place}].reason")
    return {each.attribute: _WITHHELD[each.reason] for each in message.withheld}


def _signals(message: pb.EvaluateRequest) -> dict[str, LiveSignal]:
    """The strongest live signal of each definition; one without an end has not ended."""
    live: dict[str, LiveSignal] = {}
    for place, signal in enumerate(message.signals):
        given = _live(signal, f"signals[{place}]")
        strongest = live.get(signal.definition)
        ended = 0 < signal.expires_at_ms <= message.now_ms
        if not ended and (strongest is None or strongest.strength < given.strength):
            live[signal.definition] = given
    return live


def _live(signal: Signal, field: str) -> LiveSignal:
    kind = SignalKind.Name(known(signal.kind, SignalKind, f"{field}.kind"))
    if not 1 <= signal.strength <= STRONGEST:
        raise Invalid(f"A strength is 1 to {STRONGEST}.", reason="OUT_OF_RANGE", field=f"{field}.strength")
    stated = "" if signal.kind == SignalKind.SIGNAL_KIND_UNSPECIFIED else kind.removeprefix("SIGNAL_KIND_").lower()
    return LiveSignal(stated, signal.strength, {each.name: raw(each.value) for each in signal.fields})


def _contact(message: pb.ContactState) -> ContactState:
    return ContactState(
        version=message.version,
        pauses=tuple(Pause(p.policy, p.scope, p.key, p.until_ms, p.channel) for p in message.pauses),
        counts=tuple(Used(c.limit, c.used, c.resets_ms) for c in message.counts),
        last_shown={shown.action: shown.at_ms for shown in message.last_shown},
    )


def from_contact(state: ContactState) -> pb.ContactState:
    """Contact state on the wire, everything sorted."""
    return pb.ContactState(
        version=state.version,
        pauses=[
            pb.Pause(policy=p.policy, scope=p.scope, key=p.key, channel=p.channel, until_ms=p.until_ms)
            for p in sorted(state.pauses, key=lambda p: (p.policy, p.key, p.channel))
        ],
        counts=[pb.LimitCount(limit=c.limit, used=c.used, resets_ms=c.resets_ms) for c in state.counts],
        last_shown=[pb.LastShown(action=action, at_ms=at) for action, at in sorted(state.last_shown.items())],
    )


def from_evaluation(digest: str, found: Evaluation) -> pb.EvaluateResponse:
    """An evaluation on the wire: equal evaluations give equal bytes."""
    response = pb.EvaluateResponse(bundle_digest=digest)
    # Parts are made where they belong: messages of their own would be copied.
    for s in found.survivors:
        response.survivors.add(action=s.action, placements=s.placements, needs_reservation=s.needs_reservation)
    for each in found.rejected:
        rejected = response.rejected.add(action=each.action, stage=each.stage)
        rejected.MergeFromString(b"".join([_encoded(reason, isinstance(reason.seen, bool)) for reason in each.reasons]))
    for stage, removed in found.stage_counts:
        response.stage_counts.add(stage=stage, removed=removed)
    return response


@lru_cache(REMEMBERED)
def _encoded(reason: Reason, _boolean: bool) -> bytes:
    """A rejection with this reason alone, which merges into others: reasons are few, and are encoded once. True equals 1, hence the flag."""
    return pb.Rejected(reasons=[_reason(reason)]).SerializeToString()


def _reason(reason: Reason) -> pb.Reason:
    return pb.Reason(
        stage=reason.stage,
        rule=reason.rule,
        code=reason.code,
        attribute=reason.attribute,
        seen=None if reason.seen is None or isinstance(reason.seen, Missing) else _wire(reason.seen),
        needed=reason.needed,
        missing=reason.missing,
        disclose=reason.disclose,
        text=reason.text,
    )


def _wire(value: Value) -> WireValue:
    if isinstance(value, bool):
        return WireValue(boolean=value)
    if isinstance(value, int):
        return WireValue(integer=value)
    if isinstance(value, str):
        return WireValue(text=value)
    return WireValue(set=IdSet(ids=sorted(value)))
