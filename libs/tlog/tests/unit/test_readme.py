"""The page's examples run and print what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tlog.answers import answer

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONSOLE = re.findall(r"\$ echo '(.*)' \| assent tlog ([a-z-]+)\n(.*)\n", README)


def test_the_page_has_examples():
    assert (len(PYTHON), len(CONSOLE)) == (1, 2)


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_runs(code):
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize(("given", "command", "printed"), CONSOLE)
def test_the_commands_print_what_the_page_says(given, command, printed):
    assert json.loads(given)
    assert answer(command, given.encode()) == printed
