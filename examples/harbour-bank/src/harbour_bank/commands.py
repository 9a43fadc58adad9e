"""`assent demo`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import click
import grpc
from rich.console import Console
from rich.progress import Progress

from assent_cli import folder
from assent_cli.stack import Stack, running_stack
from catalog.loading import load_bundle
from embedded.process import StartFailed
from harbour_bank import CATALOG, steps, story, synthetic
from harbour_bank.clients import People, people
from harbour_bank.promises import StoryWentWrong
from harbour_bank.real import crowns, demonstrate_real, missing
from harbour_bank.report import Report
from servicekit.errors import AssentError

SEED = 20260521


@click.command(short_help="Personalize a live banking session, end to end.")
@click.option(
    "--subjects", default=2000, show_default=True, type=click.IntRange(1, 100_000), help="Synthetic customers."
)
@click.option("--seed", default=SEED, show_default=True, help="The same seed is the same bank.")
@click.option(
    "--real",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of real data (berka, web_sessions) to feed instead of synthetic customers.",
)
@click.option("--keep", is_flag=True, help="Leave the suite up afterwards, until Ctrl-C.")
@click.option(
    "--dir",
    "state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep it; default a new temporary folder.",
)
def demo(subjects: int, seed: int, real: Path | None, state: Path | None, *, keep: bool) -> None:
    """Start the whole suite here, feed it a bank, and follow one customer through it.

    Everything is real: PostgreSQL, NATS, seven services as processes, gRPC calls with tokens. It ends by itself; exit 0 means that
    every promise of the story was kept.

    \b
    Examples:
      assent demo
      assent demo --subjects 200 --keep
      assent demo --real ../shared/data
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    if real is not None and (absent := missing(real)):
        raise click.ClickException(f"{real} holds no {' and no '.join(absent)}")
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        asyncio.run(_demo(Report(console), state, subjects=subjects, seed=seed, real=real, keep=keep))
    except StoryWentWrong as broken:
        raise click.ClickException(str(broken)) from broken
    except folder.AlreadyRunning as running:
        raise click.ClickException("A suite is already running in that folder: name another with --dir.") from running
    except grpc.aio.AioRpcError as refused:
        raise click.ClickException(f"{refused.code().name}: {refused.details()}") from refused
    except (StartFailed, AssentError, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("stopped")


async def _demo(report: Report, state: Path | None, *, subjects: int, seed: int, real: Path | None, keep: bool) -> None:
    async with AsyncExitStack() as opened:
        kept = state or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="assent-demo-")))
        started = time.monotonic()
        stack = await opened.enter_async_context(running_stack(kept, progress=report.say))
        who = await opened.enter_async_context(people(stack))
        bundle = load_bundle(CATALOG) if real is None else crowns(load_bundle(CATALOG))
        digest = await steps.activate(bundle, who)
        await steps.until_decisions_work(who.app)
        report.say(f"seven services are up after {time.monotonic() - started:.1f} s with bundle {digest[:19]}")
        if real is None:
            await _feed_synthetic(report, who, subjects, seed)
            await story.tell(bundle, who, report)
        else:
            await demonstrate_real(bundle, who, real, report)
        report.say("")
        if keep:
            await _keep(report, stack)


async def _feed_synthetic(report: Report, who: People, subjects: int, seed: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    events = list(synthetic.events(subjects, seed=seed, now_ms=now_ms))
    started = time.monotonic()
    with Progress(console=report.console, transient=True) as progress:
        bar = progress.add_task(f"{subjects:,} synthetic customers", total=len(events))
        answer = await steps.ingest(events, who, lambda sent: progress.advance(bar, sent))
    seconds = time.monotonic() - started
    report.say(
        f"{subjects:,} synthetic customers (seed {seed}): {answer.accepted:,} bank events in {seconds:.1f} s,"
        f" {answer.accepted / seconds:,.0f} a second"
    )


async def _keep(report: Report, stack: Stack) -> None:
    """Leave the suite up until somebody has seen enough."""
    for service in sorted(stack.services):
        report.say(f"  {service:14} {stack.grpc_address(service)}")
    report.say(f"tokens are in {stack.state / 'tokens'}; Ctrl-C stops the suite")
    await asyncio.Event().wait()
