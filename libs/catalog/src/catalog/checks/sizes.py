"""Limits on how much a bundle may hold, so that every service can promise its latency."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.checks.base import Context
from catalog.findings import Finding

LIMITS = {
    "actions": 10_000,
    "rules": 100_000,
    "signals": 500,
    "purposes": 500,
    "placements": 200,
    "channels": 50,
    "experiments": 100,
    "cases": 10_000,
}
MOST_ATTRIBUTES = 512
LARGEST_TEXTS = 8 << 20


def check_sizes(context: Context) -> Iterator[Finding]:
    """Each list stays below its limit."""
    for section, limit in LIMITS.items():
        count = len(getattr(context.bundle, section))
        if count > limit:
            yield context.error("TOO_LARGE", f"{count} {section} of {limit}", "split the catalog", section)
    declared = len(context.bundle.attributes) + len(context.bundle.features) + len(context.bundle.derived)
    if declared > MOST_ATTRIBUTES:
        yield context.error("TOO_LARGE", f"{declared} attributes of {MOST_ATTRIBUTES}", "drop some", "attributes")
    for locale, source in context.bundle.messages.items():
        if len(source.encode()) > LARGEST_TEXTS:
            yield context.error("TOO_LARGE", f"{locale} texts are too long", "shorten them", "messages", locale)
