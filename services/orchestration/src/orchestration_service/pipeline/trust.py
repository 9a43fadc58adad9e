"""What siblings answered, judged before anything rests on it: a wrong answer is a failure like any other, and is never shown.

Each check raises WrongAnswer; the stage then takes its row of the degradation table. The rules are those that this service can
judge by itself, from the bundle, the basis and the request: they repeat the siblings' own, on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from assent.catalog.v1.value_pb2 import DataCategory
from assent.content.v1.content_service_pb2 import Rendered, RenderRequest, RenderResponse
from assent.eligibility.v1.eligibility_service_pb2 import EvaluateResponse, ReserveResponse, Survivor
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.profile.v1.profile_service_pb2 import GetViewResponse, ResolveSubjectResponse
from assent.ranking.v1.ranking_service_pb2 import Placed, RankResponse
from assent.signals.v1.signal_pb2 import SIGNAL_KIND_FRICTION
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsResponse
from catalog.model import Action
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.facts import facts_of
from servicekit.errors import AssentError

LONGEST_ID = 256
_CATEGORY = {number: name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items() if number}


class WrongAnswer(AssentError):  # named like the kit's
    """A sibling's answer is not one to this question."""

    reason = "WRONG_ANSWER"


def _must(holds: bool) -> None:
    if not holds:
        raise WrongAnswer


def check_subject(asked: Identifier, found: ResolveSubjectResponse) -> None:
    """Somebody, and for our own id that very one."""
    _must(0 < len(found.subject_id) <= LONGEST_ID and found.subject_id.isprintable())
    _must(asked.type != "subject_id" or asked.value in {found.subject_id, *found.members})


def check_view(draft: Draft, view: GetViewResponse) -> None:
    """Every field is of the bundle, for purposes whose pair with its category the basis allows."""
    assert draft.basis is not None
    categories, basis = facts_of(draft.bundle).categories, draft.basis
    judged = set[tuple[int, tuple[str, ...]]]()
    for field in view.fields:
        category, purposes = field.category, tuple(field.purposes)
        if category not in categories.get(field.attribute, ()) or not purposes:
            raise WrongAnswer
        if (category, purposes) not in judged:
            _must(all(basis.allows(purpose, _CATEGORY[category]) for purpose in purposes))
            judged.add((category, purposes))


def check_signals(draft: Draft, signals: GetActiveSignalsResponse) -> None:
    """No signal of the bundle came from categories that its purpose does not allow."""
    assert draft.basis is not None
    for signal in signals.signals:
        definition = draft.bundle.signal.get(signal.definition)
        if definition is not None:
            allowed = draft.basis.allowed.get(definition.purpose, frozenset())
            _must(draft.bundle.needs[definition.id] <= allowed)


def check_survivors(draft: Draft, evaluated: EvaluateResponse) -> None:
    """Every survivor is one that may be shown, where it may be shown."""
    _must(evaluated.bundle_digest == draft.active.digest)
    known, killed, sells = facts_of(draft.bundle), frozenset(draft.active.killed_of("action")), may_sell(draft)
    actions, now_ms = draft.bundle.action, draft.now_ms
    wanted = {placement.id for placement in draft.request.placements}
    purposes = known.free.union(
        purpose for purpose in (draft.basis.allowed if draft.basis else ()) if draft.allows(purpose)
    )
    seen = set[str]()
    for survivor in evaluated.survivors:
        name, where = survivor.action, tuple(survivor.placements)
        action = actions.get(name)
        if action is None or name in killed or action.purpose not in purposes or (action.selling and not sells):
            raise WrongAnswer
        if name in seen or not (where and wanted.issuperset(where) and known.placements[name].issuperset(where)):
            raise WrongAnswer
        _must(in_force(action, now_ms))
        seen.add(name)


def in_force(action: Action, now_ms: int) -> bool:
    """Whether it is valid now."""
    validity = action.validity
    return validity.start <= now_ms and (validity.until is None or now_ms < validity.until)


def may_sell(draft: Draft) -> bool:
    """Help before sell: signals are known and fresh, and no friction is live."""
    if draft.signals is None or not draft.signals.fresh:
        return False
    return not any(
        signal.kind == SIGNAL_KIND_FRICTION
        and signal.strength >= draft.bundle.help_first.strength
        and signal.expires_at_ms > draft.now_ms
        for signal in draft.signals.signals
    )


def check_slate(draft: Draft, ranked: RankResponse, may: Mapping[str, Survivor]) -> None:
    """Survivors only, each once, where it may appear, and no more than fit."""
    slate = list(ranked.slate)
    for placed in (*slate, *ranked.reserves):
        survivor = may.get(placed.action)
        if survivor is None or placed.placement not in survivor.placements:
            raise WrongAnswer
    _must(_differ([placed.action for placed in slate]))
    _must(_differ([(placed.placement, placed.slot) for placed in slate]))
    _must(_fits(slate, {placement.id: draft.wanted(placement) for placement in draft.request.placements}))


def _differ(names: Sequence[object]) -> bool:
    return len(set(names)) == len(names)


def _fits(slate: Iterable[Placed], room: Mapping[str, int]) -> bool:
    return all(count <= room[placement] for placement, count in Counter(p.placement for p in slate).items())


def check_places(asked: Iterable[str], answer: ReserveResponse) -> None:
    """Each item is taken or refused, and no other."""
    taken, refused = [each.item for each in answer.accepted], [each.item for each in answer.refused]
    _must(sorted(asked) == sorted(taken + refused))


def check_words(draft: Draft, asked: RenderRequest, rendered: RenderResponse) -> None:
    """Words for what was asked, in treatments of that very action."""
    actions = {item.item: item.action for item in asked.items}
    _must(rendered.bundle_digest == draft.active.digest)
    _must(_differ([item.item for item in rendered.items]))
    for item in rendered.items:
        _must(item.item in actions)
        _must(_is_treatment(draft, item, actions[item.item]))


def _is_treatment(draft: Draft, item: Rendered, action: str) -> bool:
    known = facts_of(draft.bundle).treatments[action, draft.request.channel]
    return item.treatment in known or (not item.treatment and bool(item.fallback))


def shown_items(placements: Iterable[pb.PlacementAnswer], slate: Iterable[Placed]) -> Collection[str]:
    """The items of a slate that an answer shows."""
    shown = {(answer.placement, treatment.action) for answer in placements for treatment in answer.treatments}
    return {item_of(placed) for placed in slate if (placed.placement, placed.action) in shown}


def item_of(placed: Placed) -> str:
    """An item's name in its decision, for reservations."""
    return f"{placed.placement}/{placed.slot}/{placed.action}"
