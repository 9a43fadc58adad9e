"""What orchestration itself costs: a decision over siblings that answer at once, in memory. `--profile` says where it goes."""

# ruff: noqa: INP001, T201  # a command, not a package

from __future__ import annotations

import argparse
import asyncio
import cProfile
import logging
import pstats
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orchestration_fakes import World, a_request, a_signal

Method = Callable[[object], Awaitable[object]]
PARTS = ("profiles", "ledger", "signals", "eligibility", "ranking", "content")


def instant(world: World) -> World:
    """Siblings that remember their first answer, so that only orchestration's own work is measured."""
    for part in PARTS:
        port = getattr(world, part)
        for name in [name for name in dir(type(port)) if not name.startswith("_")]:
            if asyncio.iscoroutinefunction(getattr(port, name)) and name != "release":
                setattr(port, name, remembering(getattr(port, name)))
    return world


def remembering(method: Method) -> Method:
    """The method, run once; a reservation is answered each time, because its items differ."""
    answers: dict[object, object] = {}

    async def answer(request: object) -> object:
        key = tuple(item.item for item in getattr(request, "items", ())) if hasattr(request, "ttl_ms") else ""
        if key not in answers:
            answers[key] = await method(request)
        return answers[key]

    return answer


async def measure(count: int) -> list[float]:
    """Microseconds of processor time of each decision: what others do on the machine does not count."""
    world = instant(World(live=[a_signal("home_loan_reading")]))
    decider, taken = world.decider(), []
    requests = [a_request("home.hero", "home.list") for _ in range(count + 50)]
    for request in requests:
        started = time.process_time()
        await decider.decide(request, caller="app")
        taken.append((time.process_time() - started) * 1e6)
    return taken[50:]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    profile = cProfile.Profile()
    if given.profile:
        profile.enable()
    taken = asyncio.run(measure(given.count))
    profile.disable()
    cuts = quantiles(taken, n=100)
    print(
        f"orchestration's own work per decision: p50 {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us, {given.count} decisions"
    )
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
