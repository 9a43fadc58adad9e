"""Who may do what in a development stack, as data: sibling services at each other, and the roles that get a token.

Scopes are those of the methods' `assent.auth.v1.scope` options. Deployments start from the same table.
"""

from __future__ import annotations

from collections.abc import Mapping

CALLERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "profile": {
        "orchestration": ("profile.resolve", "profile.read"),
        "signals": ("profile.resolve",),
        "consent": ("profile.resolve", "profile.rights"),
    },
    "consent": {
        "orchestration": ("consent.check",),
        "signals": ("consent.check",),
        "eligibility": ("consent.check",),
        "ranking": ("consent.check",),
        "profile": ("consent.check", "consent.choose", "consent.link"),
        "content": ("consent.registry",),
    },
    "signals": {
        "orchestration": ("signals.read",),
        "profile": ("signals.forget",),
    },
    "eligibility": {
        "orchestration": ("eligibility.evaluate", "eligibility.contact", "eligibility.reserve"),
        "profile": ("eligibility.forget",),
        "content": ("eligibility.evaluate",),
    },
    "ranking": {
        "orchestration": ("ranking.rank", "ranking.read"),
        "profile": ("ranking.forget",),
        "content": ("ranking.read",),
    },
    "content": {
        "orchestration": ("content.read", "content.render"),
        "profile": ("content.read",),
        "signals": ("content.read",),
        "eligibility": ("content.read",),
        "ranking": ("content.read",),
        "consent": ("content.read",),
    },
    "orchestration": {
        "signals": ("orchestration.decide",),
    },
}
"""By the service called, then by the calling service."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "channel": (
        "orchestration.decide",
        "orchestration.outcomes",
        "signals.ingest",
        "consent.check",
        "consent.choose",
        "profile.resolve",
        "profile.link",
    ),
    "auditor": ("consent.audit", "consent.check", "orchestration.audit", "orchestration.explain", "content.read"),
    "operator": (
        "consent.check",
        "consent.registry",
        "content.activate",
        "content.kill",
        "content.propose",
        "content.read",
        "eligibility.contact",
        "eligibility.evaluate",
        "orchestration.explain",
        "profile.ingest",
        "profile.link",
        "profile.resolve",
        "profile.rights",
        "ranking.evaluate",
        "ranking.read",
        "signals.operate",
    ),
    # Whoever proposes a bundle must not approve it.
    "approver": ("content.approve", "content.read"),
}
"""The tokens that `assent up` writes: role, then scopes."""
