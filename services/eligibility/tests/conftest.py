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
