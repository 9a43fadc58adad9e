"""Where the time of a decision goes: samples of every service's stack by py-spy, and the durations that the services measure."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assent_cli.discovery import discover
from benchmarks import stages, world
from benchmarks.deciding import ALONE, MANY, ONE, Target, turn
from benchmarks.load import Client
from benchmarks.stages import Key, Total
from servicekit import telemetry

PER_SECOND = 200
TOP = 25
HOP_OF = {
    "resolve": ("profile", "ResolveSubject"),
    "basis": ("consent", "EvaluateBasis"),
    "view": ("profile", "GetView"),
    "signals": ("signals", "GetActiveSignals"),
    "contact": ("eligibility", "GetContactState"),
    "evaluate": ("eligibility", "Evaluate"),
    "rank": ("ranking", "Rank"),
    "reserve": ("eligibility", "Reserve"),
    "render": ("content", "Render"),
}
_PLACE = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(:\d+)?\)$")


class NoSampler(Exception):
    """py-spy is not installed."""


@dataclass(frozen=True, slots=True)
class Samples:
    """How often a function was the innermost one, and how often it was on the stack at all."""

    innermost: Counter[str]
    anywhere: Counter[str]


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples of self time by service and function, the services' own durations alone and with many callers."""

    samples: Mapping[str, Samples]
    alone: Mapping[Key, Total]
    many: Mapping[Key, Total]


def sampler() -> str:
    """The program; raises NoSampler where there is none."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise NoSampler("py-spy is not installed: pip install py-spy into this environment, then repeat")
    return found


async def sampled(pids: Mapping[str, int], folder: Path, seconds: float) -> dict[str, Samples]:
    """Sample processes side by side."""
    found = await asyncio.gather(*(_sample(name, pid, folder, seconds) for name, pid in pids.items()))
    return dict(zip(pids, found, strict=True))


async def _sample(name: str, pid: int, folder: Path, seconds: float) -> Samples:
    path, quiet = folder / f"{name}.samples", asyncio.subprocess.DEVNULL
    arguments = ["--nonblocking", "--rate", str(PER_SECOND), "--duration", str(round(seconds)), "--format", "raw"]
    process = await asyncio.create_subprocess_exec(
        sampler(), "record", "--pid", str(pid), *arguments, "--output", path, stdout=quiet, stderr=quiet
    )
    await process.wait()
    return counted(path.read_text() if path.exists() else "")


def counted(stacks: str) -> Samples:
    """Samples by function: lines are `outer;inner count`."""
    found = Samples(Counter(), Counter())
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        functions = [_function(frame) for frame in frames.split(";")]
        found.innermost[functions[-1]] += int(count)
        for function in set(functions):
            found.anywhere[function] += int(count)
    return found


def is_ours(function: str) -> bool:
    """Whether it is in this repository."""
    return "_service/" in function or any(
        f"({name}/" in function for name in ("servicekit", "catalog", "automaton", "tlog")
    )


def _function(frame: str) -> str:
    """Function and file, without the line and without where it is installed."""
    place = _PLACE.match(frame)
    if place is None:
        return frame
    file = re.sub(r".*(site-packages|src|lib/python3\.\d+)/", "", place["file"])
    return f"{place['function']} ({file})"


async def profile(folder: Path, customers: int, shown: int, client: Client, seconds: float) -> Profile:
    """Start the suite again on its folder, this time with its metrics exported, and sample it under load."""
    prefixes = {service.name: service.prefix for service in discover()}
    world.probe_often()
    async with stages.collecting() as (collector, endpoint):
        env = stages.environment(prefixes, endpoint)
        async with world.real(folder, customers, env=env) as found:
            await world.find_shown(found, shown)
            target = Target(ONE, found.stack, found.token(), found.requests(1), found.forget_reservations)
            await turn(target, client, MANY, 2)
            begun = await collector.settled()
            await turn(target, client, ALONE, seconds / 2)
            alone = await collector.settled()
            await turn(target, client, MANY, seconds / 2)
            many = await collector.settled()
            samples = await _under_load(target, client, folder, seconds)
    return Profile(samples, stages.after(alone, begun), stages.after(many, alone))


async def _under_load(target: Target, client: Client, folder: Path, seconds: float) -> dict[str, Samples]:
    pids = {status.name: status.pid for status in target.stack.statuses() if status.pid}
    loading = asyncio.create_task(turn(target, client, MANY, seconds + 2))
    await asyncio.sleep(0.5)
    samples = await sampled(pids, folder, seconds)
    await loading
    return samples


def stage_rows(totals: Mapping[Key, Total]) -> list[tuple[str, float, float | None, float]]:
    """Stage, milliseconds as orchestration sees it, milliseconds inside the sibling (the record has none), share of decisions with it."""
    decisions = decision(totals).count
    seen = {key[2]: total for key, total in totals.items() if key[1] == telemetry.STAGE_DURATION.name}
    inside = {(key[0], key[2]): total for key, total in totals.items() if key[1] == telemetry.RPC_DURATION.name}
    order = [*HOP_OF, "record"]
    return [
        (stage, seen[stage].mean_ms, _inside(inside, stage), seen[stage].count / decisions)
        for stage in sorted(seen, key=lambda name: order.index(name) if name in order else len(order))
    ]


def _inside(served: Mapping[tuple[str, str], Total], stage: str) -> float | None:
    total = served.get(HOP_OF.get(stage, ("", "")))
    return total.mean_ms if total else None


def decision(totals: Mapping[Key, Total]) -> Total:
    """Whole decisions."""
    return next(total for key, total in totals.items() if key[1] == telemetry.DECISION_DURATION.name)
