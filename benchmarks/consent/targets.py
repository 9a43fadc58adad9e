"""The table of consent.md, section 13: what was found, and whether it is what was wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Found = Mapping[str, Any]
Row = dict[str, Any]


def at_most(quantity: str, limit: float, found: float, unit: str) -> Row:
    """Less is better."""
    return _row(quantity, "<=", limit, found, unit, met=found <= limit)


def at_least(quantity: str, limit: float, found: float, unit: str) -> Row:
    """More is better."""
    return _row(quantity, ">=", limit, found, unit, met=found >= limit)


def _row(quantity: str, sign: str, limit: float, found: float, unit: str, *, met: bool) -> Row:
    said = f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.3g}"
    return {"quantity": quantity, "target": f"{sign} {limit:,g} {unit}", "found": f"{said} {unit}", "met": met}


def append(found: Found) -> list[Row]:
    """Of `bench_append`."""
    return [
        at_least("engine appends, 64 callers", 8000, found["rate"], "/s"),
        at_least("the same as a part of plain COPY", 0.10, found["ratio"], "x plain"),
        at_most("the same, p99", 25, found["p99_ms"], "ms"),
        at_most("stored an entry", 1700, found["bytes"]["entry"], "B"),
        at_most("log and tiles alone", 400, found["bytes"]["log"], "B"),
    ]


def growth(found: Found) -> list[Row]:
    """Of `bench_append --entries`."""
    size = found["rows"][-1]["entries"]
    return [at_least(f"rate of the last step to {size:,} entries", 0.8, found["last_x_first"], "x the first")]


def withdraw(found: Found) -> list[Row]:
    """Of `bench_withdraw`."""
    taken = found["withdraw"]
    return [
        at_most("withdraw acknowledged, 2k/s of mixed writes, p50", 5, taken["p50"], "ms"),
        at_most("the same, p99", 20, taken["p99"], "ms"),
        at_most("the same, p50", 12, taken["p50"] / found["floor"]["p50"], "x a one-row durable INSERT"),
    ]


def check(found: Found) -> list[Row]:
    """Of `bench_check`."""
    rows = {row["what"]: row for row in found["rows"]}
    one, basis = rows["CheckConsent"], rows["EvaluateBasis"]
    return [
        at_least("CheckConsent over NATS, 16 callers", 0.25, one["x_floor"], "x floor"),
        at_most("the same, p99", 5, one["ms"]["p99"], "ms"),
        at_least("CheckConsent for a second of the server's processor", 2500, one["per_server_cpu_s"], "/s"),
        at_least("EvaluateBasis over NATS, 16 callers", 0.15, basis["x_floor"], "x floor"),
        at_most("the same, p99", 6, basis["ms"]["p99"], "ms"),
        at_most("state read alone, p50", 2, found["p50_x_select_1"], "x SELECT 1"),
    ]


def algebra(found: Found) -> list[Row]:
    """Of `bench_algebra`."""
    return [
        at_most("one verdict, p50", 20, found["verdict_us"]["p50"], "us"),
        at_most("basis of 12 purposes x 9 categories, signed, p50", 400, found["basis_us"]["p50"], "us"),
    ]


def proof(found: Found) -> list[Row]:
    """Of `bench_proof`."""
    many = f"inclusion proof among {found['entries']:,}"
    return [
        at_most(f"{many}, cold, p99", 4, found["cold_ms"]["p99"], "ms"),
        at_most(f"{many}, tiles in memory, p99", 1, found["tiles_in_memory_ms"]["p99"], "ms"),
    ]


def tlog(found: Found) -> list[Row]:
    """Of `bench_tlog`."""
    return [
        at_most("one tlog-proof verified offline, p50", 0.5, found["verified_ms"]["p50"], "ms"),
        at_least("compact range append", 0.4, found["append_x_bare"], "x a bare loop of hashlib"),
    ]


def signer(found: Found) -> list[Row]:
    """Of `bench_signer`."""
    return [at_most("checkpoint lag, the worst", 1000, max(row["lag_ms"]["max"] for row in found["rows"]), "ms")]


def audit(found: Found) -> list[Row]:
    """Of `bench_audit`."""
    leaves = found["leaves"]
    return [
        at_least("full audit from leaf bytes, one process", 90_000, leaves["per_s_1"], "entries/s"),
        at_least("the same with two processes, where there are as many cores", 1.8, leaves["speedup"], "x one"),
    ]


def asof(found: Found) -> list[Row]:
    """Of `bench_asof`."""
    first, *_, last = found["rows"]
    return [
        at_most(f"as-of query, subject with 200 entries of {last['entries']:,}, p99", 5, last["p99"], "ms"),
        at_most(f"the same, p50, from {first['entries']:,} on", 1.2, found["p50_last_x_first"], "x"),
    ]


def erasure(found: Found) -> list[Row]:
    """Of `bench_erasure`."""
    worst = max(row["dead_ms"]["max"] for row in found["rows"])
    return [at_most("key dead after the second approval, the worst", 1000, worst, "ms")]


OF: Final[Mapping[str, Callable[[Found], list[Row]]]] = {
    judge.__name__: judge
    for judge in (append, growth, withdraw, check, algebra, proof, tlog, signer, audit, asof, erasure)
}
