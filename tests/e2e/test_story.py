"""The main job, end to end."""

import asyncio
import sys
from io import StringIO

import pytest
from rich.console import Console

from harbour_bank import story
from harbour_bank.report import Report

pytestmark = pytest.mark.e2e


async def test_the_story_of_mara_keeps_its_promises(world):
    said = StringIO()

    await story.tell(world.bundle, world.who, Report(Console(file=said, width=120)))

    assert "identical, byte for byte" in said.getvalue()


async def test_the_demonstration_ends_by_itself_with_exit_code_0():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "assent_cli", "demo", "--subjects", "50"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(100):
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    assert "50 synthetic customers" in output.decode()
