"""Renders who may say and hear what on NATS: `python deploy/nats/accounts.py > deploy/nats/accounts.conf`.

The table is `embedded.nats_accounts`, the one that the embedded server uses. Passwords are variables of the server's environment.
"""
# ruff: noqa: INP001  # a program, in no package

from __future__ import annotations

import json
import re
import sys
from typing import Final

from embedded.nats_accounts import ACCOUNTS
from embedded.nats_config import users

HEAD: Final = """\
# Made by deploy/nats/accounts.py from the table of accounts; a test compares. Passwords come from the server's environment:
# each must begin with a letter, because NATS reads a variable's value as it reads this file.
"""


def render() -> str:
    """The `authorization` section, with `$CONSENT_NATS_PASSWORD` where consent's password belongs."""
    passwords = {name: f"${variable(name)}" for name in ACCOUNTS}
    section = json.dumps({"users": users(ACCOUNTS, passwords)}, indent=2)
    return f"{HEAD}authorization: {_unquoted(section)}\n"


def variable(name: str) -> str:
    """The variable that holds an account's password."""
    return f"{name.upper().replace('-', '_')}_NATS_PASSWORD"


def _unquoted(text: str) -> str:
    """A variable in quotes would be a literal."""
    return re.sub(r'"(\$[A-Z_]+_NATS_PASSWORD)"', r"\1", text)


if __name__ == "__main__":
    sys.stdout.write(render())
