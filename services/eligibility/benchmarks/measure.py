# ruff: noqa: INP001, T201  # a script that prints
"""Measures the evaluation on this machine: `python services/eligibility/benchmarks/measure.py`.

The example bank's calm customer, in process. Each value is printed with two ratios, measured in one run: to the naive reference, and to
the floor, which reads every attribute of every question once from a dictionary.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from assent.eligibility.v1 import eligibility_service_pb2 as pb
from catalog.expression import attributes
from catalog.loading import load_bundle
from catalog.model import Bundle, Given
from catalog.reference import evaluate_reference
from eligibility_service.domain.evaluation import evaluate_request
from eligibility_service.domain.policy import Place, Policy
from eligibility_service.domain.request import ContactState, Request, Seen
from eligibility_service.translation import from_evaluation, to_request

ROOT = Path(__file__).parents[3]
CASE = "idle cash brings the savings offer"
PLACES: dict[str, tuple[str, ...]] = {"all placements": (), "two placements": ("home.hero", "home.list")}


def p50(work: Callable[[], object], *, rounds: int = 400) -> float:
    """Median microseconds of processor time: other processes of the machine do not count."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - start)
    return statistics.median(taken) / 1000


def request(given: Given, placements: tuple[str, ...]) -> Request:
    """The case's customer, asked for these placements."""
    return Request(
        now_ms=given.now,
        channel=given.channel,
        allowed={purpose: frozenset(found) for purpose, found in given.basis.items()},
        placements=placements,
        jurisdictions=("DE",),
        view={name: Seen(value, given.now) for name, value in given.view.items()},
        contact=ContactState(),
    )


def floor(bundle: Bundle, policy: Policy, asked: Request) -> Callable[[], object]:
    """Reading each attribute of each question once."""
    place = Place(asked.channel, frozenset(asked.placements), frozenset(asked.jurisdictions))
    rules = [question.judge.rule for question in policy.plan(place).questions]
    names = [name for rule in rules for name in attributes(bundle.expression(rule.require))]
    return lambda: [asked.view.get(name) for name in names]


def main() -> None:
    """Measure and print."""
    bundle = load_bundle(ROOT / "examples" / "harbour-bank" / "catalog")
    given = next(case.given for case in bundle.cases if case.name == CASE)
    policy = Policy(bundle)
    print(
        f"compile {p50(lambda: Policy(bundle), rounds=20) / 1000:.1f} ms, {len(bundle.actions)} actions, {len(bundle.rules)} rules"
    )
    for title, placements in PLACES.items():
        asked = request(given, placements)
        found = evaluate_request(policy, asked)
        candidates = len(found.survivors) + len(found.rejected)
        ours = p50(lambda asked=asked: evaluate_request(policy, asked))  # type: ignore[misc]  # the loop's own
        moment = given.model_copy(update={"placements": placements})
        naive = p50(lambda moment=moment: evaluate_reference(bundle, moment), rounds=20)  # type: ignore[misc]  # as above
        least = p50(floor(bundle, policy, asked))
        print(
            f"{title}: {candidates} candidates, {ours:.0f} us, {ours / candidates:.1f} us each, "
            f"{naive / ours:.0f}x faster than naive, {ours / least:.0f}x the floor of {least:.1f} us"
        )
    answer = p50(lambda: from_evaluation("sha256:0", found).SerializeToString())
    empty = pb.EvaluateRequest(now_ms=given.now, channel="mobile", bundle_digest="sha256:0")
    print(f"answer to bytes {answer:.0f} us, empty request {p50(lambda: to_request(empty, None)):.0f} us")


if __name__ == "__main__":
    main()
