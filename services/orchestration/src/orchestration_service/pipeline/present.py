"""The last stages before the record: the words, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assent.content.v1.content_service_pb2 import Rendered, RenderItem, RenderRequest, RenderResponse
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.ranking.v1.ranking_service_pb2 import Placed
from orchestration_service.domain.tracking import tracking_token
from orchestration_service.pipeline import defaults, trust
from orchestration_service.pipeline.arms import variants_of
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.facts import facts_of
from orchestration_service.ports import Ports

SHOWN_FOR_MS = 10 * 60 * 1000
"""How long an answer may be shown that no reservation and no signal ends sooner."""


def render_request(draft: Draft, slate: Sequence[Placed]) -> RenderRequest:
    """The chosen actions, each with the values that its words name and its purpose may read."""
    named = facts_of(draft.bundle).named
    return RenderRequest(
        bundle_digest=draft.active.digest,
        locale=draft.request.locale,
        channel=draft.request.channel,
        items=[
            RenderItem(
                item=_item(placed),
                action=placed.action,
                placement=placed.placement,
                values=draft.values_for(placed.action, named[placed.action]),
            )
            for placed in slate
        ],
        variants=variants_of(draft),
    )


async def render(draft: Draft, ports: Ports) -> RenderResponse | None:
    """The words of the slate as it was ranked, while its places are being reserved."""
    slate = draft.slate
    if not slate:
        return None
    draft.rendered, draft.worded = await _words(draft, slate, ports), slate
    return draft.rendered


async def rerender(draft: Draft, ports: Ports) -> RenderResponse | None:
    """The words of what took a refused item's place; then `rendered` is of the slate as it is now, as if asked in one call."""
    if draft.rendered is None or draft.slate == draft.worded:
        return None
    new = [placed for placed in draft.slate if placed not in draft.worded]
    found = await _words(draft, new, ports) if new else None
    kept = {_item(placed) for placed in draft.worded if placed in draft.slate}
    words = {item.item: item for item in draft.rendered.items if item.item in kept}
    words |= {item.item: item for item in found.items} if found else {}
    items = [words[_item(placed)] for placed in draft.slate if _item(placed) in words]
    draft.worded = draft.slate
    draft.rendered = RenderResponse(items=items, bundle_digest=draft.active.digest) if draft.slate else None
    return draft.rendered


async def _words(draft: Draft, slate: Sequence[Placed], ports: Ports) -> RenderResponse:
    asked = render_request(draft, slate)
    answer = await ports.content.render(asked)
    trust.check_words(draft, asked, answer)
    return answer


def no_render(draft: Draft, _error: Exception) -> None:
    """The bundle's own fallback texts; `answer_with_fallbacks` shows them."""
    draft.rendered = None
    draft.degrade("render", "CONTENT_UNAVAILABLE")


def answer_with_words(draft: Draft, tracking_key: bytes) -> None:
    """Present the slate in the words there are; a treatment that is stopped is not shown."""
    stopped = draft.active.killed_of("treatment")
    rendered = draft.rendered.items if draft.rendered else ()
    present(draft, [item for item in rendered if item.treatment not in stopped], tracking_key)


def answer_with_fallbacks(draft: Draft, tracking_key: bytes) -> None:
    """Present the slate in the words that the bundle holds for when content is away."""
    found = (defaults.fallback(draft, placed.action, _item(placed)) for placed in draft.slate)
    present(draft, [words for words in found if words is not None], tracking_key)


def unpersonalized(draft: Draft) -> list[pb.PlacementAnswer]:
    """What may be said without a record: the service defaults, without tokens, since no outcome can belong to them."""
    plain = Draft(draft.request, draft.decision_id, draft.now_ms, draft.seed, draft.active, snapshot_version=0)
    plain.slate = defaults.static_slate(plain, {found.action: found for found in defaults.survivors(plain)})
    answer_with_fallbacks(plain, b"")
    for answer in plain.placements:
        for treatment in answer.treatments:
            treatment.ClearField("tracking_token")
    return plain.placements


def _item(placed: Placed) -> str:
    return f"{placed.placement}/{placed.slot}"


def present(draft: Draft, rendered: Iterable[Rendered], tracking_key: bytes) -> None:
    """Fill the answer: placements in the order asked, treatments by slot."""
    words = {item.item: item for item in rendered}
    draft.placements = [
        pb.PlacementAnswer(
            placement=wanted.id,
            treatments=[
                _treatment(draft, placed, words[_item(placed)], rank, tracking_key)
                for rank, placed in enumerate(_of(draft.slate, wanted.id, words), start=1)
            ],
        )
        for wanted in draft.request.placements
    ]


def _of(slate: Iterable[Placed], placement: str, words: Iterable[str]) -> list[Placed]:
    known = set(words)
    return [placed for placed in slate if placed.placement == placement and _item(placed) in known]


def _treatment(draft: Draft, placed: Placed, words: Rendered, rank: int, tracking_key: bytes) -> pb.Treatment:
    return pb.Treatment(
        action=placed.action,
        treatment=words.treatment,
        rank=rank,
        content=words.content,
        tracking_token=tracking_token(tracking_key, draft.decision_id, placed.action, rank),
        expires_at_ms=_expires(draft, placed),
        reason=_reason(draft, placed.action),
    )


def _expires(draft: Draft, placed: Placed) -> int:
    """Not after its reservation, nor after the signal that warrants it."""
    warranted = set(draft.bundle.action[placed.action].warranted_by)
    live = draft.signals.signals if draft.signals else ()
    ends = [signal.expires_at_ms for signal in live if signal.definition in warranted]
    held = draft.reserved.accepted if draft.reserved else ()
    ends += [accepted.until_ms for accepted in held if accepted.item == trust.item_of(placed)]
    return min([draft.now_ms + SHOWN_FOR_MS, *ends])


def _reason(draft: Draft, action_id: str) -> str:
    """A text code: the signal that warrants it, or its kind."""
    action = draft.bundle.action[action_id]
    live = {signal.definition for signal in draft.signals.signals} if draft.signals else set()
    cause = next((name for name in action.warranted_by if name in live), None)
    return f"signal.{cause}" if cause else f"kind.{action.kind}"
