"""Fixtures of the consent service; its fakes and builders are in `consent_fakes.py` and its like beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from consent_fakes import Bench, MemoryLedger
from writing_fakes import writing_bench


@pytest.fixture
def memory_bench():
    return Bench(MemoryLedger())


@pytest.fixture
async def postgres_bench(database):
    async with writing_bench(await database("consent")) as bench:
        yield bench


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def empty_bench(request):
    return request.getfixturevalue(f"{request.param}_bench")


@pytest.fixture
async def bench(empty_bench):
    """The use cases on each ledger, with the example registry published."""
    await empty_bench.publish()
    return empty_bench
