"""What judging costs in one process: `python -m benchmarks.consent.bench_algebra`.

The subject has granted, withdrawn and granted again under twelve purposes, each for all nine data categories. verdict judges one key as a
check does; basis judges twelve purposes for nine categories, encodes and signs the body, for statements that were never judged before;
remembered is the same where the service still knows what it judged last. Target (consent.md, section 13): 20 us and 400 us.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.consent.ledger import CHANNELS, DAY_US, NOTICE, TWELVE, document
from benchmarks.consent.signed_log import LEDGER, percentiles
from consent_service.domain import basis, verdicts
from consent_service.domain import document as documents
from consent_service.domain.choices import Key, Scope, Statement
from consent_service.domain.fold import SubjectState, choose, unknown
from consent_service.domain.words import CATEGORIES, Kind
from consent_service.registries import Registries
from servicekit.basis import sign_encoded

NOW_US = 1_790_000_000_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
REGISTRY = documents.read(json.loads(document(TWELVE, CATEGORIES)), digest="00" * 32, index=1)
REGIMES = verdicts.applicable(REGISTRY)


def a_subject() -> SubjectState:
    """Who granted, withdrew every other purpose and granted some of those again."""
    state, indices = unknown("someone"), itertools.count(2)
    everything = frozenset(CHANNELS), frozenset(CATEGORIES), frozenset({"self"})
    grants = [(Kind.GRANT, Scope(purpose, *everything)) for purpose in TWELVE]
    denials = [(Kind.WITHDRAW, Scope(purpose)) for purpose in TWELVE[1::2]]
    for kind, scope in (*grants, *denials, *grants[1::4]):
        state = choose(state, a_statement(next(indices), kind, scope))
    return state


def a_statement(index: int, kind: Kind, scope: Scope) -> Statement:
    """Said at a time of its own; a grant holds for a year, and says so explicitly."""
    at_us, granted = NOW_US + index, kind is Kind.GRANT
    return Statement(
        index,
        kind,
        scope,
        at_us,
        at_us,
        at_us,
        to_us=at_us + 365 * DAY_US if granted else None,
        explicit=granted,
        notice=NOTICE if granted else None,
    )


def a_verdict(state: SubjectState) -> Callable[[], object]:
    """One key after the other."""
    keys = itertools.cycle(Key(purpose, "mobile", category) for purpose in TWELVE for category in CATEGORIES)
    at_us = NOW_US + DAY_US
    return lambda: verdicts.verdict(REGISTRY, state.statements, next(keys), regimes=REGIMES, at_us=at_us)


def a_basis(state: SubjectState, *, remembered: bool) -> Callable[[], object]:
    """As `reading.evaluate_basis` makes it, after the read."""
    registries = Registries()

    def made() -> object:
        plan = registries.plan(REGISTRY, REGIMES, "mobile", ())
        statements = (
            state.statements if remembered else (*state.statements[:1], *state.statements[1:])
        )  # another object: not known
        judged = registries.judged(plan, statements, NOW_US + DAY_US)
        body = basis.body(
            judged.evaluated,
            plan,
            ledger=LEDGER,
            epoch=1,
            index=99,
            subject=state.subject,
            members=state.members,
            at_us=NOW_US + DAY_US,
            ttl_us=basis.DEFAULT_TTL_US,
            kid="bench",
        )
        return sign_encoded(judged.encode(body), KEY, "bench")

    return made


def timed(work: Callable[[], object], samples: int) -> dict[str, float]:
    """Microseconds, after a warm-up."""
    took = []
    for _ in range(samples + 100):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1e6)
    return percentiles(took[100:])


def measure(samples: int) -> dict[str, Any]:
    """Each in its turn."""
    state = a_subject()
    return {
        "purposes": len(TWELVE),
        "categories": len(CATEGORIES),
        "statements": len(state.statements),
        "verdict_us": timed(a_verdict(state), samples * 5),
        "basis_us": timed(a_basis(state, remembered=False), samples),
        "basis_remembered_us": timed(a_basis(state, remembered=True), samples),
    }


@click.command()
@click.option("--samples", default=5000, show_default=True)
def main(samples: int) -> None:
    """Measure and print."""
    for name, value in measure(samples).items():
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
