"""Decisions on the bus become reliances in the ledger's database, once each, whatever is delivered how often."""

from __future__ import annotations

import pytest
from consent_fakes import NOW, VKEY, grant
from decision_samples import a_field, a_record, an_envelope
from writing_fakes import SCHEMA, writing_bench

from consent_service.reliance import folding
from consent_service.reliance.store import PostgresReliance
from servicekit import basis as kit
from servicekit import postgres
from servicekit.basis import SignedBasis
from servicekit.jetstream import consume
from servicekit.streams import subject as subject_of
from testkit import schema
from testkit.builders import a_subject
from testkit.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def bench(database):
    async with writing_bench(await database("consent")) as bench:
        await bench.publish()
        yield bench


@pytest.fixture
async def taking(bench, bus, streams):
    """The fold at work, as the service runs it."""
    async with postgres.pool(bench.database.settings, schema=SCHEMA) as pool:
        verifier = kit.Verifier(kit.public_keys([VKEY]), ledger=bench.ledger._ledger)
        kept = folding.Folding(PostgresReliance(pool), bench.ledger, bench.registries, verifier)
        async with consume(await bus("consent"), [folding.subscription(kept)]):
            yield kept


async def a_decision(bench, subject, *fields, **changed):
    signed, _ = await bench.basis(subject)
    basis = SignedBasis(signed.body, signed.key_id, signed.signature)
    return a_record(subject, basis, at_us=NOW, fields=fields or [a_field()], **changed)


async def rows(bench, record):
    statement = (
        "select purpose, support_idx, subject_id, channel, categories, regimes from reliance where decision_id = $1"
    )
    return [tuple(row) for row in await bench.fetch(statement, record.decision_id)]


async def publish(bus, record):
    await (await bus("orchestration")).publish(subject_of("decision", record.subject_id), an_envelope(record))


async def test_every_query_prepares(database):
    await schema.assert_queries_prepare(await database("consent"), "consent_service.reliance")


async def test_a_decision_on_the_bus_becomes_one_row_per_purpose(bench, taking, bus):
    subject = a_subject()
    granted = await bench.choose(subject, grant())
    record = await a_decision(bench, subject, a_field(purposes=("offers", "advice")))

    await publish(bus, record)
    await until(lambda: rows(bench, record))

    registry = (await bench.registry()).published.index
    assert sorted(await rows(bench, record)) == [
        ("advice", registry, subject, "mobile", ["transaction"], ["gdpr"]),
        ("offers", granted.position.index, subject, "mobile", ["transaction"], ["gdpr"]),
    ]


async def test_a_decision_that_comes_again_changes_nothing_and_a_broken_one_keeps_nobody_back(bench, taking):
    subject = a_subject()
    record, other = await a_decision(bench, subject), await a_decision(bench, subject)

    await taking.take(an_envelope(record))
    before = await rows(bench, record)
    await taking.take(an_envelope(record))
    await taking.take(an_envelope(other))

    assert before
    assert await rows(bench, record) == before
    assert await rows(bench, other)


async def test_data_without_a_basis_is_a_finding(bench, taking):
    record = a_record(a_subject(), at_us=NOW, fields=[a_field()])

    for _ in range(2):
        await taking.take(an_envelope(record))

    [found] = await bench.fetch("select rule, detail, at_us from finding where decision_id = $1", record.decision_id)
    assert tuple(found) == ("WITHOUT_BASIS", "BASIS_MISSING", NOW)
    assert not await rows(bench, record)


async def test_of_an_erased_subject_no_id_is_kept(bench, taking):
    subject = a_subject()
    record = await a_decision(bench, subject)
    await bench.entomb(subject)

    await taking.take(an_envelope(record))

    assert [row[2] for row in await rows(bench, record)] == [None]
