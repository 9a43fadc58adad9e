"""The auditor's page: 27 questions, and commands that are there, with the options that are shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from consent_service.ledger_commands import ledger
from tlog.commands import tlog

PAGE = (Path(__file__).resolve().parents[2] / "docs/auditor.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
COMMANDS = [text for text in re.findall(r"`(assent [^`]+)`", PAGE) if " " in text.removeprefix("assent ")]
GROUPS = {"ledger": ledger, "tlog": tlog}


def test_every_question_is_there_and_has_an_answer():
    assert [int(row[0]) for row in ROWS] == list(range(1, 28))
    assert [row[0] for row in ROWS if "`assent " not in row[2]] == []


@pytest.mark.parametrize("text", COMMANDS)
def test_each_command_is_there_with_its_options(text):
    _, group, *words = shlex.split(text)
    command = GROUPS[group]
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    if group == "tlog" or not words:
        return
    context = click.Context(command)
    required = {"--token-file": __file__} if any(p.name == "token" for p in command.params) else {}
    given = [*words, *[part for pair in required.items() for part in pair]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}

    assert {word for word in words if word.startswith("--")} <= known
    command.make_parser(context).parse_args(list(given))
    if "--out" in words or command.name in ("violations", "range", "reliances", "state", "prove"):
        command.make_context(command.name, list(given), resilient_parsing=False).close()
