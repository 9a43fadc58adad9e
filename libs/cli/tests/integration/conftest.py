"""A stack of one sample service, in a folder of its own that every user may enter."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from assent_cli.stack import running_stack

SAMPLE = Path(__file__).parent.parent / "sample"
PACKAGES = {"greeter": "greeter_service"}


@pytest.fixture(scope="session", autouse=True)
def sample_on_path():
    """The sample can be imported here and in the services' processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SAMPLE))
        patch.setattr(sys, "path", [str(SAMPLE), *sys.path])
        yield


@pytest.fixture(scope="session")
def folders():
    made = []

    def folder() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="assent-stack-")))
        made[-1].chmod(0o755)
        return made[-1]

    yield folder
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def stack(folders):
    async with running_stack(folders(), packages=PACKAGES, durable=False) as running:
        yield running
