"""The configuration file of a NATS server, from the table of accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedded.nats_accounts import Account, permissions

MAX_PAYLOAD = 1 << 20
"""Bytes; what NATS itself defaults to."""


def render(
    *,
    port: int,
    store: Path,
    accounts: Mapping[str, Account],
    passwords: Mapping[str, str],
    max_payload: int = MAX_PAYLOAD,
    host: str = "127.0.0.1",
) -> str:
    """A complete configuration. NATS reads JSON, so nothing needs quoting by hand."""
    document = {
        "server_name": "assent",
        "host": host,
        "port": port,
        "max_payload": max_payload,
        "jetstream": {"store_dir": str(store)},
        "authorization": {"users": users(accounts, passwords)},
    }
    return json.dumps(document, indent=2) + "\n"


def users(accounts: Mapping[str, Account], passwords: Mapping[str, str]) -> list[dict[str, Any]]:
    """The `authorization.users` of the configuration: one per account, with what it may say and hear."""
    return [_user(name, account, passwords[name]) for name, account in accounts.items()]


def _user(name: str, account: Account, password: str) -> dict[str, Any]:
    allowed = permissions(name, account)
    rights = {
        "publish": {"allow": list(allowed.publish)},
        "subscribe": {"allow": list(allowed.subscribe)},
        # A server of requests may answer the inbox of whoever asked, once, while the request can still matter.
        "allow_responses": {"max": 1, "expires": "2m"},
    }
    return {"user": name, "password": password, "permissions": rights}
