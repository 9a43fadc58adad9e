"""Fixtures of the consent service; its fakes and builders are in `consent_fakes.py` beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from consent_service.store import PostgresLedger
from servicekit import postgres
from servicekit.clock import SystemClock

sys.path.insert(0, str(Path(__file__).parent))

from consent_fakes import LEDGER, Bench, MemoryLedger


@pytest.fixture
def memory_ledger():
    return MemoryLedger()


@pytest.fixture
async def postgres_ledger(database):
    fresh = await database("consent")
    async with postgres.pool(fresh.settings) as pool:
        ledger = PostgresLedger(pool, LEDGER)
        await ledger.create(SystemClock())
        yield ledger


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def ledger(request):
    return request.getfixturevalue(f"{request.param}_ledger")


@pytest.fixture
async def bench(ledger):
    """The use cases on each ledger, with the example registry published."""
    made = Bench(ledger)
    await made.publish()
    return made
