"""Builders are in `eligibility_builders.py`, the memory fake in `eligibility_fakes.py`, both beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from eligibility_builders import harbour


@pytest.fixture(scope="session")
def harbour_bank():
    return harbour()


@pytest.fixture
def memory_contacts():
    from eligibility_fakes import MemoryContacts  # noqa: PLC0415

    return MemoryContacts()


@pytest.fixture
async def postgres_contacts(database):
    from eligibility_service.store import PostgresContacts  # noqa: PLC0415
    from servicekit import postgres  # noqa: PLC0415

    fresh = await database("eligibility")
    async with postgres.pool(fresh.settings) as pool:
        yield PostgresContacts(pool)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def contacts(request):
    return request.getfixturevalue(f"{request.param}_contacts")
