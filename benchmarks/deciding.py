"""The floor and Decide, turn by turn in one run, so that whatever else the machine does slows both."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assent_cli.stack import Stack
from benchmarks import processes
from benchmarks.floor.app import OVER_GRPC
from benchmarks.floor.hops import Prepared
from benchmarks.load import Client, Job, Seen
from benchmarks.world import World, write_requests
from harbour_bank import steps

FLOOR, FLOOR_GRPC, ONE, THREE = "floor", "floor over gRPC", "decide, 1 placement", "decide, 3 placements"
ALONE, MANY = 1, 16
TARGETS = {"p50": 2.5, "throughput": 0.35}
"""Of this release; orchestration.md has the later ones."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers Decide."""

    name: str
    stack: Stack
    token: str
    requests: Path
    before: Callable[[], Awaitable[None]] | None = None
    """What makes a turn like the one before it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One target measured once. `cpu_ms` is processor time per call by process, and includes what was left to do afterwards."""

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]
    settled_s: float


@dataclass(slots=True)
class Series:
    """The turns of one target with one number of callers, and everything that was not as it should be."""

    turns: list[Turn] = field(default_factory=list)
    calls: int = 0
    treatments: int = 0
    degradations: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def middle(self, what: Callable[[Turn], float]) -> float:
        """The median of the turns."""
        return statistics.median(map(what, self.turns))

    def cpu_ms(self) -> dict[str, float]:
        """The median processor time per call by process."""
        return {name: self.middle(lambda turn, name=name: turn.cpu_ms[name]) for name in self.turns[0].cpu_ms}  # type: ignore[misc]  # a default binds the name

    def add(self, seen: Seen, turn: Turn) -> None:
        """One more."""
        self.turns.append(turn)
        self.calls += len(seen.took_ms)
        self.treatments += seen.treatments
        self.degradations += seen.degradations
        self.errors += seen.errors


Found = dict[tuple[str, int], Series]


def targets(world: World, floor: Stack) -> dict[str, Target]:
    """What is measured."""
    token = floor.keys.token("benchmark", ["orchestration.decide"])
    found = [
        Target(FLOOR, floor, token, world.requests(1)),
        Target(FLOOR_GRPC, floor, token, _over_grpc(world)),
        Target(ONE, world.stack, world.token(), world.requests(1), world.forget_reservations),
        Target(THREE, world.stack, world.token(), world.requests(3), world.forget_reservations),
    ]
    return {target.name: target for target in found}


def _over_grpc(world: World) -> Path:
    """The same request, marked for the front of the floor."""
    asked = steps.decide_request(
        steps.customer(next(iter(world.shown))), world.placements(1), session=OVER_GRPC, screen="home"
    )
    return write_requests(world.folder / "requests-grpc.json", [asked])


async def turn(target: Target, client: Client, callers: int, seconds: float) -> tuple[Seen, Turn]:
    """Measure once, and wait until nothing is left to do."""
    if target.before is not None:
        await target.before()
    me = {"client": [client.pid]}
    before = processes.cpu_s(target.stack, me)
    address = target.stack.grpc_address("orchestration")
    seen = await client.run(Job(address, target.token, str(target.requests), callers, seconds))
    settled = await processes.until_quiet(target.stack)
    after = processes.cpu_s(target.stack, me)
    return seen, _turn(seen, {name: after[name] - before[name] for name in before}, settled)


def _turn(seen: Seen, cpu_s: Mapping[str, float], settled: float) -> Turn:
    calls = max(len(seen.took_ms), 1)
    took = sorted(seen.took_ms) if len(seen.took_ms) > 1 else [0.0, 0.0]
    cuts = statistics.quantiles(took, n=100)
    return Turn(
        calls_per_s=len(seen.took_ms) / seen.seconds,
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        cpu_ms={name: seconds * 1000 / calls for name, seconds in cpu_s.items()},
        settled_s=settled,
    )


async def measure(
    all_targets: Mapping[str, Target], names: Sequence[str], client: Client, rounds: int, seconds: float
) -> Found:
    """Rounds of turns: every target alone, then with sixteen callers. The comparison that is no target gets half the time."""
    for name in names:
        await turn(all_targets[name], client, MANY, seconds / 2)
    found: Found = {(name, callers): Series() for callers in (ALONE, MANY) for name in names}
    for _ in range(rounds):
        for (name, callers), series in found.items():
            share = 0.5 if name == FLOOR_GRPC else 1.0
            series.add(*await turn(all_targets[name], client, callers, seconds * share))
    return found


def ratio(found: Found, name: str, callers: int, what: Callable[[Turn], float]) -> float:
    """The median over the rounds of what a target has, over what the floor had in the same round."""
    pairs = zip(found[name, callers].turns, found[FLOOR, callers].turns, strict=True)
    return statistics.median(what(turn) / what(floor) for turn, floor in pairs)


def summary(found: Found) -> list[dict[str, Any]]:
    """A row per target and number of callers."""
    return [_row(found, name, callers) for name, callers in found]


def _row(found: Found, name: str, callers: int) -> dict[str, Any]:
    series = found[name, callers]
    return {
        "what": name,
        "callers": callers,
        "calls_per_s": round(series.middle(lambda turn: turn.calls_per_s), 1),
        "p50_ms": round(series.middle(lambda turn: turn.p50_ms), 2),
        "p99_ms": round(series.middle(lambda turn: turn.p99_ms), 2),
        "p50_x_floor": round(ratio(found, name, callers, lambda turn: turn.p50_ms), 2),
        "p99_x_floor": round(ratio(found, name, callers, lambda turn: turn.p99_ms), 2),
        "throughput_x_floor": round(ratio(found, name, callers, lambda turn: turn.calls_per_s), 3),
        "cpu_x_floor": round(ratio(found, name, callers, _cpu), 2),
        "calls": series.calls,
        "shown_per_call": round(series.treatments / max(series.calls, 1), 2),
        "degradations": dict(series.degradations),
        "errors": dict(series.errors),
        "settled_s": round(series.middle(lambda turn: turn.settled_s), 2),
        "cpu_ms_per_call": {process: round(ms, 3) for process, ms in series.cpu_ms().items()},
    }


def _cpu(turn: Turn) -> float:
    return sum(ms for process, ms in turn.cpu_ms.items() if process != "client")


def sizes(prepared: Prepared) -> list[dict[str, Any]]:
    """The hops of the floor and the bytes on them."""
    hops = [
        {"stage": hop.stage, "service": hop.service, "request": len(hop.request), "response": len(hop.response)}
        for hop in prepared.hops()
    ]
    return [*hops, {"stage": "record", "service": "DECISIONS", "request": len(prepared.record), "response": 0}]
