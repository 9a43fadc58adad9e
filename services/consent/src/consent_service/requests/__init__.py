"""Requests as commands."""

from consent_service.requests.reads import check, evaluate, find_registry, list_events, look, watch
from consent_service.requests.writes import grant, objection, publish, record_choice, set_link, signal, withdraw

__all__ = [
    "check",
    "evaluate",
    "find_registry",
    "grant",
    "list_events",
    "look",
    "objection",
    "publish",
    "record_choice",
    "set_link",
    "signal",
    "watch",
    "withdraw",
]
