"""Whatever dies, answers keep coming, say what they leave out, and everything comes back by itself."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import cycle
from uuid import uuid4

import grpc
import leaking
import pytest
from e2e_world import ALERT, HERO, OFFER, WHOLE_S, actions, codes, is_service_only, now_ms

from assent.consent.v1 import consent_service_pb2 as consent
from assent.events.v1 import outcome_pb2
from assent.events.v1.envelope_pb2 import Envelope
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from harbour_bank import mara, steps, story
from harbour_bank.bank_events import balance, event
from servicekit import nats
from testkit.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DEADLINE_S, LATE_S = 2.0, 1.0
ENOUGH = 12
WITHOUT = {
    "consent": {"CONSENT_UNAVAILABLE"},
    "profile": {"PROFILE_UNAVAILABLE"},
    "signals": {"SIGNALS_UNAVAILABLE"},
    "eligibility": {"ELIGIBILITY_UNAVAILABLE", "CONTACT_UNAVAILABLE", "RESERVATION_UNAVAILABLE"},
    "ranking": {"RANKING_UNAVAILABLE"},
    "content": {"CONTENT_UNAVAILABLE"},
}
"""The degradation table of the architecture, by what is away."""


class Deciding:
    """Callers who decide all the time; what each call that began since `clear` came to."""

    def __init__(self, world, request):
        self._world, self._request = world, request
        self._began = 0.0
        self.answers: list[pb.DecideResponse] = []
        self.errors: list[grpc.StatusCode] = []
        self.slowest_s = 0.0

    def clear(self) -> None:
        """Forget what was, calls under way included."""
        self._began, self.answers, self.errors, self.slowest_s = time.monotonic(), [], [], 0.0

    async def enough(self, calls: int = ENOUGH) -> list[pb.DecideResponse]:
        """Wait for so many calls that began from now on; their answers."""
        self.clear()
        await until(lambda: len(self.answers) + len(self.errors) >= calls, timeout=30)
        assert self.slowest_s < DEADLINE_S + LATE_S
        return list(self.answers)

    async def run(self) -> None:
        """One caller."""
        stub = await self._world.who.app.orchestration()
        while True:
            began = time.monotonic()
            try:
                answer, error = await stub.Decide(self._request(), timeout=DEADLINE_S), None
            except grpc.aio.AioRpcError as failed:
                answer, error = None, failed.code()
            if began >= self._began:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                if answer is not None:
                    self.answers.append(answer)
                else:
                    self.errors.append(error)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def deciding(world, *customers, callers: int = 3):
    turns = cycle(customers)

    def request() -> pb.DecideRequest:
        return steps.decide_request(next(turns).identifier, [HERO, "home.list"], screen="home")

    calls = Deciding(world, request)
    tasks = [asyncio.create_task(calls.run()) for _ in range(callers)]
    try:
        yield calls
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def recovered(calls: Deciding) -> None:
    """Decisions leave nothing out again."""

    async def is_whole() -> bool:
        answers = await calls.enough(4)
        return len(answers) >= 4 and not any(codes(answer) for answer in answers)

    await until(is_whole, timeout=WHOLE_S)


@pytest.mark.parametrize("service", sorted(WITHOUT))
async def test_answers_keep_coming_without(whole, service):
    offered, _ = await whole.an_offered_customer()
    alerted = await whole.an_alerted_customer()
    async with deciding(whole, offered, alerted) as calls:
        await recovered(calls)
        await whole.stack.kill(service)
        answers = await calls.enough()
        errors = list(calls.errors)
        await whole.stack.restart(service)
        await recovered(calls)

    assert errors == []
    assert {code for answer in answers for code in codes(answer)} <= WITHOUT[service]
    assert any(codes(answer) for answer in answers)
    assert all(answer.HasField("receipt") for answer in answers)
    JUDGED[service](whole, answers)


def judge_service_only(world, answers) -> None:
    assert all(codes(answer) and is_service_only(answer, world.bundle) for answer in answers)


def judge_nothing_sells(world, answers) -> None:
    assert all(map(codes, answers))
    assert not [name for answer in answers for name in actions(answer) if world.bundle.action[name].selling]


def judge_still_chosen(world, answers) -> None:
    assert all(answer.consent.personal for answer in answers)
    assert [codes(answer) for answer in answers if ALERT in actions(answer)] == [WITHOUT["ranking"]] * count(answers)


def judge_fallback_texts(world, answers) -> None:
    texts = set(world.bundle.action[ALERT].fallback.values())
    shown = [t.content.body for a in answers for p in a.placements for t in p.treatments if t.action == ALERT]
    assert len(shown) == count(answers)
    assert set(shown) <= texts
    assert [codes(answer) for answer in answers if ALERT in actions(answer)] == [WITHOUT["content"]] * count(answers)


def count(answers) -> int:
    """How many of the answers are about the customer whose account runs low; the offers of the other one run out."""
    found = sum(ALERT in actions(answer) for answer in answers)
    assert found >= ENOUGH // 3
    return found


JUDGED = {
    "consent": judge_service_only,
    "profile": judge_service_only,
    "signals": judge_nothing_sells,
    "eligibility": judge_nothing_sells,
    "ranking": judge_still_chosen,
    "content": judge_fallback_texts,
}


async def test_a_killed_orchestration_is_an_error_at_once_and_comes_back(whole):
    customer, _ = await whole.an_offered_customer()
    async with deciding(whole, customer) as calls:
        await whole.stack.kill("orchestration")
        answers = await calls.enough()
        errors = set(calls.errors)
        await whole.stack.restart("orchestration")
        await recovered(calls)

    assert answers == []
    assert errors == {grpc.StatusCode.UNAVAILABLE}


class Writers:
    """Outcomes, bank events, session batches and choices, written all the time; the ids of what was acknowledged."""

    def __init__(self, world, customer, decision):
        self._world, self._customer, self._decision = world, customer, decision
        self.outcomes: set[str] = set()
        self.bank: set[str] = set()
        self.batches: set[str] = set()
        self.choices: dict[str, int] = {}
        self.refused: set[grpc.StatusCode] = set()

    @asynccontextmanager
    async def writing(self):
        works = (self._outcome, self._bank, self._batch, self._choice)
        tasks = [asyncio.create_task(self._for_ever(work)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _for_ever(self, work) -> None:
        while True:
            try:
                await work()
            except grpc.aio.AioRpcError as error:
                self.refused.add(error.code())
            await asyncio.sleep(0.01)

    async def _outcome(self) -> None:
        token = next(t.tracking_token for p in self._decision.placements for t in p.treatments if t.action == OFFER)
        outcome = pb.Outcome(
            outcome_id=uuid4().hex,
            decision_id=self._decision.decision_id,
            action=OFFER,
            type=outcome_pb2.OUTCOME_TYPE_CLICK,
            occurred_at_ms=now_ms(),
            tracking_token=token,
        )
        stub = await self._world.who.app.orchestration()
        answer = await stub.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=[outcome]), timeout=DEADLINE_S)
        if answer.results[0].status in {pb.OUTCOME_STATUS_ACCEPTED, pb.OUTCOME_STATUS_DUPLICATE}:
            self.outcomes.add(outcome.outcome_id)

    async def _bank(self) -> None:
        number = self._customer.identifier.value
        sent = event(number, uuid4().hex, now_ms(), balance=balance(f"{number}-current", "current", 1_420_000))
        if await self._world.send([sent]) == 1:
            self.bank.add(sent.event_id)

    async def _batch(self) -> None:
        session = uuid4().hex
        customer = story.Customer(self._customer.identifier, self._customer.subject_id, session)
        answer = await self._world.report(customer, mara.opening(now_ms()))
        if answer.results and answer.results[0].status == 1:
            self.batches.add(session)

    async def _choice(self) -> None:
        request = consent.WithdrawConsentRequest(
            request_id=uuid4().hex,
            subject_id=f"subject-{uuid4().hex}",
            purposes=consent.PurposeList(ids=["offers"]),
        )
        stub = await self._world.who.app.consent()
        answer = await stub.WithdrawConsent(request, timeout=DEADLINE_S)
        self.choices[request.subject_id] = answer.result.position.index

    def counts(self) -> list[int]:
        return [len(self.outcomes), len(self.bank), len(self.batches), len(self.choices)]

    async def more(self, *, least: int = 5) -> None:
        """Wait until each has written so much more."""
        before = self.counts()
        await until(lambda: all(n >= b + least for n, b in zip(self.counts(), before, strict=True)), timeout=WHOLE_S)


async def on_stream(stack, stream: str) -> list[Envelope]:
    """Everything that is on a stream."""
    async with nats.connect(stack.nats_settings(), "cli") as bus:
        return [Envelope.FromString(message.data) for message in await leaking.on_stream(bus, stream)]


async def test_nothing_personal_without_a_record_and_nothing_acknowledged_is_lost_when_nats_dies(whole):
    customer, decision = await whole.an_offered_customer()
    writers = Writers(whole, customer, decision)
    async with deciding(whole, customer) as calls, writers.writing():
        await writers.more()
        await asyncio.to_thread(whole.stack.nats.kill)
        answers = await calls.enough(30)
        errors = list(calls.errors)
        await until(lambda: not_serving(whole, whole.stack.services), timeout=15)
        whole.stack.nats.restart()
        await recovered(calls)
        await writers.more()

    assert errors == []
    assert all("RECORDING_UNAVAILABLE" in codes(answer) for answer in answers)
    assert not [answer for answer in answers if answer.HasField("receipt")]
    assert all(is_service_only(answer, whole.bundle) for answer in answers)
    assert grpc.StatusCode.INTERNAL not in writers.refused
    assert grpc.StatusCode.UNKNOWN not in writers.refused
    recorded = await on_stream(whole.stack, "OUTCOMES")
    assert writers.outcomes <= {found.outcome_recorded.outcome_id for found in recorded}
    banked = await on_stream(whole.stack, "BANK_EVENTS")
    assert writers.bank <= {found.bank_event.event.event_id for found in banked}
    reported = await on_stream(whole.stack, "SESSION_EVENTS")
    assert writers.batches <= {found.session_batch.session for found in reported}


async def not_serving(world, services) -> bool:
    return not any([await world.is_serving(service) for service in services])


async def test_nothing_acknowledged_is_lost_and_everything_recovers_when_postgresql_dies(whole):
    customer, decision = await whole.an_offered_customer()
    writers = Writers(whole, customer, decision)
    async with deciding(whole, customer) as calls, writers.writing():
        await writers.more()
        await asyncio.to_thread(whole.stack.postgres.kill)
        answers = await calls.enough(20)
        errors = list(calls.errors)
        await until(lambda: not_serving(whole, whole.stack.services.keys() - {"orchestration"}), timeout=15)
        whole.stack.postgres.restart()
        await recovered(calls)
        await writers.more()

    assert errors == []
    assert all(is_service_only(answer, whole.bundle) for answer in answers)
    assert {"CONSENT_UNAVAILABLE", "PROFILE_UNAVAILABLE"} & {code for answer in answers for code in codes(answer)}
    assert grpc.StatusCode.INTERNAL not in writers.refused
    assert grpc.StatusCode.UNKNOWN not in writers.refused
    await every_choice_is_there(whole, writers.choices)
    banked = {found.bank_event.event.event_id for found in await on_stream(whole.stack, "BANK_EVENTS")}
    assert writers.bank <= banked


async def every_choice_is_there(world, choices: dict[str, int]) -> None:
    auditor = await world.who.auditor.consent()
    assert choices
    for subject_id, index in choices.items():
        state = await auditor.GetConsentState(consent.GetConsentStateRequest(subject_id=subject_id), timeout=10)
        assert index in {statement.index for statement in state.statements}


async def watching(world, customer):
    """An open stream whose first decision was personal: on a busy machine the first one may leave that out."""
    app = await world.who.app.orchestration()
    async with asyncio.timeout(20):
        while True:
            stream = app.WatchDecisions(story._watch_request(customer))
            if (await stream.read()).decision.consent.personal:
                return stream
            stream.cancel()


async def test_a_draining_orchestration_ends_its_streams_and_itself(whole):
    customer = await whole.a_customer()
    stream = await watching(whole, customer)
    running = whole.stack.running["orchestration"]

    started = time.monotonic()
    stopping = asyncio.create_task(running.stop())
    async with asyncio.timeout(10):
        while (message := await stream.read()) is not grpc.aio.EOF and not message.end:
            pass
    await stopping

    assert message.end == pb.END_REASON_SERVER_DRAINING
    assert running._process.exit_code == 0
    assert time.monotonic() - started < 10


async def test_a_stream_ends_for_a_withdrawal_that_came_while_nobody_could_read_the_ledger(whole):
    customer = await whole.a_customer()
    stream = await watching(whole, customer)

    await whole.stack.kill("profile")
    withdrawn = (await whole.withdraw(customer)).result.position.index
    async with asyncio.timeout(10):
        while (
            emptied := await stream.read()
        ).decision.consent.personal:  # pushed for what the customer had just allowed
            assert emptied.decision.consent.index < withdrawn
    assert is_service_only(emptied.decision, whole.bundle)
    await whole.stack.restart("profile")

    async with asyncio.timeout(15):
        while not (message := await stream.read()).end:
            assert is_service_only(message.decision, whole.bundle)
    assert message.end == pb.END_REASON_CONSENT_WITHDRAWN
