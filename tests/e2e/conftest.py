"""The whole suite, started once for all stories, with the example bank's catalog active."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from e2e_world import World, opened_world
from leaking import collecting
from leaking import leaks as leaks_of

from assent_cli.discovery import discover
from assent_cli.stack import running_stack
from harbour_bank import steps


@pytest.fixture(scope="session")
def collector():
    """Where the services send traces and metrics."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def folder():
    """A folder that goes when the tests end."""
    made = Path(tempfile.mkdtemp(prefix="assent-e2e-"))
    # As root the embedded PostgreSQL runs as nobody, who must get to its data.
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
async def stack(collector, folder):
    telemetry = {"OTLP_ENDPOINT": collector.endpoint, "EXPORT_INTERVAL_MS": "1000"}
    env = {f"{service.prefix}_TELEMETRY__{name}": value for service in discover() for name, value in telemetry.items()}
    async with running_stack(folder / "state", durable=False, env=env) as running:
        yield running
    running.postgres.remove()


@pytest.fixture(scope="session")
async def world(stack):
    """Everybody who calls the suite, and the bundle that is active."""
    async with opened_world(stack) as opened:
        await steps.activate(opened.bundle, opened.who)
        await steps.until_decisions_work(opened.who.app)
        yield opened


@pytest.fixture
async def whole(world: World):
    """The same, and whatever a test breaks is whole again before the next one begins."""
    yield world
    await world.repaired()


@pytest.fixture
def leaks(stack, collector):
    """`await leaks(text, ...)` says where any of these texts came out."""
    return lambda *texts: leaks_of(stack, collector, texts)
