"""What the stories share: the callers, customers with consent and money, and what is true of every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from assent.consent.v1 import consent_service_pb2 as consent
from assent.events.v1.bank_pb2 import BankEvent, Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.ranking.v1 import ranking_service_pb2 as ranking
from assent.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from assent.signals.v1 import signals_service_pb2 as signals
from assent.signals.v1.session_event_pb2 import SessionEvent
from assent_cli.stack import Stack
from assent_cli.supervised import State
from catalog.loading import load_bundle
from catalog.model import Bundle
from harbour_bank import CATALOG, mara, steps
from harbour_bank.bank_events import balance, event
from harbour_bank.clients import Caller, People, people
from servicekit.ids import new_id
from servicekit.status import from_rpc
from testkit.waiting import until

PATIENCE_S = 5.0
"""The deadline of a client here: the machine may be busy."""
WHOLE_S = 40.0
OFFER, ALERT, HERO = "savings_idle_cash", "low_balance_alert", "home.hero"


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody the bank knows, with idle cash."""

    identifier: Identifier
    subject_id: str
    session: str


@dataclass(slots=True)
class World:
    """A running suite and everybody who calls it."""

    stack: Stack
    who: People
    bundle: Bundle
    operator: Caller
    inspector: Caller

    async def a_customer(self, purposes: Sequence[str] = mara.PURPOSES, *, number: str = "") -> Customer:
        """A new customer with money that lies idle and these consents; her money may still be on its way."""
        number = number or f"HB-E2E-{uuid4().hex[:10]}"
        sent = await steps.ingest(mara.money(number, now_ms()), self.who, lambda _: None)
        assert sent.rejected == 0
        identifier = steps.customer(number)
        subject_id = await steps.subject_of(identifier, self.who.app)
        await steps.allow(self.bundle, subject_id, purposes, self.who.app)
        return Customer(identifier, subject_id, uuid4().hex)

    async def an_offered_customer(self) -> tuple[Customer, orchestration.DecideResponse]:
        """A customer who is shown the savings offer, and that decision: a few percent are in a holdout arm and are not."""
        for _ in range(8):
            customer = await self.a_customer()
            with suppress(AssertionError):
                return customer, await until(lambda c=customer: self.offered(c), timeout=4)
        raise AssertionError("nobody was shown the savings offer")

    async def an_alerted_customer(self) -> Customer:
        """A customer whose account runs low, who is told so in every decision."""
        customer = await self.a_customer((*mara.PURPOSES, "money_insights"))
        number = customer.identifier.value
        low = balance(f"{number}-current", "current", 4_000)
        await self.send([event(number, uuid4().hex, now_ms(), balance=low)])

        async def is_told() -> bool:
            return ALERT in actions(await self.decide(customer))

        await until(is_told, timeout=10)
        return customer

    async def offered(self, customer: Customer) -> orchestration.DecideResponse | None:
        """A decision that shows the offer, or none."""
        decision = await self.decide(customer)
        return decision if OFFER in actions(decision) else None

    async def decide(
        self, customer: Customer, placements: Sequence[str] = (HERO,), **more: Any
    ) -> orchestration.DecideResponse:
        """A decision within a patient client's deadline."""
        request = steps.decide_request(customer.identifier, placements, **more)
        return await (await self.who.app.orchestration()).Decide(request, timeout=PATIENCE_S)

    async def withdraw(self, customer: Customer) -> consent.WithdrawConsentResponse:
        """Everything is taken back."""
        request = consent.WithdrawConsentRequest(request_id=uuid4().hex, subject_id=customer.subject_id, all=True)
        return await (await self.who.app.consent()).WithdrawConsent(request, timeout=PATIENCE_S)

    async def recorded(self, decision: orchestration.DecideResponse) -> DecisionRecord:
        """The whole record of a decision; it is archived a moment after the answer."""
        request = orchestration.GetDecisionRequest(decision_id=decision.decision_id)
        stub = await self.inspector.orchestration()

        async def found() -> bytes | None:
            try:
                return (await stub.GetDecision(request, timeout=PATIENCE_S)).record
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return None

        return DecisionRecord.FromString(await until(found, timeout=10))

    async def snapshot(self) -> ranking.GetSnapshotResponse:
        """The learner's head."""
        stub = RankingServiceStub(await self.operator._channel("ranking"))
        return await stub.GetSnapshot(ranking.GetSnapshotRequest(), timeout=PATIENCE_S)

    async def report(self, customer: Customer, events: Iterable[SessionEvent]) -> signals.IngestSessionEventsResponse:
        """Session events of a customer's app."""
        request = signals.IngestSessionEventsRequest(
            batch_id=new_id(),
            session=customer.session,
            visitor=f"visitor-{customer.session}",
            subject_id=customer.subject_id,
            channel="mobile",
            app="harbour-app",
            app_version="1.0.0",
            sent_at_ms=now_ms(),
            events=events,
        )
        return await (await self.who.app.signals()).IngestSessionEvents(request, timeout=PATIENCE_S)

    async def send(self, events: Iterable[BankEvent]) -> int:
        """Bank events; how many were taken in."""
        return (await steps.ingest(events, self.who, lambda _: None)).accepted

    async def repaired(self) -> None:
        """Restart whatever a test left dead, and wait until decisions leave nothing out."""
        if self.stack.postgres.pid is None:
            self.stack.postgres.restart()
        if self.stack.nats.pid is None:
            self.stack.nats.restart()
        for status in self.stack.statuses():
            if status.state in {State.HELD, State.STOPPED}:
                await self.stack.restart(status.name)
        await self.stack.until_ready(WHOLE_S)
        await steps.until_decisions_work(self.who.app, WHOLE_S)

    async def is_serving(self, service: str) -> bool:
        """What gRPC health says of a service; away is not serving."""
        async with grpc.aio.insecure_channel(self.stack.grpc_address(service)) as channel:
            try:
                answer = await HealthStub(channel).Check(HealthCheckRequest(), timeout=2)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == HealthCheckResponse.SERVING)


