"""The roles that get a token in a development stack, and what each may do.

Scopes are those of the methods' `assent.auth.v1.scope` options. What sibling services may do at each other is said by the service that is
called, in its settings.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "auditor": (
        "consent.audit",
        "consent.check",
        "consent.evidence",
        "orchestration.audit",
        "orchestration.explain",
        "content.read",
    ),
    "operator": (
        "consent.check",
        "consent.keys",
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
    # Whoever asks for an erasure must not approve it, and one approver is not two.
    "clerk": ("consent.rights",),
    "privacy": ("consent.rights", "consent.rights.approve"),
    "privacy-second": ("consent.rights", "consent.rights.approve"),
    # Whoever proposes a bundle must not approve it.
    "approver": ("content.approve", "content.read"),
}
"""The tokens that `assent up` writes: role, then scopes."""
