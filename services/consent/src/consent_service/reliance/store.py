"""Reliances and findings in PostgreSQL: many decisions in one transaction, as the role that folds; read back by whoever audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from consent_service.reliance.assessing import Assessed, Finding, Reliance
from consent_service.reliance.folding import Kept
from servicekit import postgres, queries

sql = queries.load("consent_service.reliance")

LAST_US: Final = (1 << 62) - 1


class PostgresReliance:
    """Through a pool of a role that may insert, or of one that may read."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def add(self, assessed: Sequence[Assessed]) -> None:
        """Two statements. Of a subject that is erased by now, no id is kept."""
        reliances = [row for each in assessed for row in each.reliances]
        findings = [row for each in assessed for row in each.findings]
        if not reliances and not findings:
            return
        async with postgres.transaction(self._pool) as tx:
            if reliances:
                await sql.add_reliances(tx, **_columns(reliances))
            if findings:
                await sql.add_findings(tx, **_told(findings))


def _columns(rows: Sequence[Reliance]) -> Mapping[str, Sequence[Any]]:
    return {
        "decisions": [row.decision for row in rows],
        "purposes": [row.purpose for row in rows],
        "supports": [row.support for row in rows],
        "subjects": [row.subject for row in rows],
        "bases": [row.basis for row in rows],
        "ats": [row.at_us for row in rows],
        "decided": [row.decided_us for row in rows],
        "channels": [row.channel for row in rows],
        # Arrays of one length travel; a list of lists would have to be even. No category and no regime has a blank.
        "categories": [" ".join(row.categories) for row in rows],
        "regimes": [" ".join(row.regimes) for row in rows],
    }


def _told(rows: Sequence[Finding]) -> Mapping[str, Sequence[Any]]:
    return {
        "decisions": [row.decision for row in rows],
        "rules": [row.rule for row in rows],
        "details": [row.detail for row in rows],
        "ats": [row.at_us for row in rows],
    }


_: type[Kept] = PostgresReliance
