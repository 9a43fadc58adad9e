"""Consent is enforced: a withdrawal that returned is seen by every decision that starts after it."""

import asyncio
from uuid import uuid4

import pytest
from e2e_world import PATIENCE_S, is_service_only, side_by_side

from assent.consent.v1 import consent_service_pb2 as consent
from harbour_bank import mara, steps

pytestmark = pytest.mark.e2e

ROUNDS, DECIDERS = 50, 3


async def test_a_decision_that_starts_after_a_withdrawal_is_never_personal(world):
    customers = await side_by_side(lambda _: world.a_customer(()), 10)

    async def one_round(number: int) -> None:
        await withdrawn_while_deciding(world, customers[number % len(customers)])

    # A subject's rounds follow each other; subjects run side by side.
    for start in range(0, ROUNDS, len(customers)):
        await side_by_side(lambda number, start=start: one_round(start + number), len(customers), callers=5)


async def withdrawn_while_deciding(world, customer) -> None:
    index = await steps.allow(world.bundle, customer.subject_id, mara.PURPOSES, world.who.app)
    before = await world.decide(customer)
    assert before.consent.personal
    assert before.consent.index >= index
    returned = asyncio.Event()
    deciding = [asyncio.create_task(decide_past(world, customer, returned)) for _ in range(DECIDERS)]
    withdrawal = await world.withdraw(customer)
    returned.set()
    for decision in await asyncio.gather(*deciding):
        assert is_service_only(decision, world.bundle)
        assert decision.consent.index >= withdrawal.result.position.index


async def decide_past(world, customer, returned: asyncio.Event):
    """Decide again and again; the first decision that started after the withdrawal had returned."""
    while True:
        started_after = returned.is_set()
        decision = await world.decide(customer)
        if started_after:
            return decision


async def test_a_withdrawal_repeated_by_its_request_id_is_one_withdrawal(world):
    customer = await world.a_customer()
    stub = await world.who.app.consent()
    request = consent.WithdrawConsentRequest(request_id=uuid4().hex, subject_id=customer.subject_id, all=True)

    answers = await side_by_side(lambda _: stub.WithdrawConsent(request, timeout=PATIENCE_S), 16, callers=16)

    assert len({answer.result.position.index for answer in answers}) == 1
    assert sum(not answer.result.replayed for answer in answers) == 1
