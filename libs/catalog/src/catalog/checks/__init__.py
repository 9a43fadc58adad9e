"""Static checks of a bundle: the same code in `assent catalog lint` and in the content service (catalog.md).

CHECKS is the list of what is examined; adding a check is adding a row. A bundle with an error cannot be proposed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from catalog.checks.actions import check_actions
from catalog.checks.bank import (
    check_bank,
    check_channels,
    check_journeys,
    check_notices,
    check_purposes,
    check_unique,
)
from catalog.checks.base import Check, Context
from catalog.checks.data import check_attributes, check_derived, check_features, check_segments
from catalog.checks.policies import check_contact, check_permissions, check_protection, check_rules
from catalog.checks.ranking import check_cases, check_experiments, check_ranking, check_static_order
from catalog.checks.signals import check_signals
from catalog.checks.sizes import check_sizes
from catalog.checks.texts import check_texts
from catalog.digest import bundle_digest
from catalog.findings import Finding
from catalog.loading import load
from catalog.model import Bundle
from catalog.source import Sources

CHECKS: tuple[Check, ...] = (
    check_sizes,
    check_unique,
    check_bank,
    check_purposes,
    check_notices,
    check_channels,
    check_journeys,
    check_attributes,
    check_features,
    check_derived,
    check_segments,
    check_signals,
    check_actions,
    check_texts,
    check_rules,
    check_permissions,
    check_contact,
    check_protection,
    check_ranking,
    check_static_order,
    check_experiments,
    check_cases,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What lint says of a folder: the digest when there is a bundle, and findings by file and line."""

    digest: str | None
    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """How many findings of the level."""
        return sum(finding.level == level for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        """The report as the command line prints it."""
        counts = {"errors": self.count("error"), "warnings": self.count("warning")}
        return {"bundle": self.digest, **counts, "findings": [finding.as_json() for finding in self.findings]}


def check(bundle: Bundle, sources: Sources | None = None, checks: Iterable[Check] = CHECKS) -> tuple[Finding, ...]:
    """Every finding, ordered by file and line; `sources` (from `catalog.loading.load`) adds the positions."""
    context = Context(bundle, sources or Sources())
    found = {finding for one in checks for finding in one(context)}
    return tuple(sorted(found, key=lambda finding: (finding.position, finding.code, finding.message)))


def lint(folder: Path) -> Report:
    """Load a folder and check what it holds."""
    loaded = load(folder)
    if loaded.bundle is None:
        return Report(None, loaded.findings)
    return Report(bundle_digest(loaded.bundle), check(loaded.bundle, loaded.sources))


__all__ = ["CHECKS", "Check", "Context", "Finding", "Report", "check", "lint"]
