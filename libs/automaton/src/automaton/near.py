"""Distances between points on a screen, in whole pixels, compared exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

Point = tuple[int, int]
MANY: Final = 16
"""Points kept as they are before only the corners of their hull are."""


@dataclass(frozen=True, slots=True)
class Near:
    """A bound: `limit` is whole pixels, or their square for the euclidean metric."""

    metric: str
    limit: int
    to_all: bool

    def within(self, a: Point, b: Point) -> bool:
        """Whether two points are at most the bound apart."""
        dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
        if self.metric == "euclidean":
            return dx * dx + dy * dy <= self.limit
        return (dx + dy if self.metric == "manhattan" else max(dx, dy)) <= self.limit


def near(px: Decimal, metric: str, *, to_all: bool) -> Near:
    """The bound of `px` pixels: distances are whole or roots of whole numbers, so rounding down loses nothing."""
    return Near(metric, math.floor(px * px) if metric == "euclidean" else math.floor(px), to_all)


def hull(points: list[Point]) -> list[Point]:
    """The points, or from many only the corners: the farthest point from anywhere is always a corner (monotone chain)."""
    if len(points) <= MANY:
        return points
    ordered = sorted(set(points))
    return _chain(ordered) + _chain(ordered[::-1]) if len(ordered) > 2 else ordered


def _chain(points: list[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in points:
        while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
            kept.pop()
        kept.append(point)
    return kept[:-1]


def _turn(o: Point, a: Point, b: Point) -> int:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
