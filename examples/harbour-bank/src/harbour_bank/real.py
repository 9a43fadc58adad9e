"""The same suite on real input: a Czech bank's transactions, recorded browser sessions, and a decision for each of 1,000 real customers."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from rich.progress import Progress

from assent.consent.v1 import consent_service_pb2 as consent
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.orchestration.v1.explanation_pb2 import AUDIENCE_AUDITOR, Explanation
from assent.profile.v1 import profile_service_pb2 as profile
from assent.signals.v1 import signals_service_pb2 as signals
from catalog.model import Bundle
from harbour_bank import berka, rrweb, steps
from harbour_bank.bundles import in_currency
from harbour_bank.clients import People
from harbour_bank.report import Report
from servicekit.ids import new_id

DECIDED: Final = 1000
CALLERS: Final = 8
YES: Final = 70
"""Percent of customers who agree to a purpose; the data knows nothing of consent, so this is the demonstration's own."""
SEED: Final = 1999
PLACEMENTS: Final = ("home.hero", "home.list", "accounts.banner")
RECORDINGS: Final = "web_sessions"
BATCH: Final = 100

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Decided:
    """One customer's decision, why everything else was left out, and how long it took."""

    answer: orchestration.DecideResponse
    explanation: Explanation
    seconds: float


def crowns(bundle: Bundle) -> Bundle:
    """The example catalog for a bank in crowns: thresholds stay as they stand, in minor units."""
    return in_currency(bundle, berka.CURRENCY)


def missing(folder: Path) -> list[str]:
    """What a folder of real data should hold and does not."""
    return [name for name in (f"berka/{berka.TRANSACTIONS}", RECORDINGS) if not (folder / name).exists()]


async def demonstrate_real(bundle: Bundle, who: People, folder: Path, report: Report) -> None:
    """Feed, decide, tell. Raises StoryWentWrong when a count differs from what the data's own page says."""
    report.step("The transactions of a Czech bank, 1993 to 1998")
    accounts = await asyncio.to_thread(berka.read, folder / "berka")
    await _feed(accounts, who, report)
    report.step("Recorded browser sessions; what was typed stays in the converter")
    for path in sorted((folder / RECORDINGS).glob("*.json.gz")):
        await _browse(bundle, rrweb.read(path), who, report)
    report.step(f"A decision for each of {DECIDED:,} real customers")
    chosen = accounts[:DECIDED]
    await _record_choices(bundle, chosen, who, report)
    decided = await _decide(chosen, who, report)
    _tell(bundle, decided, report)


async def _feed(accounts: Sequence[berka.Account], who: People, report: Report) -> None:
    counted = berka.facts(accounts)
    report.table(
        "What was read",
        ("fact", "rows"),
        [
            ("transactions", counted.transactions),
            ("accounts", counted.accounts),
            ("penalty interest", counted.penalty_interest),
            ("negative balance", counted.negative_balance),
            ("pensions", counted.pensions),
            ("household payments", counted.household),
        ],
    )
    now_ms = time.time_ns() // 1_000_000
    total = 2 * counted.transactions
    started = time.monotonic()
    with Progress(console=report.console, transient=True) as progress:
        bar = progress.add_task("bank events", total=total)
        events = (event for account in accounts for event in berka.events(account, now_ms))
        answer = await steps.ingest(events, who, lambda sent: progress.advance(bar, sent))
    seconds = time.monotonic() - started
    report.say(
        f"{answer.accepted:,} events accepted (a transaction and its balance per row, and the owners), {answer.duplicates:,}"
        f" duplicates, {answer.rejected:,} rejected, in {seconds:.1f} s: {answer.accepted / seconds:,.0f} a second"
    )
    report.say(
        "Each account's calendar was moved so that its last day was yesterday; amounts are in crowns, to the heller."
    )


async def _browse(bundle: Bundle, recording: rrweb.Recording, who: People, report: Report) -> None:
    """One recording, sent as its customer's app would have."""
    stub = await who.app.signals()
    visitor = Identifier(type="visitor", value=f"visitor-{uuid4().hex}")
    subject_id = await _visitor(visitor, who)
    await steps.allow(bundle, subject_id, ("assistance", "personalization"), who.app)
    session = uuid4().hex
    statuses: Counter[str] = Counter()
    for start in range(0, len(recording.events), BATCH):
        batch = recording.events[start : start + BATCH]
        request = signals.IngestSessionEventsRequest(
            batch_id=new_id(),
            session=session,
            visitor=visitor.value,
            channel="web",
            app="recorded",
            app_version="1.0.0",
            sent_at_ms=recording.events[-1].occurred_at_ms + 1000,
            events=batch,
        )
        answer = await stub.IngestSessionEvents(request)
        statuses.update(
            signals.EventStatus.Name(result.status).removeprefix("EVENT_STATUS_") for result in answer.results
        )
    fired = await _signals(subject_id, session, answer.position, who)
    told = ", ".join(f"{count:,} {status.lower()}" for status, count in statuses.most_common())
    report.say(f"{recording.name}: {recording.raw:,} raw events, {len(recording.events):,} session events: {told}")
    report.say(
        f"  {recording.typed:,} inputs were counted and their text left behind; signals: {', '.join(fired) or 'none'}"
    )


