"""Where a jurisdiction's law applies: `DE` lies in `EU`, `US-CA` in `US`, and every place in itself."""

from __future__ import annotations

EUROPEAN_UNION = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905  # reads best
)


def lies_in(place: str, jurisdiction: str) -> bool:
    """Whether the law of `jurisdiction` applies at `place`."""
    country = place.partition("-")[0]
    return jurisdiction in {place, country} or (jurisdiction == "EU" and country in EUROPEAN_UNION)
