"""Durations as the catalog writes them: an integer and one of `ms s m h d w`, held as whole milliseconds."""

from __future__ import annotations

import re

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(0|[1-9][0-9]{0,12})(ms|s|m|h|d|w)")


def parse_duration(text: str) -> int:
    """Milliseconds of `90s`, `7d`, ...; raises ValueError when it is written otherwise."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration: write an integer and one of {' '.join(UNITS_MS)}, such as 90s")
    return int(found[1]) * UNITS_MS[found[2]]


def format_duration(milliseconds: int) -> str:
    """The shortest text that parses to the same milliseconds."""
    for unit, size in sorted(UNITS_MS.items(), key=lambda item: -item[1]):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    raise AssertionError(milliseconds)