@asynccontextmanager
async def opened_world(stack: Stack) -> AsyncIterator[World]:
    """Everybody, until the context ends."""
    operator = ("content.kill", "content.read", "ranking.read", "eligibility.contact")
    inspector = (
        *("orchestration.audit", "orchestration.audit.personal", "orchestration.explain"),
        *("orchestration.explain.agent", "orchestration.explain.auditor", "consent.audit"),
    )
    async with AsyncExitStack() as opened:
        who = await opened.enter_async_context(people(stack))
        yield World(
            stack,
            who,
            load_bundle(CATALOG),
            Caller(stack, "operator", operator, opened),
            Caller(stack, "inspector", inspector, opened),
        )


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def actions(decision: orchestration.DecideResponse) -> set[str]:
    """What a decision shows."""
    return {treatment.action for placement in decision.placements for treatment in placement.treatments}


def codes(decision: orchestration.DecideResponse) -> set[str]:
    """What a decision left out."""
    return {degradation.code for degradation in decision.degradations}


def is_service_only(decision: orchestration.DecideResponse, bundle: Bundle) -> bool:
    """Nothing in it needed anybody's consent, and nothing sells."""
    shown = [bundle.action[name] for name in actions(decision)]
    return not decision.consent.personal and not any(
        action.selling or bundle.purpose[action.purpose].needs_consent for action in shown
    )


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The stable reason of a refusal."""
    return from_rpc(error).code


async def side_by_side(work: Callable[[int], Awaitable[Any]], count: int, *, callers: int = 8) -> list[Any]:
    """`work(0)` to `work(count - 1)` with some callers; the answers in order."""
    room = asyncio.Semaphore(callers)

    async def one(number: int) -> Any:
        async with room:
            return await work(number)

    return list(await asyncio.gather(*(one(number) for number in range(count))))
