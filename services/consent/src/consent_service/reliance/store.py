"""Reliances and findings in PostgreSQL: many decisions in one transaction, as the role that folds; read back by whoever audits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from consent_service.auditing.finding import Reliances, RelianceStore
from consent_service.reliance.assessing import Assessed, Finding, Reliance
from consent_service.reliance.folding import Kept
from servicekit import postgres, queries

sql = queries.load("consent_service.reliance")


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

    async def reliances(self, query: Reliances) -> Sequence[Reliance]:
        """In the order in which they were decided."""
        async with postgres.connection(self._pool) as connection:
            rows = await sql.reliances(
                connection,
                support=query.support,
                subject_id=query.subject,
                from_us=query.from_us,
                to_us=query.to_us,
                after_us=query.after.decided_us,
                after_decision=query.after.decision,
                after_purpose=query.after.purpose,
                amount=query.amount,
            )
        return [_reliance(row) for row in rows]

    async def findings(self, rules: Collection[str], from_us: int, to_us: int, amount: int) -> Sequence[Finding]:
        """In the order in which they were decided."""
        async with postgres.connection(self._pool) as connection:
            rows = await sql.findings(connection, rules=list(rules), from_us=from_us, to_us=to_us, amount=amount)
        return [Finding(row["decision_id"], row["rule"], row["detail"], row["at_us"]) for row in rows]


def _reliance(row: Mapping[str, Any]) -> Reliance:
    return Reliance(
        decision=row["decision_id"],
        purpose=row["purpose"],
        support=row["support_idx"],
        subject=row["subject_id"] or "",
        basis=row["basis_idx"],
        at_us=row["at_us"],
        decided_us=row["decided_us"],
        channel=row["channel"],
        categories=tuple(row["categories"]),
        regimes=tuple(row["regimes"]),
    )


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


_: tuple[type[Kept], type[RelianceStore]] = (PostgresReliance, PostgresReliance)
