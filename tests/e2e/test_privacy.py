"""What identifies a person stays where it belongs: it is in no log, no subject, no dead letter, no trace and no metric."""

import asyncio
import hashlib
from uuid import uuid4

import asyncpg
import grpc
import pytest
from e2e_world import HERO, PATIENCE_S, Customer, now_ms
from leaking import messages
from test_outcomes import outcome, record

from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import types_pb2
from assent.events.v1 import outcome_pb2
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.explanation_pb2 import AUDIENCE_AUDITOR
from harbour_bank import mara, steps
from harbour_bank.bank_events import balance, event, payment, trait

pytestmark = pytest.mark.e2e

PLANT = uuid4().hex[:10]
NUMBER, NAME, ADDRESS = f"4711{PLANT}", f"Marabel{PLANT}", f"mara.{PLANT}@example.org"
HASHED, VISITOR = hashlib.sha256(ADDRESS.encode()).hexdigest(), f"cookie{PLANT}"
ACCOUNT, WORDS = f"DE89{PLANT}", f"my husband must not know {PLANT}"
SECRETS = (NUMBER, NAME, ADDRESS, HASHED, VISITOR, ACCOUNT, WORDS, PLANT)


@pytest.fixture(scope="module")
async def lived(world):
    """A customer with planted identifiers who did everything there is to do, some of it wrongly."""
    identifier = steps.customer(NUMBER)
    assert await world.send(life()) == 4
    subject_id = await steps.subject_of(identifier, world.who.app)
    await steps.allow(world.bundle, subject_id, (*mara.PURPOSES, "money_insights"), world.who.app)
    customer = Customer(identifier, subject_id, uuid4().hex)
    decisions = [await world.decide(customer, [HERO, "home.list"], session=customer.session)]
    for other in (steps.Identifier(type="email_hash", value=HASHED), steps.Identifier(type="visitor", value=VISITOR)):
        await asyncio.gather(world.decide(Customer(other, subject_id, ""), [HERO]), return_exceptions=True)
    await world.report(customer, [*mara.opening(now_ms()), *free_text()])
    decisions.append(await world.decide(customer, [HERO], session=customer.session))
    await wrongly(world, subject_id)
    await told(world, decisions[0])
    await world.withdraw(customer)
    await world.decide(customer)
    return customer


def life():
    """Bank events with a name, an account number and words; one of them is not right."""
    rows = {
        "name": {"trait": trait("view.first_name", NAME)},
        "unknown": {"trait": trait("view.shoe_size", 45)},
        "balance": {"balance": balance(ACCOUNT, "current", 1_420_000)},
        "paid": {"transaction": payment(ACCOUNT, "out", "transfer", 100, now_ms(), counterparty=ACCOUNT)},
        "odd": {"transaction": payment(ACCOUNT, WORDS, "gift", -5, now_ms(), counterparty=WORDS)},
    }
    for body in rows.values():
        made = event(NUMBER, "x", now_ms(), **body)
        made.event_id = uuid4().hex
        yield made


def free_text():
    """Session events that carry what nobody asked for."""
    for seq, field in enumerate(("screen", "target", "reason", "field"), start=3):
        said = mara._said(seq, now_ms(), "tap")
        setattr(said, field, WORDS)
        yield said
    yield mara._said(7, now_ms(), WORDS)


async def wrongly(world, subject_id: str) -> None:
    """Calls that are refused, with what must not be repeated; and a grant in the person's own words, which is kept sealed."""
    ledger, app = await world.who.app.consent(), await world.who.app.orchestration()
    decide = steps.decide_request(steps.Identifier(type=WORDS, value=NAME), [WORDS], screen=WORDS)
    withdraw = consent.WithdrawConsentRequest(
        request_id=uuid4().hex, subject_id=subject_id, purposes=consent.PurposeList(ids=[WORDS]), reason=WORDS
    )
    spoken = steps._grant(world.bundle, subject_id, ["offers"], world.bundle.notices[2])
    spoken.evidence.CopyFrom(types_pb2.Evidence(method="voice", free_text=WORDS))
    await ledger.RecordChoice(spoken)
    calls = [app.Decide(decide), ledger.WithdrawConsent(withdraw)]
    for refused in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(refused, grpc.aio.AioRpcError)
        assert PLANT not in f"{refused.details()} {refused.trailing_metadata()}"


async def told(world, decision) -> None:
    """Explanation, replay and an outcome of a decision."""
    await world.recorded(decision)
    auditor = await world.who.auditor.orchestration()
    explain = pb.ExplainDecisionRequest(decision_id=decision.decision_id, audience=AUDIENCE_AUDITOR)
    await auditor.ExplainDecision(explain, timeout=PATIENCE_S)
    await auditor.ReplayDecision(pb.ReplayDecisionRequest(decision_id=decision.decision_id), timeout=PATIENCE_S)
    for placement in decision.placements:
        for treatment in placement.treatments:
            await record(world, outcome(decision, treatment.action, outcome_pb2.OUTCOME_TYPE_CLICK))


async def test_nothing_that_identifies_comes_out(world, lived, leaks):
    assert await leaks(*SECRETS) == []


async def test_profile_keeps_no_identifier_and_the_bus_none_but_in_records_of_decisions(world, lived):
    connection = await asyncpg.connect(world.stack.postgres.dsn("assent"))
    try:
        rows = await connection.fetch("select t::text from profile.identifier t")
    finally:
        await connection.close()
    streams = {
        name
        for name, message in await messages(world.stack)
        for secret in (NUMBER, HASHED, ADDRESS, VISITOR)
        if secret.encode() in message
    }

    assert not [row for row in rows if any(secret in row[0] for secret in SECRETS)]
    assert streams - {"DECISIONS"} == set()


async def test_what_nobody_asked_for_is_stored_nowhere(world, lived):
    found = {name for name, message in await messages(world.stack) if WORDS.encode() in message}

    assert found == set()


async def test_an_auditor_without_the_second_scope_reads_no_identifier(world, lived):
    decision = await world.decide(lived)
    await world.recorded(decision)
    auditor = await world.who.auditor.orchestration()
    redacted = await auditor.GetDecision(pb.GetDecisionRequest(decision_id=decision.decision_id), timeout=PATIENCE_S)

    assert redacted.redacted
    assert not [secret for secret in SECRETS if secret.encode() in redacted.record]
