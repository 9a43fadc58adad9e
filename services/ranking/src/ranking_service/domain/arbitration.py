"""Arbitration (ranking.md section 3): `priority = ((P * V) * C) * L` in IEEE-754 binary64.

The grouping is part of the definition: another order of the products differs in the last bit. Percents are added as exact
decimals and rounded to binary64 once, so that their order cannot matter. Nothing else here is a float.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from servicekit.errors import Invalid

HIGHEST_FACTOR: Final = 10
ONE: Final = 1 << 30
"""A probability of 1: probabilities are integers in units of 2^-30."""

OrderKey = tuple[bool, float, str, str]


def priority(propensity: float, value: float, context_weight: float, lever: float) -> float:
    """((P * V) * C) * L, in exactly this grouping."""
    return ((propensity * value) * context_weight) * lever


def factor(percents: Iterable[Decimal | int]) -> float:
    """`1 + sum / 100` for a lever or a context weight: 55 gives 1.55. Raises Invalid outside of [0, 10]."""
    return _factor(tuple(percents))


@lru_cache(maxsize=4096)
def _factor(percents: tuple[Decimal | int, ...]) -> float:
    exact = 1 + Fraction(sum(map(Fraction, percents), Fraction(0)), 100)
    if not 0 <= exact <= HIGHEST_FACTOR:
        raise Invalid("A lever or context weight is between 0 and 10.", reason="FACTOR_OUT_OF_RANGE")
    return exact.numerator / exact.denominator


def units(probability: Decimal | int) -> int:
    """A probability in units of 2^-30, the nearest one. Raises Invalid outside of [0, 1]."""
    if not 0 <= probability <= 1:
        raise Invalid("A probability is between 0 and 1.", reason="PROBABILITY_OUT_OF_RANGE")
    return math.floor(Fraction(probability) * ONE + Fraction(1, 2))


def order_key(*, mandatory: bool, priority: float, action: str, treatment: str = "") -> OrderKey:
    """Sorts as section 3 orders: mandatory first, priority descending, then ids in the order of their UTF-8 bytes.

    Python compares text by code point, which is the order of UTF-8 bytes.
    """
    return (not mandatory, -priority, action, treatment)