async def _visitor(visitor: Identifier, who: People) -> str:
    """The subject of a visitor whom nobody met before, created here."""
    request = profile.ResolveSubjectRequest(identifier=visitor, create=True)
    return (await (await who.app.profile()).ResolveSubject(request)).subject_id


async def _signals(subject_id: str, session: str, position: signals.StreamPosition, who: People) -> list[str]:
    """What is live after the last batch."""
    basis = await (await who.app.consent()).EvaluateBasis(
        consent.EvaluateBasisRequest(subject_id=subject_id, channel="web")
    )
    request = signals.GetActiveSignalsRequest(
        basis=basis.basis,
        session=session,
        subject_id=subject_id,
        channel="web",
        now_ms=time.time_ns() // 1_000_000,
        wait_for=position,
        max_wait_ms=50,
    )
    answer = await (await who.app.signals()).GetActiveSignals(request)
    return sorted(signal.definition for signal in answer.signals)


async def _record_choices(bundle: Bundle, accounts: Sequence[berka.Account], who: People, report: Report) -> None:
    chance = random.Random(SEED)  # noqa: S311  data, not a secret
    asked = [purpose.id for purpose in bundle.purposes if purpose.notices]
    wishes = [(account, [p for p in asked if chance.randrange(100) < YES]) for account in accounts]

    async def record(wish: tuple[berka.Account, list[str]]) -> None:
        account, purposes = wish
        subject_id = await steps.subject_of(steps.customer(account.customer), who.app)
        await steps.allow(bundle, subject_id, purposes, who.app)

    started = time.monotonic()
    await _side_by_side(wishes, record)
    report.say(
        f"{len(accounts):,} customers were asked for {len(asked)} purposes each; {YES} % said yes (the demonstration's own figure),"
        f" in {time.monotonic() - started:.1f} s"
    )


async def _decide(accounts: Sequence[berka.Account], who: People, report: Report) -> list[Decided]:
    app, auditor = await who.app.orchestration(), await who.auditor.orchestration()
    latencies: list[tuple[orchestration.DecideResponse, float]] = []

    async def decide(account: berka.Account) -> None:
        request = steps.decide_request(steps.customer(account.customer), PLACEMENTS, screen="home")
        started = time.monotonic()
        answer = await app.Decide(request, timeout=10)
        latencies.append((answer, time.monotonic() - started))

    started = time.monotonic()
    await _side_by_side(accounts, decide)
    seconds = time.monotonic() - started
    report.say(
        f"{len(latencies):,} decisions by {CALLERS} callers in {seconds:.1f} s: {len(latencies) / seconds:,.0f} a second"
    )
    decided: list[Decided] = []

    async def explain(taken: tuple[orchestration.DecideResponse, float]) -> None:
        request = orchestration.ExplainDecisionRequest(decision_id=taken[0].decision_id, audience=AUDIENCE_AUDITOR)
        decided.append(Decided(taken[0], (await auditor.ExplainDecision(request)).explanation, taken[1]))

    await _side_by_side(latencies, explain)
    return decided


def _tell(bundle: Bundle, decided: Sequence[Decided], report: Report) -> None:
    shown = Counter(t.action for d in decided for placement in d.answer.placements for t in placement.treatments)
    groups = Counter({(bundle.action[a].kind, bundle.action[a].group): 0 for a in shown})
    for action, count in shown.items():
        groups[bundle.action[action].kind, bundle.action[action].group] += count
    nothing = sum(not any(placement.treatments for placement in d.answer.placements) for d in decided)
    report.table(
        "What was decided, by kind and group",
        ("kind", "group", "shown"),
        [(kind, group, count) for (kind, group), count in groups.most_common()] + [("nothing at all", "", nothing)],
    )
    held = Counter(
        (candidate.result, candidate.reasons[0].code)
        for d in decided
        for candidate in d.explanation.candidates
        if candidate.reasons
    )
    report.table(
        "What was held back, by its first reason",
        ("stage", "reason", "actions"),
        [(stage, code, count) for (stage, code), count in held.most_common(15)],
    )
    degraded = Counter(degradation.code for d in decided for degradation in d.answer.degradations)
    report.say(f"degradations: {dict(degraded) or 'none'}")
    _tell_latency([d.seconds for d in decided], report)


def _tell_latency(seconds: Sequence[float], report: Report) -> None:
    ordered = sorted(value * 1000 for value in seconds)
    points = {f"p{point}": ordered[min(len(ordered) * point // 100, len(ordered) - 1)] for point in (50, 90, 99)}
    rows = [(name, f"{value:.1f} ms") for name, value in points.items()]
    report.say(f"Decide over gRPC, {CALLERS} callers side by side:")
    report.table("", ("", "latency"), [*rows, ("max", f"{ordered[-1]:.1f} ms")])


async def _side_by_side(items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> None:
    """Work through the items with a few workers."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(worker())
