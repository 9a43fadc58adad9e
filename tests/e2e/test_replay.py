"""A decision can be run again, whatever has happened since."""

import asyncio
import json
import random
from uuid import uuid4

import pytest
from e2e_world import WHOLE_S, now_ms, side_by_side

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from catalog.digest import bundle_from_json, bundle_to_json, canonical
from harbour_bank import mara, steps, synthetic

pytestmark = pytest.mark.e2e

DECISIONS, SUBJECTS = 200, 24
SCREENS = ("", "home", "savings_overview", "card_overview")
WHERE = {
    "mobile": ("home.hero", "home.list", "accounts.banner", "kyc.upload.inline", "chat.invite", "home.layout"),
    "web": ("home.hero", "home.list", "journey.inline"),
    "chat": ("chat.opening",),
    "email": ("email.weekly",),
    "push": ("push",),
}


async def test_200_random_decisions_replay_after_restarts_and_another_bundle(whole):
    chance = random.Random(20261121)
    subjects = await bank(whole, chance)
    requests = [request(chance, subjects) for _ in range(DECISIONS)]
    app = await whole.who.app.orchestration()
    decided = await side_by_side(lambda number: app.Decide(requests[number], timeout=20), DECISIONS)
    bundle, snapshot = decided[-1].bundle_digest, decided[-1].snapshot_version

    await asyncio.gather(*(whole.stack.restart(service) for service in whole.stack.services))
    digest = await steps.activate(other(whole.bundle), whole.who)
    await whole.stack.until_ready(WHOLE_S)
    await steps.until_decisions_work(whole.who.app, WHOLE_S)

    auditor = await whole.who.auditor.orchestration()
    replays = await side_by_side(
        lambda number: auditor.ReplayDecision(
            pb.ReplayDecisionRequest(decision_id=decided[number].decision_id), timeout=20
        ),
        DECISIONS,
    )
    assert digest != bundle
    assert snapshot > 0
    assert [replay.first_difference for replay in replays if not replay.identical] == []
    assert {"evaluate", "rank", "render"} <= {stage for replay in replays for stage in replay.stages}


async def bank(world, chance) -> list:
    """Customers of every kind, each with consents of their own."""
    numbers = [f"HB-R{uuid4().hex[:8]}" for _ in range(SUBJECTS)]
    events = [e for n in numbers for e in synthetic.events_of(n, random.Random(n), now_ms())]
    assert await world.send(events) == len(events)
    asked = [purpose.id for purpose in world.bundle.purposes if purpose.notices]
    wishes = [[p for p in asked if chance.random() < 0.7] for _ in numbers]

    async def agree(number: int):
        identifier = steps.customer(numbers[number])
        subject_id = await steps.subject_of(identifier, world.who.app)
        await steps.allow(world.bundle, subject_id, wishes[number], world.who.app)
        return identifier

    known = await side_by_side(agree, SUBJECTS)
    return [*known, *(steps.Identifier(type="visitor", value=f"v-{uuid4().hex}") for _ in range(4))]


def request(chance, subjects) -> pb.DecideRequest:
    channel = chance.choice([*WHERE, "mobile", "mobile"])
    placements = chance.sample(WHERE[channel], chance.randint(1, len(WHERE[channel])))
    asked = steps.decide_request(
        chance.choice(subjects), placements, channel=channel, screen=chance.choice(SCREENS), session=uuid4().hex
    )
    asked.locale = chance.choice(("en-GB", "de-DE", "fr-FR"))
    return asked


def other(bundle):
    """The same catalog, with another title, another value of an offer and another order."""
    document = json.loads(bundle_to_json(bundle))
    for action in document["actions"]:
        if action["id"] == "savings_idle_cash":
            action["title"] = f"{action['title']} {uuid4().hex[:6]}"
            action["value"] = "42"
    return bundle_from_json(canonical(document))


async def test_a_repeat_after_a_restart_gets_the_same_decision(whole):
    customer = await whole.a_customer(mara.PURPOSES)
    stub = await whole.who.app.orchestration()
    asked = steps.decide_request(customer.identifier, ["home.hero", "home.list"])
    before = await stub.Decide(asked, timeout=10)

    await whole.stack.restart("orchestration")
    await steps.until_decisions_work(whole.who.app, WHOLE_S)
    after = await stub.Decide(asked, timeout=10)

    assert after.replayed
    assert (before.decision_id, before.placements, before.receipt) == (
        after.decision_id,
        after.placements,
        after.receipt,
    )
