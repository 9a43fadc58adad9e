from pathlib import Path

import pytest

from catalog.loading import load_bundle

HARBOUR = Path(__file__).parents[4] / "examples" / "harbour-bank" / "catalog"


@pytest.fixture(scope="session")
def harbour_folder():
    return HARBOUR


@pytest.fixture(scope="session")
def harbour():
    return load_bundle(HARBOUR)
