"""`python -m benchmarks`: see its --help."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import uvloop

from benchmarks import ROOT, deciding, ingesting, machine, processes, profiling, report, world
from benchmarks.floor.hops import Prepared
from benchmarks.load import client

NAMES = ("floor", "decide", "ingest")
QUICK = {"customers": 100, "shown": 20, "rounds": 1, "seconds": 1.0, "sessions": 20, "samples": 10}
FULL = {"customers": 400, "shown": 130, "rounds": 4, "seconds": 2.0, "sessions": 100, "samples": 60}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and how thoroughly."""

    names: Sequence[str]
    customers: int
    shown: int
    rounds: int
    seconds: float
    sessions: int
    samples: int
    profile: bool
    results: Path


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option(
    "--quick", is_flag=True, help="One short round: to see that it works. Writes no files unless --results is given."
)
@click.option(
    "--profile",
    is_flag=True,
    help="Also sample every service under load (needs py-spy); writes docs/profile/decide.md.",
)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), help="Folder of the JSON files.")
def main(names: tuple[str, ...], results: Path | None, *, quick: bool, profile: bool) -> None:
    """Measure the suite on this machine; without a NAME, everything. Takes about three minutes; --profile one more.

    \b
    floor    the hops of a decision with empty handlers, over NATS and over gRPC
    decide   the real suite answering Decide, 1 and 3 placements, alone and with 16 callers, as ratios to the floor
    ingest   bank and session events a second until they count, and how long one event takes to be seen

    Floor and suite run side by side and take turns, so only ratios of one run compare. Results go to benchmarks/results/*.json,
    with the facts of the machine, and docs/benchmarks.md.

    \b
    Examples:
      make bench                              everything
      python -m benchmarks --quick decide     a first look
      python -m benchmarks decide --profile   where the time goes
      python -m benchmarks consent --help     the consent ledger by itself, with names of its own
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    if profile:
        _needs_sampler()
    os.environ["GRPC_VERBOSITY"] = "ERROR"  # it tells of every process that is started beside it
    os.environ["PYTHONPATH"] = str(ROOT)  # the processes of the floor are modules of this folder
    size: dict[str, Any] = QUICK if quick else FULL
    keep = results or (None if quick else report.RESULTS)
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        plan = Plan(names or NAMES, **size, profile=profile, results=keep or Path(folder) / "results")
        started = time.monotonic()
        uvloop.run(measure(plan, Path(folder), write_pages=keep == report.RESULTS and set(plan.names) == set(NAMES)))
        say(f"took {time.monotonic() - started:.0f} s")


def _needs_sampler() -> None:
    """Say so before minutes have gone by."""
    try:
        profiling.sampler()
    except profiling.NoSampler as missing:
        raise click.ClickException(str(missing)) from missing


def say(text: str) -> None:
    """To the terminal."""
    click.echo(text)


async def measure(plan: Plan, folder: Path, *, write_pages: bool) -> None:
    """Everything that is planned, then the files."""
    facts, found = machine.facts(), dict[str, dict[str, Any]]()
    async with client() as caller:
        async with world.real(folder, plan.customers) as suite:
            say(f"{len(suite.stack.services)} services are up; {plan.customers} customers come")
            bank = await ingesting.bank_events(suite)
            await world.agree(suite)
            await processes.until_quiet(suite.stack)
            idle = await processes.idle_share(suite.stack, 2)
            say(f"the suite alone uses {idle:.0%} of a core")
            if "ingest" in plan.names:
                found["ingest"] = await _ingest(plan, suite, bank)
            if {"floor", "decide"} & set(plan.names):
                found["decide" if "decide" in plan.names else "floor"] = await _decide(plan, suite, caller)
        facts |= {"load_after": machine.load(), "idle_share_of_a_core": round(idle, 3)}
        if plan.profile:
            profile = await profiling.profile(folder, plan.customers, plan.shown, caller, 8)
            report.PROFILE.parent.mkdir(parents=True, exist_ok=True)
            report.PROFILE.write_text(report.profile_page(facts, profile))
    _write(plan, facts, found, write_pages=write_pages)


async def _ingest(plan: Plan, suite: world.World, bank: ingesting.Row) -> dict[str, Any]:
    many = [bank, await ingesting.session_events(suite, plan.sessions)]
    await processes.until_quiet(suite.stack)
    one = [
        await ingesting.bank_event_seen(suite, plan.samples),
        await ingesting.session_event_seen(suite, plan.samples),
    ]
    for row in (*many, *one):
        say("  ".join(f"{name} {value}" for name, value in row.items()))
    await processes.until_quiet(suite.stack)
    return {"throughput": many, "latency": one}


async def _decide(plan: Plan, suite: world.World, caller: Any) -> dict[str, Any]:
    names = [deciding.FLOOR, deciding.FLOOR_GRPC]
    names += [deciding.ONE, deciding.THREE] if "decide" in plan.names else []
    await world.find_shown(suite, plan.shown)
    say(f"{len(suite.shown)} customers are shown something; the floor starts")
    async with AsyncExitStack() as opened:
        floor = await opened.enter_async_context(world.floor(suite))
        targets = deciding.targets(suite, floor)
        await processes.until_quiet(suite.stack)
        found = await deciding.measure(targets, names, caller, plan.rounds, plan.seconds)
    rows = deciding.summary(found)
    say(report.decide_table(rows))
    hops = deciding.sizes(Prepared.read(suite.folder / "hops.json"))
    result: dict[str, Any] = {"rounds": plan.rounds, "seconds": plan.seconds, "rows": rows, "hops": hops}
    if "decide" in plan.names:
        result["targets"] = report.judged(rows)
        for target in result["targets"]:
            say(f"{target['target']}: {target['found']}, {'met' if target['met'] else 'missed'}")
    return result


def _write(plan: Plan, facts: dict[str, Any], found: dict[str, dict[str, Any]], *, write_pages: bool) -> None:
    for name, each in found.items():
        report.write(name, facts, each, plan.results)
    if write_pages:
        report.PAGE.write_text(report.page(facts, found.get("floor"), found.get("decide"), found.get("ingest")))
        say(f"written: {report.PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["consent"]:
        from benchmarks.consent.__main__ import main as consent

        sys.exit(consent(sys.argv[2:], prog_name="python -m benchmarks consent"))
    sys.exit(main())
