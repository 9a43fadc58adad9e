# ruff: noqa: INP001, T201  a script, not a package; it says what it wrote
"""Generates the tables of `ranking_service/data`: `python services/ranking/tools/tables.py`. Run once; the files are committed.

Normal quantiles by Newton's method on the distribution function, which is summed as a series in 50 decimal digits. The table
then holds the nearest integers, so another implementation of any higher precision gives the same bytes.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext
from pathlib import Path
from statistics import NormalDist

DIGITS = 50
STEPS = 4096
SCALE = 1 << 20
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
DATA = Path(__file__).parent.parent / "src" / "ranking_service" / "data"


def excess(x: Decimal) -> Decimal:
    """Phi(x) - 1/2 over phi(x): x + x^3/3 + x^5/(3*5) + ... (Marsaglia 2004); all terms have one sign."""
    term, total, odd = x, x, 1
    while abs(term) > Decimal(10) ** -(DIGITS - 2):
        odd += 2
        term = term * x * x / odd
        total += term
    return total


def density(x: Decimal) -> Decimal:
    """The normal density."""
    return (-x * x / 2).exp() / (2 * PI).sqrt()


def quantile(p: Decimal) -> Decimal:
    """The x with Phi(x) = p, for p in (0, 1)."""
    x = Decimal(NormalDist().inv_cdf(float(p)))
    for _ in range(4):
        x -= excess(x) - (p - Decimal("0.5")) / density(x)
    return x


def normal_quantiles() -> list[int]:
    """Integers at 2^-20 for k/4096; the table is odd, so half of it is computed."""
    with localcontext() as context:
        context.prec = DIGITS
        points = [1 - Decimal(2) ** -14 if k == STEPS else Decimal(k) / STEPS for k in range(STEPS // 2 + 1, STEPS + 1)]
        upper = [int((quantile(point) * SCALE).to_integral_value()) for point in points]
    return [-value for value in reversed(upper)] + [0] + upper


def written(values: list[int]) -> bytes:
    """One integer per line."""
    return "".join(f"{value}\n" for value in values).encode()


def main() -> None:
    """Write the file, and print the name that `domain/tables.py` must give."""
    text = written(normal_quantiles())
    digest = hashlib.sha256(text).hexdigest()
    DATA.mkdir(exist_ok=True)
    (DATA / f"{digest}.txt").write_bytes(text)
    print("NQ", digest)


if __name__ == "__main__":
    main()
