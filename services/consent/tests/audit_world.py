"""A ledger that is written, signed and audited, on a real database: what tests of auditing stand on."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from consent_fakes import VKEY as STATEMENT_VKEY
from decision_samples import a_field, a_record, recorded
from ledger_samples import ORIGIN, SIGNER, VKEY
from writing_fakes import role_pool, writing_bench

from consent_service.auditing.entries_store import PostgresEntries
from consent_service.auditing.exporting import Export, export
from consent_service.auditing.finding import Search, find_violations
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.proving import Audit, Prove, prove_state
from consent_service.auditing.tree_store import PostgresTree
from consent_service.domain.choices import Key
from consent_service.reliance.assessing import assess
from consent_service.reliance.decisions import decided
from consent_service.reliance.store import PostgresReliance
from consent_service.verifying import Trust
from servicekit import basis as kit
from tlog import Checkpoint, sign_checkpoint

OFFERS = Key("offers", "mobile", "transaction")


@dataclass
class Audited:
    """The ledger of a bench, and those who ask about it."""

    bench: object
    audit: Audit
    tree: PostgresTree
    reliance: PostgresReliance
    trust: Trust = field(default_factory=lambda: Trust(VKEY, ORIGIN))

    async def sign(self):
        """A checkpoint of all there is."""
        [head] = await self.bench.fetch("select size, root from log_head")
        note = sign_checkpoint(Checkpoint(ORIGIN, head["size"], head["root"]), [SIGNER])
        await self.bench.execute(
            "insert into checkpoint values ($1, $2, $3, '{}', $4) on conflict do nothing",
            head["size"],
            head["root"],
            note,
            self.bench.clock.now_us(),
        )
        return head["size"]

    async def prove(self, subject, key=OFFERS, **changed):
        await self.sign()
        return await prove_state(Prove(subject, key, **changed), self.audit)

    async def exported(self, **changed):
        return b"".join([lines async for lines in export(Export(**changed), self.audit, self.tree)])

    async def decide(self, subject, *fields, at_us=None, basis=None, bare=False, **changed):
        """A decision as it is folded; its id."""
        at_us = at_us if at_us is not None else self.bench.clock.now_us()
        if basis is None:
            signed, _ = await self.bench.basis(subject)
            basis = kit.SignedBasis(signed.body, signed.key_id, signed.signature)
        record = a_record(subject, basis, at_us=at_us, fields=[] if bare else fields or [a_field()], **changed)
        verifier = kit.Verifier(kit.public_keys([STATEMENT_VKEY]), ledger=self.bench.ledger._ledger)
        registry = await self.audit.registries.in_force((await self.bench.ledger.read("")).head, self.bench.ledger)
        await self.reliance.add([assess(decided(recorded(record)), verifier, registry)])
        return record.decision_id

    async def violations(self, **changed):
        found, after = [], {}
        while True:
            page = await find_violations(Search(**changed, **after), self.reliance, self.audit)
            found += page.violations
            if page.place is None:
                return found
            after = {"after": page.place}

    async def broken(self, statement):
        """Somebody with every right changes what is stored."""
        await self.bench.execute(f"set session_replication_role = replica; {statement}")


@asynccontextmanager
async def audited(database):
    """A ledger with the example registry."""
    async with (
        writing_bench(database) as bench,
        role_pool(database, "consent_reader") as pool,
        role_pool(database, "consent") as folds,
    ):
        await bench.publish()
        tree = PostgresTree(pool)
        audit = Audit(
            bench.ledger, PostgresEntries(pool, chunk=7), Proofs(tree), bench.registries, bench.clock, bench.keys
        )
        yield Audited(bench, audit, tree, PostgresReliance(folds))
