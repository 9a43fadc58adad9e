"""What follows from a bundle alone and every decision asks for: worked out once per bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from assent.catalog.v1.value_pb2 import DataCategory
from catalog.digest import bundle_from_json
from catalog.expression import Expression, attributes
from catalog.model import Bundle
from catalog.texts import attributes_named

MOST: Final = 8
_NUMBER: Final = {name.removeprefix("DATA_CATEGORY_").lower(): number for name, number in DataCategory.items()}
_KNOWN: Final[dict[int, Facts]] = {}


class Facts:
    """Lookups over one bundle."""

    __slots__ = (
        "audiences",
        "bundle",
        "categories",
        "free",
        "jurisdictions",
        "named",
        "placements",
        "ranked",
        "treatments",
    )

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.audiences: Mapping[str, Expression] = {
            each.id: bundle.expression(each.audience) for each in bundle.experiments if each.audience is not None
        }
        self.categories = {
            name: frozenset(map(_NUMBER.__getitem__, info.categories)) for name, info in bundle.table.items()
        }
        self.free = frozenset(purpose.id for purpose in bundle.purposes if not purpose.needs_consent)
        self.jurisdictions = sorted({pack.jurisdiction for pack in bundle.active_packs})
        self.named = attributes_named(bundle)
        weights = (bundle.expression(weight.when) for weight in bundle.ranking.context_weights)
        self.ranked = frozenset(each.source for each in bundle.ranking.features).union(*map(attributes, weights))
        self.placements = {action.id: frozenset(action.placements) for action in bundle.actions}
        self.treatments = {
            (action.id, channel): frozenset(known.id for known in action.treatments if channel in known.channels)
            for action in bundle.actions
            for channel in bundle.channel
        }


def facts_of(bundle: Bundle) -> Facts:
    """The facts of this very bundle: by identity, which holding it makes safe, since comparing bundles costs more than deciding."""
    found = _KNOWN.get(id(bundle))
    if found is None:
        if len(_KNOWN) >= MOST:
            _KNOWN.clear()
        found = _KNOWN[id(bundle)] = Facts(bundle)
    return found


def bundle_with_facts(document: bytes) -> Bundle:
    """A bundle whose facts are known before the first decision asks."""
    bundle = bundle_from_json(document)
    facts_of(bundle)
    return bundle
