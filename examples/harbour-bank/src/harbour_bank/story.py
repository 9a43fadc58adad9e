"""The main job, end to end: a customer struggles, is helped at once, is sold nothing meanwhile, and takes her consent back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc

from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import types_pb2
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.orchestration.v1.explanation_pb2 import AUDIENCE_AUDITOR, Explanation
from assent.signals.v1 import signals_service_pb2 as signals
from assent.signals.v1.session_event_pb2 import SessionEvent
from catalog.model import Bundle
from harbour_bank import mara, steps
from harbour_bank.clients import People
from harbour_bank.promises import StoryWentWrong, promise
from harbour_bank.proving import prove
from harbour_bank.report import Report
from servicekit.ids import new_id

if TYPE_CHECKING:  # the name exists in the stubs' types only
    from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceAsyncStub

HERO, INLINE = "home.hero", "kyc.upload.inline"
OFFER, HELP = "savings_idle_cash", "kyc_photo_help"
PUSH_S = 5.0
DEADLINE_S = 2.0
"""What this channel app gives a decision; without a deadline a decision takes 150 ms and leaves out what is slower."""
SURVIVED = frozenset({"placed", "reserve", "outranked"})
TWINS = 6
"""A few percent of customers are in a holdout arm or in exploration and see something else first; a twin is asked then."""

Stream = grpc.aio.UnaryStreamCall[orchestration.WatchDecisionsRequest, orchestration.WatchDecisionsResponse]


@dataclass(frozen=True, slots=True)
class Customer:
    """Mara, or a twin of hers."""

    identifier: Identifier
    subject_id: str
    session: str


async def tell(bundle: Bundle, who: People, report: Report) -> None:
    """Tell the whole story. Raises StoryWentWrong where the suite breaks a promise."""
    app = await who.app.orchestration()
    report.step("Mara opens the app: EUR 14,200 have not moved for two months, and she agreed to help and to offers")
    customer, before = await _meet(bundle, who, app)
    report.answer(before)
    report.step("She opens an account and her document photo fails; her app holds a stream open")
    stream = app.WatchDecisions(_watch_request(customer))
    await _first(stream, report)
    pushed, waited_ms = await _struggle(customer, who, stream, report)
    report.say(f"  pushed {waited_ms:.0f} ms after the third failed upload, by {pushed.cause}:")
    report.answer(pushed.decision)
    report.step("Meanwhile the offer is held back: help comes before selling")
    held = await _held_back(customer, app)
    report.answer(held)
    report.say("  " + await _why_not(held.decision_id, who, OFFER))
    report.step("She takes her consent back, all of it")
    withdrawal = await _withdraw(customer, who, stream, report)
    report.step("The bank can prove that entry to somebody who does not believe it")
    await prove(withdrawal, who, report)
    report.step("The same question, without her consent")
    after = await app.Decide(
        steps.decide_request(customer.identifier, [HERO, INLINE], session=customer.session), timeout=DEADLINE_S
    )
    promise(not after.consent.personal, "a decision after the withdrawal is not personal")
    report.answer(after)
    report.step("What an auditor reads of that last decision")
    report.funnel(await _explained(after.decision_id, who))
    await _replayed([before, pushed.decision, held, after], who, report)


async def _meet(
    bundle: Bundle, who: People, app: OrchestrationServiceAsyncStub
) -> tuple[Customer, orchestration.DecideResponse]:
    """The first twin whose decision is neither held out nor exploring, and that decision."""
    for _ in range(TWINS):
        customer = await _new_customer(bundle, who)
        decision = await _until_known(customer, app)
        if OFFER in _actions(decision):
            return customer, decision
    raise StoryWentWrong(
        f"no twin was shown the savings offer; of the last one: {await _why_not(decision.decision_id, who, OFFER)}"
    )


async def _new_customer(bundle: Bundle, who: People) -> Customer:
    number = f"HB-MARA-{uuid4().hex[:8]}"
    sent = await steps.ingest(mara.money(number, time.time_ns() // 1_000_000), who, lambda _: None)
    promise(sent.rejected == 0, "every bank event is accepted")
    identifier = steps.customer(number)
    subject_id = await steps.subject_of(identifier, who.app)
    await steps.allow(bundle, subject_id, mara.PURPOSES, who.app)
    return Customer(identifier, subject_id, uuid4().hex)


async def _until_known(customer: Customer, app: OrchestrationServiceAsyncStub) -> orchestration.DecideResponse:
    """A decision that knows her money: bank events are folded within a moment."""
    deadline = time.monotonic() + PUSH_S
    while True:
        decision = await app.Decide(
            steps.decide_request(customer.identifier, [HERO, INLINE], screen="home"), timeout=DEADLINE_S
        )
        if OFFER in _actions(decision) or time.monotonic() > deadline:
            return decision
        await asyncio.sleep(0.1)


def _actions(decision: orchestration.DecideResponse) -> set[str]:
    return {treatment.action for placement in decision.placements for treatment in placement.treatments}


def _watch_request(customer: Customer) -> orchestration.WatchDecisionsRequest:
    return orchestration.WatchDecisionsRequest(
        subject=customer.identifier,
        session_id=customer.session,
        channel="mobile",
        locale=steps.LOCALE,
        placements=[orchestration.PlacementRequest(id=INLINE)],
        context=orchestration.DecisionContext(screen="kyc_document", flow="kyc", step="document_upload"),
    )


async def _next(stream: Stream, seconds: float = PUSH_S) -> orchestration.WatchDecisionsResponse:
    async with asyncio.timeout(seconds):
        message = await stream.read()
    if not isinstance(message, orchestration.WatchDecisionsResponse):
        raise StoryWentWrong("the stream ended without a reason")
    return message


async def _first(stream: Stream, report: Report) -> None:
    message = await _next(stream)
    shown = ", ".join(sorted(_actions(message.decision))) or "nothing"
    report.say(f"  the stream begins with {shown}")


async def _send(customer: Customer, who: People, events: list[SessionEvent]) -> None:
    now_ms = time.time_ns() // 1_000_000
    answer = await (await who.app.signals()).IngestSessionEvents(
        signals.IngestSessionEventsRequest(
            batch_id=new_id(),
            session=customer.session,
            visitor=f"visitor-{customer.session}",
            subject_id=customer.subject_id,
            channel="mobile",
            app="harbour-app",
            app_version="1.0.0",
            sent_at_ms=now_ms,
            events=events,
        )
    )
    bad = [result for result in answer.results if result.status != signals.EVENT_STATUS_ACCEPTED]
    promise(not bad, f"every session event is accepted, not {[signals.EventStatus.Name(r.status) for r in bad]}")


async def _struggle(
    customer: Customer, who: People, stream: Stream, report: Report
) -> tuple[orchestration.WatchDecisionsResponse, float]:
    """Three failed uploads; the pushed decision, and milliseconds from the third to it."""
    started = time.time_ns() // 1_000_000
    await _send(customer, who, mara.opening(started))
    for number, (reason, words) in enumerate(mara.FAILURES):
        report.say(f"  upload {number + 1} failed: {words}")
        sent = time.monotonic()
        await _send(customer, who, mara.failed_upload(3 + 2 * number, time.time_ns() // 1_000_000, reason))
    pushed = await _next(stream)
    waited_ms = (time.monotonic() - sent) * 1000
    promise(HELP in _actions(pushed.decision), "guidance is pushed after the third failed upload")
    return pushed, waited_ms


async def _held_back(customer: Customer, app: OrchestrationServiceAsyncStub) -> orchestration.DecideResponse:
    decision = await app.Decide(
        steps.decide_request(customer.identifier, [HERO], session=customer.session, screen="home"), timeout=DEADLINE_S
    )
    promise(OFFER not in _actions(decision), "nothing is sold while friction is live")
    return decision


async def _explained(decision_id: str, who: People) -> Explanation:
    request = orchestration.ExplainDecisionRequest(decision_id=decision_id, audience=AUDIENCE_AUDITOR)
    return (await (await who.auditor.orchestration()).ExplainDecision(request)).explanation


async def _why_not(decision_id: str, who: People, action: str) -> str:
    explanation = await _explained(decision_id, who)
    found = next((c for c in explanation.candidates if c.action == action), None)
    if found is None or (found.result not in SURVIVED and not found.reasons):
        raise StoryWentWrong("broken: every removed action has its reasons")
    reasons = ", ".join(f"{reason.code} ({reason.attribute or reason.rule})" for reason in found.reasons)
    return f"{action} was removed at stage {found.result}: {reasons}"


async def _withdraw(customer: Customer, who: People, stream: Stream, report: Report) -> types_pb2.Entry:
    sent = time.monotonic()
    request = consent.WithdrawConsentRequest(request_id=uuid4().hex, subject_id=customer.subject_id, all=True)
    answer = await (await who.app.consent()).WithdrawConsent(request)
    report.say(f"  ledger index {answer.result.position.index}; now denied: {', '.join(answer.denied)}")
    while not (message := await _next(stream)).end:
        pass
    ended = orchestration.EndReason.Name(message.end)
    report.say(f"  the open stream ended {(time.monotonic() - sent) * 1000:.0f} ms later: {ended}")
    promise(message.end == orchestration.END_REASON_CONSENT_WITHDRAWN, "a withdrawal ends the stream")
    return answer.result.entries[-1]


async def _replayed(decisions: list[orchestration.DecideResponse], who: People, report: Report) -> None:
    auditor = await who.auditor.orchestration()
    for decision in decisions:
        answer = await auditor.ReplayDecision(orchestration.ReplayDecisionRequest(decision_id=decision.decision_id))
        promise(answer.identical, f"replay is identical, not different at {answer.first_difference}")
    report.say(
        f"All {len(decisions)} decisions of this story were run again from their records: identical, byte for byte."
    )
