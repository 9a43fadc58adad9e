"""Small bundles of definitions for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from automaton import Program
from catalog.loading import load_bundle
from catalog.model import Bundle

from .building import program

CATALOG = Path(__file__).parents[4] / "examples/harbour-bank/catalog"


@pytest.fixture(scope="session")
def harbour() -> Bundle:
    return load_bundle(CATALOG)


@pytest.fixture
def make() -> Callable[..., Program]:
    return program
