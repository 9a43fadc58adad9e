"""Data that no other test has: unique instead of cleaned up."""

from __future__ import annotations

import secrets


def unique(kind: str) -> str:
    """An id that is new in this world, such as `subject-3f9c...`."""
    return f"{kind}-{secrets.token_hex(8)}"


def a_subject() -> str:
    """A subject id."""
    return unique("subject")


def a_session() -> str:
    """A session id."""
    return unique("session")


def an_event_id() -> str:
    """An event id."""
    return unique("event")
