"""Fixtures of the orchestration service; its fakes are in `orchestration_fakes.py` beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import virtual_time
from orchestration_fakes import World


@pytest.fixture
def world():
    return World()


@pytest.fixture
def in_virtual_time(monkeypatch):
    """Runs a coroutine in a loop whose time passes only while nothing is left to do."""
    return lambda coroutine: virtual_time.run(coroutine, monkeypatch)
