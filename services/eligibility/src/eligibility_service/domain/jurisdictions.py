"""Whose law applies: a pack binds when the customer, or the bank, is in its jurisdiction (eligibility.md section 8)."""

from __future__ import annotations

from collections.abc import Collection

from catalog.model import Bundle, Pack

EUROPEAN_UNION = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905  # reads best
)


def lies_in(place: str, jurisdiction: str) -> bool:
    """Whether `DE` lies in `EU`, or `US-CA` in `US`; every place lies in itself."""
    country = place.partition("-")[0]
    return jurisdiction in {place, country} or (jurisdiction == "EU" and country in EUROPEAN_UNION)


def binds(jurisdiction: str, bundle: Bundle, named: Collection[str]) -> bool:
    """Whether its law applies to a customer of these jurisdictions; the booking bank's own always counts too."""
    return any(lies_in(place, jurisdiction) for place in (*named, bundle.bank.jurisdiction))


def packs_in_force(bundle: Bundle, named: Collection[str]) -> tuple[Pack, ...]:
    """The pinned packs that bind; where several do, all apply."""
    return tuple(pack for pack in bundle.active_packs if binds(pack.jurisdiction, bundle, named))
