"""What siblings answered, judged before anything rests on it: a wrong answer is a failure like any other, and is never shown.

Each check raises WrongAnswer; the stage then takes its row of the degradation table. The rules are those that this service can
judge by itself, from the bundle, the basis and the request: they repeat the siblings' own, on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from assent.catalog.v1.value_pb2 import DataCategory
from assent.content.v1.content_service_pb2 import Rendered, RenderRequest, RenderResponse
from assent.eligibility.v1.eligibility_service_pb2 import EvaluateResponse, ReserveResponse, Survivor
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.profile.v1.profile_service_pb2 import GetViewResponse, ResolveSubjectResponse, ViewField
from assent.ranking.v1.ranking_service_pb2 import Placed, RankResponse
from assent.signals.v1.signal_pb2 import SIGNAL_KIND_FRICTION
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsResponse
from catalog.model import Action
from orchestration_service.pipeline.draft import Draft
from servicekit.basis import Basis
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
    for field in view.fields:
        _must(_may_be_read(draft, field, draft.basis))


def _may_be_read(draft: Draft, field: ViewField, basis: Basis) -> bool:
    info = draft.bundle.table.get(field.attribute)
    category = _CATEGORY.get(field.category, "")
    return (
        info is not None
        and category in info.categories
        and bool(field.purposes)
        and all(basis.allows(purpose, category) for purpose in field.purposes)
    )


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
    _must(_differ(survivor.action for survivor in evaluated.survivors))
    killed, sells, actions = frozenset(draft.active.killed_of("action")), may_sell(draft), draft.bundle.action
    wanted = {placement.id for placement in draft.request.placements}
    purposes = {
        purpose.id for purpose in draft.bundle.purposes if not purpose.needs_consent or draft.allows(purpose.id)
    }
    for survivor in evaluated.survivors:
        action = actions.get(survivor.action)
        if action is None or action.id in killed or action.purpose not in purposes or (action.selling and not sells):
            raise WrongAnswer
        where = survivor.placements
        if not (where and wanted.issuperset(where) and set(where).issubset(action.placements)):
            raise WrongAnswer
        _must(in_force(action, draft.now_ms))


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
    for placed in (*ranked.slate, *ranked.reserves):
        _must(placed.action in may and placed.placement in may[placed.action].placements)
    _must(_differ(placed.action for placed in ranked.slate))
    _must(_differ((placed.placement, placed.slot) for placed in ranked.slate))
    _must(_fits(ranked.slate, {placement.id: draft.wanted(placement) for placement in draft.request.placements}))


def _differ(names: Iterable[object]) -> bool:
    return max(Counter(names).values(), default=0) <= 1


def _fits(slate: Iterable[Placed], room: Mapping[str, int]) -> bool:
    return all(count <= room[placement] for placement, count in Counter(p.placement for p in slate).items())


def check_places(asked: Iterable[str], answer: ReserveResponse) -> None:
    """Each item is taken or refused, and no other."""
    taken, refused = [each.item for each in answer.accepted], [each.item for each in answer.refused]
    _must(Counter(asked) == Counter(taken + refused))


def check_words(draft: Draft, asked: RenderRequest, rendered: RenderResponse) -> None:
    """Words for what was asked, in treatments of that very action."""
    actions = {item.item: item.action for item in asked.items}
    _must(rendered.bundle_digest == draft.active.digest)
    _must(_differ(item.item for item in rendered.items))
    for item in rendered.items:
        _must(item.item in actions)
        _must(_is_treatment(draft, item, actions[item.item]))


def _is_treatment(draft: Draft, item: Rendered, action: str) -> bool:
    known = {t.id for t in draft.bundle.action[action].treatments if draft.request.channel in t.channels}
    return item.treatment in known or (not item.treatment and bool(item.fallback))


def shown_items(placements: Iterable[pb.PlacementAnswer], slate: Iterable[Placed]) -> Collection[str]:
    """The items of a slate that an answer shows."""
    shown = {(answer.placement, treatment.action) for answer in placements for treatment in answer.treatments}
    return {item_of(placed) for placed in slate if (placed.placement, placed.action) in shown}


def item_of(placed: Placed) -> str:
    """An item's name in its decision, for reservations."""
    return f"{placed.placement}/{placed.slot}/{placed.action}"
