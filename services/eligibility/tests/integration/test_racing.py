"""Whatever happens at once, on two replicas, gives the answers and the state of some order of happening one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import permutations

import pytest
from eligibility_builders import NOON
from eligibility_fakes import MemoryContacts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Outcome, Wish
from eligibility_service.store import PostgresContacts
from servicekit import postgres
from servicekit.errors import AssentError
from testkit.builders import unique

pytestmark = pytest.mark.integration

TTL = 600_000
LIMIT = 2
LATER = NOON + TTL


@dataclass(frozen=True)
class Step:
    what: str
    who: tuple[str, ...]
    decision: str = "d"
    items: tuple[str, ...] = ("x",)
    action: str = "card"
    at_ms: int = NOON
    replica: int = 0


def a_contact(step, outcome="reserved"):
    return Contact(step.action, "cards", "sales", "push", "marketing", outcome, step.at_ms)


def full(known, _wanted):
    return "limit" if len(known) >= LIMIT else None


async def done(contacts, step, prefix):
    """Do it to these contacts, all ids their own; what came of it, without what differs between stores."""
    who, decision = [f"{prefix}-{name}" for name in step.who], f"{prefix}-{step.decision}"
    try:
        if step.what == "reserve":
            answer = await contacts.reserve(
                decision, who, [Wish(item, a_contact(step)) for item in step.items],
                admit=full, since_ms=0, now_ms=step.at_ms, until_ms=step.at_ms + TTL,
            )  # fmt: skip
            return sorted((each.item, each.until_ms) for each in answer.accepted), answer.refused
        if step.what == "look":
            return (await contacts.of(who, since_ms=0, now_ms=step.at_ms))[1]
        if step.what == "release":
            return await contacts.release(decision, list(step.items))
        if step.what == "forget":
            return await contacts.forget(who[0])
        outcome = f"{prefix}-{step.decision}-{step.what}-{len(step.items)}"
        shown_to = f"{prefix}-{'a' if step.decision == 'd' else 'b'}"  # outcomes of one decision come from one subject
        return await contacts.add(Outcome(outcome, "", decision, shown_to, a_contact(step, step.what)))
    except AssentError as error:
        return error.code


async def state(contacts, prefix):
    looks = [Step("look", who, at_ms=now) for who in (("a",), ("b",), ("a", "b")) for now in (NOON, LATER)]
    return [await done(contacts, look, prefix) for look in looks]


async def in_this_order(before, order, prefix):
    """Answers and state of doing this one after the other, in memory."""
    contacts = MemoryContacts()
    for step in before:
        await done(contacts, step, prefix)
    answers = {id(step): await done(contacts, step, prefix) for step in order}
    return [answers, await state(contacts, prefix)]


def steps(*what):
    return st.builds(
        Step,
        what=st.sampled_from(what),
        who=st.sampled_from([("a",), ("b",), ("a", "b")]),
        decision=st.sampled_from(["d", "e"]),
        items=st.sampled_from([("x",), ("y",), ("x", "y")]),
        action=st.sampled_from(["card", "card", "loan"]),
        at_ms=st.sampled_from([NOON, NOON, LATER]),
        replica=st.sampled_from([0, 1]),
    )


@pytest.fixture(scope="session")
async def replicas(database):
    fresh = await database("eligibility")
    async with postgres.pool(fresh.settings) as left, postgres.pool(fresh.settings) as right:
        yield PostgresContacts(left), PostgresContacts(right)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(steps("reserve", "look", "look", "impression", "dismiss", "forget"), max_size=4),
    st.lists(steps("reserve", "reserve", "reserve", "release", "impression", "dismiss", "forget", "look"), min_size=2, max_size=4),
)  # fmt: skip
async def test_what_happens_at_once_could_have_happened_in_some_order(replicas, before, at_once):
    prefix = unique("race")
    for step in before:
        await done(replicas[step.replica], step, prefix)
    answers = await asyncio.gather(*(done(replicas[step.replica], step, prefix) for step in at_once))
    found = [
        {id(step): answer for step, answer in zip(at_once, answers, strict=True)},
        await state(replicas[0], prefix),
    ]

    orders = [await in_this_order(before, order, prefix) for order in permutations(at_once)]
    assert found in orders


async def test_decisions_that_looked_before_they_raced_never_exceed_a_limit(replicas):
    """Each caller is another merge with the same subject, and half of them had a look that is old by then."""
    for _ in range(20):
        prefix = unique("race")
        calls = [
            Step("reserve", ("a",) if n % 3 else ("a", f"b{n}"), f"d{n}", replica=n % 2, at_ms=NOON + n % 2)
            for n in range(16)
        ]
        for call in calls[::2]:
            await done(replicas[call.replica], Step("look", call.who, at_ms=call.at_ms), prefix)
        answers = await asyncio.gather(*(done(replicas[call.replica], call, prefix) for call in calls))

        assert sum(len(accepted) for accepted, _ in answers) == LIMIT
