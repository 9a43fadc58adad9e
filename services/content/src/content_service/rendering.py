"""Render: the treatment of an action for a channel, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assent.content.v1 import content_service_pb2 as pb
from catalog.model import Bundle, Treatment
from catalog.rendering import NotRenderable, Renderer, Values
from catalog.values import Missing
from servicekit.errors import Invalid
from servicekit.values import plain

MOST_ITEMS = 64


@dataclass(frozen=True, slots=True)
class Speaker:
    """A bundle and its texts, parsed once."""

    bundle: Bundle
    renderer: Renderer

    @classmethod
    def of(cls, bundle: Bundle) -> Speaker:
        """Ready to speak."""
        return cls(bundle, Renderer(bundle))


def render_items(speaker: Speaker, request: pb.RenderRequest) -> list[pb.Rendered]:
    """Each item in words, in the order asked. Raises Invalid for what the bundle does not have."""
    if request.channel not in speaker.bundle.channel:
        raise Invalid("The bundle has no such channel", reason="UNKNOWN_CHANNEL", field="channel")
    if len(request.items) > MOST_ITEMS:
        raise Invalid(f"At most {MOST_ITEMS} items", reason="BAD_COUNT", field="items")
    for position, item in enumerate(request.items):
        if item.action not in speaker.bundle.action:
            raise Invalid("The bundle has no such action", reason="UNKNOWN_ACTION", field=f"items[{position}].action")
    return [_rendered(speaker, request, item) for item in request.items]


def _rendered(speaker: Speaker, request: pb.RenderRequest, item: pb.RenderItem) -> pb.Rendered:
    treatment = _treatment(speaker.bundle, request, item)
    if treatment is None:
        return _fallback(speaker, request, item, "NO_TREATMENT")
    try:
        names = speaker.renderer.names(treatment.id, request.locale, request.channel)
        values = _values(item, names) if names else {}
        (words,) = speaker.renderer.render([treatment.id], request.locale, request.channel, values)
    except NotRenderable:
        return _fallback(speaker, request, item, "NO_TREATMENT")
    content = pb.RenderedContent(
        title=words.slots.get("title", ""),
        body=words.slots.get("body", ""),
        call_to_action=words.slots.get("cta", ""),
        link=words.link or "",
        icon=words.icon or "",
        tone=words.tone,
        locale=words.locale,
    )
    return pb.Rendered(item=item.item, treatment=treatment.id, content=content)


def _treatment(bundle: Bundle, request: pb.RenderRequest, item: pb.RenderItem) -> Treatment | None:
    """The action's first treatment on the channel, of the variant that an experiment chose."""
    variants: Mapping[str, str] = request.variants
    found = bundle.action[item.action].treatments_on(request.channel, variants.get(item.action))
    return found[0] if found else None


def _values(item: pb.RenderItem, names: frozenset[str]) -> Values:
    """The values that the words name; an item brings all that its purpose may read."""
    values = ((attribute.name, plain(attribute.value)) for attribute in item.values if attribute.name in names)
    return {name: Missing.UNKNOWN if value is None else value for name, value in values}


def _fallback(speaker: Speaker, request: pb.RenderRequest, item: pb.RenderItem, why: str) -> pb.Rendered:
    body = speaker.renderer.fallback(item.action, request.locale)
    return pb.Rendered(item=item.item, content=pb.RenderedContent(body=body), fallback=why)
