"""The service as its siblings meet it: over NATS and gRPC, with a signed basis, a stored bundle and recorded outcomes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import pytest
from eligibility_builders import DAY, a_bank, an_action, harbour

from assent.catalog.v1.value_pb2 import IdSet, Money, Value
from assent.consent.v1.basis_pb2 import SignedBasis
from assent.eligibility.v1 import eligibility_service_pb2 as pb
from assent.eligibility.v1.eligibility_service_pb2_grpc import EligibilityServiceStub
from assent.events.v1.consent_pb2 import LedgerChange, SubjectErased
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OutcomeRecorded, OutcomeType
from assent.profile.v1.profile_service_pb2 import ViewField, Withheld
from assent.signals.v1.signal_pb2 import Signal
from catalog.digest import bundle_to_json
from eligibility_service.app import build
from eligibility_service.domain.contact import Contact, refusal, wanted
from eligibility_service.ports import Wish
from eligibility_service.settings import Settings
from eligibility_service.store import PostgresContacts
from servicekit import basis, bundles, errors, postgres, run, streams
from servicekit.clock import SystemClock
from servicekit.vkeys import verifier_key
from testkit.builders import a_subject, unique
from testkit.waiting import until

pytestmark = pytest.mark.integration

PURPOSES = {
    "offers": ["demographic", "holding", "interaction", "behaviour", "inferred"],
    "assistance": ["behaviour", "interaction"],
    "safeguarding": ["sensitive", "holding"],
    "contact_control": ["interaction"],
}
BANK = a_bank(
    actions=[an_action("card"), an_action("loan"), an_action("help", "guidance"), an_action("notice", "alert")],
    contact_policies=[
        {"id": "dismissed", "scope": "action", "outcomes": ["dismiss"], "count": 1, "window": "1d", "pause": "30d",
         "applies_to": {"kind": ["offer"]}},
    ],
    contact_limits=[{"id": "two_a_week", "channels": ["mobile"], "max": 2, "per": {"sliding": "7d"}}],
)  # fmt: skip


def now_ms() -> int:
    return SystemClock().now_us() // 1000


@asynccontextmanager
async def serving(fresh, nats_settings, keys, ready):
    settings = Settings(
        database=fresh.settings,
        nats=nats_settings("eligibility"),
        auth={
            "jwks": str(keys.jwks),
            "issuer": keys.issuer,
            "audience": keys.audience,
            "service_key": keys.service_key("eligibility"),
            "service_keys": keys.service_keys,
        },
        ready_file=ready,
        basis_keys=keys.basis_keys,
        ledger=keys.ledger,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(run.serve(build, settings, stop))
    await until(lambda: ready.exists() or running.done(), timeout=30)
    try:
        yield f"127.0.0.1:{json.loads(ready.read_text())['grpc_port']}"
    finally:
        stop.set()
        await running


@pytest.fixture
async def fresh(database):
    return await database("eligibility")


@pytest.fixture
async def address(fresh, nats_settings, streams, keys, tmp_path):
    async with serving(fresh, nats_settings, keys, tmp_path / "ready.json") as address:
        yield address


@pytest.fixture
async def stub(address, bus, keys):
    channel = (await bus("orchestration")).channel("eligibility", identity=keys.identity("orchestration"), timeout=15)
    return EligibilityServiceStub(channel)


@pytest.fixture
async def digest(stored):
    return await stored(BANK)


@pytest.fixture
async def stored(bus):
    """Puts a bundle into the bucket, as content does; its digest."""

    async def put(bundle):
        bucket = await (await bus("content")).kv(bundles.BUCKET)
        document = bundle_to_json(bundle)
        found = bundles.digest_of(document)
        await bucket.put(bundles.key_of(found), document)
        return found

    return put


@pytest.fixture
def signed(keys):
    """A basis as the ledger signs it: `signed(subject, purposes=..., channel=...)`."""

    def sign(subject, *, purposes=PURPOSES, members=(), key=None, **changes):
        now_us = SystemClock().now_us()
        secret = key or keys.statement()
        key_id = verifier_key(keys.ledger, secret.public_key()).key_id
        body = {
            "v": 1, "kid": key_id, "ledger": basis.ledger_id(keys.ledger), "epoch": 1, "index": 7, "subject": subject,
            "members": sorted({subject, *members}), "channel": "mobile", "recipient": "self", "regimes": ["gdpr"],
            "registry": "r", "at": now_us, "not_after": now_us + 10_000_000, "denied": [],
            "allowed": [{"purpose": name, "categories": found, "basis": "consent", "support": 1} for name, found in purposes.items()],
            **changes,
        }  # fmt: skip
        made = basis.sign(body, secret, key_id)
        return SignedBasis(body=made.body, key_id=made.key_id, signature=made.signature)

    return sign


def a_field(name, **value):
    return ViewField(attribute=name, value=Value(**value), as_of_ms=now_ms())


def evaluation(digest, subject, signed_basis, **changes):
    given = {
        "decision_id": unique("decision"), "now_ms": now_ms(), "bundle_digest": digest, "basis": signed_basis,
        "subject_ids": [subject], "channel": "mobile", "placements": ["home"], "signals_fresh": True,
        "view": [a_field("view.vulnerability", set=IdSet())], "contact": pb.ContactState(version=1),
    }  # fmt: skip
    return pb.EvaluateRequest(**{**given, **changes})


def survivors(answer):
    return {each.action for each in answer.survivors}


@pytest.fixture
def ask_contact(stub, digest, signed):
    async def ask(subject, *members, **changes):
        request = pb.GetContactStateRequest(
            subject_ids=[subject, *members], now_ms=now_ms(), channel="mobile", bundle_digest=digest,
            basis=changes.pop("basis", None) or signed(subject, members=members),
        )  # fmt: skip
        request.MergeFrom(pb.GetContactStateRequest(**changes))
        return (await stub.GetContactState(request)).state

    return ask


@pytest.fixture
def reserve(stub, digest):
    async def ask(subject, *actions, decision=None, **changes):
        items = [
            pb.ReserveItem(item=f"home/{n}/{name}", action=name, channel="mobile") for n, name in enumerate(actions)
        ]
        given = {
            "decision_id": decision or unique("decision"),
            "subject_ids": [subject],
            "items": items,
            "now_ms": now_ms(),
        }
        return await stub.Reserve(pb.ReserveRequest(**{**given, "bundle_digest": digest, **changes}))

    return ask


@pytest.fixture
def happened(bus):
    """Publishes an outcome, as orchestration does."""

    async def publish(subject, kind=OutcomeType.OUTCOME_TYPE_IMPRESSION, **changes):
        told = OutcomeRecorded(
            **{
                "outcome_id": unique("outcome"), "decision_id": unique("decision"), "subject_id": subject, "action": "card",
                "type": kind, "occurred_at_ms": now_ms(), "channel": "mobile", "group": "cards", "issue": "sales",
                "contact_class": "marketing", **changes,
            }
        )  # fmt: skip
        envelope = Envelope(event_id=told.outcome_id or unique("event"), key=subject, outcome_recorded=told)
        await (await bus("orchestration")).publish(streams.subject("outcome", subject), envelope)
        return told

    return publish


async def test_evaluate_keeps_what_a_signed_basis_allows_and_gives_every_reason_for_the_rest(stub, digest, signed):
    subject = a_subject()
    answer = await stub.Evaluate(
        evaluation(digest, subject, signed(subject, purposes={"contact_control": ["interaction"]}))
    )

    assert answer.bundle_digest == digest
    assert survivors(answer) == {"notice"}
    codes = {each.action: [reason.code for reason in each.reasons] for each in answer.rejected}
    assert codes == {"card": ["NO_CONSENT", "VULNERABLE"], "help": ["NO_CONSENT"], "loan": ["NO_CONSENT", "VULNERABLE"]}
    assert {each.stage for each in answer.rejected} == {"consent"}
    assert [(each.stage, each.removed) for each in answer.stage_counts] == [("consent", 3)]


async def test_equal_requests_give_equal_bytes(stub, digest, signed):
    subject = a_subject()
    request = evaluation(digest, subject, signed(subject))
    answers = [(await stub.Evaluate(request)).SerializeToString(deterministic=True) for _ in range(3)]

    assert len(set(answers)) == 1


async def test_without_a_basis_only_what_needs_no_consent_survives(stub, digest):
    assert survivors(await stub.Evaluate(evaluation(digest, a_subject(), None))) == {"notice"}


async def test_a_recorded_request_is_evaluated_again_at_its_own_time(stub, digest, signed):
    subject, past = a_subject(), now_ms() - DAY
    old = signed(subject, at=past * 1000, not_after=past * 1000 + 10_000_000)

    view = [ViewField(attribute="view.vulnerability", value=Value(set=IdSet()), as_of_ms=past)]

    answer = await stub.Evaluate(evaluation(digest, subject, old, now_ms=past, view=view))
    assert survivors(answer) == {"card", "loan", "help", "notice"}


async def test_values_seen_leave_in_their_type(stub, stored, signed):
    rules = [
        {"id": name, "stage": "eligibility", "scope": "all", "require": {name: test}, "reason": {"code": "NO", "text": "t"}}
        for name, test in {
            "view.age": {"gt": 90}, "view.active": True, "view.tier": "high", "view.holdings": {"contains_any": ["gold"]},
            "view.balance": {"gt": 9},
        }.items()
    ]  # fmt: skip
    digest = await stored(a_bank(rules=rules, actions=[an_action("help", "guidance", purpose="offers")]))
    view = [
        a_field("view.age", integer=40), a_field("view.active", boolean=False), a_field("view.tier", text="low"),
        a_field("view.holdings", set=IdSet(ids=["current"])), a_field("view.balance", money=Money(amount_minor=99, currency="USD")),
    ]  # fmt: skip
    subject = a_subject()
    answer = await stub.Evaluate(evaluation(digest, subject, signed(subject), view=view))

    seen = {reason.attribute: (reason.seen, reason.missing) for reason in answer.rejected[0].reasons}
    assert seen == {
        "view.age": (Value(integer=40), ""),
        "view.active": (Value(boolean=False), ""),
        "view.tier": (Value(text="low"), ""),
        "view.holdings": (Value(set=IdSet(ids=["current"])), ""),
        "view.balance": (Value(), "mismatch"),
    }


async def test_friction_on_the_wire_stops_offers_until_it_ends(stub, digest, signed):
    subject, now = a_subject(), now_ms()

    async def with_end(expires_at_ms):
        signal = Signal(definition="stuck", strength=1, expires_at_ms=expires_at_ms)
        return survivors(
            await stub.Evaluate(evaluation(digest, subject, signed(subject), signals=[signal], now_ms=now))
        )

    assert await with_end(now + 1) == {"help", "notice"}
    assert await with_end(0) == {"help", "notice"}
    assert await with_end(now) == {"card", "loan", "help", "notice"}


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("BASIS_CHANNEL", {"channel": "web"}),
        ("BASIS_LEDGER", {"ledger": "0" * 32}),
        ("BASIS_EXPIRED", {"not_after": 1}),
        ("BASIS_FUTURE", {"at": 1 << 52, "not_after": (1 << 52) + 1}),
    ],
)
async def test_a_basis_that_does_not_hold_is_refused_everywhere(stub, digest, signed, ask_contact, reason, changes):
    subject = a_subject()
    basis_of_others = signed(subject, **changes)

    for call in (
        stub.Evaluate(evaluation(digest, subject, basis_of_others)),
        ask_contact(subject, basis=basis_of_others),
    ):
        with pytest.raises(errors.Forbidden) as caught:
            await call
        assert caught.value.code == reason


async def test_a_forged_basis_is_refused(stub, digest, signed):
    subject = a_subject()
    forged = signed(subject)
    forged.body = forged.body.replace(b'"epoch":1', b'"epoch":2')

    with pytest.raises(errors.Forbidden) as caught:
        await stub.Evaluate(evaluation(digest, subject, forged))
    assert caught.value.code == "BASIS_SIGNATURE"


async def test_a_basis_about_somebody_else_is_refused(stub, digest, signed):
    with pytest.raises(errors.Forbidden) as caught:
        await stub.Evaluate(evaluation(digest, a_subject(), signed(a_subject())))
    assert caught.value.code == "BASIS_SUBJECT"


async def test_a_basis_covers_every_subject_of_the_request(stub, digest, signed):
    subject, stranger = a_subject(), a_subject()

    with pytest.raises(errors.Forbidden) as caught:
        await stub.Evaluate(evaluation(digest, subject, signed(subject), subject_ids=[subject, stranger]))
    assert caught.value.code == "BASIS_SUBJECT"


async def test_contact_state_needs_contact_control(ask_contact, signed):
    subject = a_subject()
    without = {name: found for name, found in PURPOSES.items() if name != "contact_control"}

    for given, reason in (
        (signed(subject, purposes=without), "BASIS_SCOPE"),
        (SignedBasis(key_id="x"), "BASIS_MISSING"),
    ):
        with pytest.raises(errors.Forbidden) as caught:
            await ask_contact(subject, basis=given)
        assert caught.value.code == reason


async def test_a_bundle_that_is_not_stored_is_unknown(stub, signed, reserve):
    subject, unknown = a_subject(), "sha256:" + "0" * 64

    for call in (
        stub.Evaluate(evaluation(unknown, subject, signed(subject))),
        reserve(subject, "card", bundle_digest=unknown),
    ):
        with pytest.raises(errors.FailedPrecondition) as caught:
            await call
        assert caught.value.code == "BUNDLE_UNKNOWN"


async def test_only_orchestration_evaluates(address, bus, keys, digest):
    channel = (await bus("cli")).channel("eligibility", identity=keys.identity("profile"))

    with pytest.raises(errors.AssentError) as caught:
        await EligibilityServiceStub(channel).Evaluate(evaluation(digest, a_subject(), None))
    assert isinstance(caught.value, errors.Forbidden | errors.Unauthenticated)


async def test_an_operator_forgets_a_subject_over_grpc(address, tokens, ask_contact, reserve):
    subject = a_subject()
    await reserve(subject, "card")
    async with grpc.aio.insecure_channel(address) as channel:
        forget = EligibilityServiceStub(channel).ForgetSubject
        request = pb.ForgetSubjectRequest(subject_id=subject, request_id=unique("request"))
        metadata = (("authorization", f"Bearer {tokens('eligibility.forget')}"),)
        rows = [(await forget(request, metadata=metadata)).rows_removed for _ in range(2)]

    assert rows == [1, 0]
    assert [count.used for count in (await ask_contact(subject)).counts] == [0]


async def test_an_outcome_becomes_contact_state_and_stops_what_it_stops(stub, digest, signed, happened, ask_contact):
    subject = a_subject()
    told = await happened(subject, OutcomeType.OUTCOME_TYPE_DISMISS)
    await happened(subject, action="loan")

    async def known():
        state = await ask_contact(subject)
        return state if state.pauses and state.counts[0].used else None

    state = await until(known)
    [pause], [count], [shown] = state.pauses, state.counts, state.last_shown
    assert (pause.policy, pause.key, pause.until_ms) == ("dismissed", "card", told.occurred_at_ms + 30 * DAY)
    assert (count.limit, count.used) == ("two_a_week", 1)
    assert shown.action == "loan"
    answer = await stub.Evaluate(evaluation(digest, subject, signed(subject), contact=state))
    assert survivors(answer) == {"loan", "help", "notice"}
    assert {each.action: each.needs_reservation for each in answer.survivors} == {
        "loan": True,
        "help": False,
        "notice": False,
    }


async def test_contact_state_is_that_of_all_subjects_that_were_merged(happened, ask_contact):
    survivor, absorbed = a_subject(), a_subject()
    await happened(survivor)
    await happened(absorbed)

    async def both():
        return (await ask_contact(survivor, absorbed)).counts[0].used == 2

    await until(both)


async def test_a_correction_replaces_what_was_told(happened, ask_contact):
    subject = a_subject()
    wrong = await happened(subject, OutcomeType.OUTCOME_TYPE_DISMISS)

    async def paused():
        return bool((await ask_contact(subject)).pauses)

    await until(paused)
    await happened(subject, OutcomeType.OUTCOME_TYPE_CLICK, replaces=wrong.outcome_id)

    async def free():
        return not await paused()

    await until(free)


async def test_an_erased_subject_is_forgotten_and_a_late_outcome_changes_nothing(bus, happened, ask_contact, reserve):
    subject, witness = a_subject(), a_subject()
    await reserve(subject, "card")
    erased = SubjectErased(change=LedgerChange(subject_id=subject))
    envelope = Envelope(event_id=unique("erased"), key=subject, subject_erased=erased)
    await (await bus("consent")).publish(streams.subject("consent", subject), envelope)

    async def used(name):
        return (await ask_contact(name)).counts[0].used

    async def forgotten():
        return await used(subject) == 0

    await until(forgotten)
    for name in (subject, witness):
        await happened(name)

    async def witnessed():
        return await used(witness) == 1

    await until(witnessed)
    assert await used(subject) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"type": 0}, {"type": 99}, {"action": ""}, {"contact_class": ""}, {"occurred_at_ms": 0}, {"subject_id": "a\x00b"}],
)
async def test_an_outcome_that_cannot_be_counted_is_kept_as_a_dead_letter(bus, happened, ask_contact, wrong):
    subject = a_subject()
    dead = (await (await bus("cli")).js.stream_info("DEAD_LETTERS")).state.messages
    await happened(subject, **{"kind": wrong.pop("type", OutcomeType.OUTCOME_TYPE_CLICK), **wrong})

    async def buried():
        return (await (await bus("cli")).js.stream_info("DEAD_LETTERS")).state.messages > dead

    await until(buried)


async def test_reserving_is_idempotent_counts_and_ends(stub, reserve, ask_contact):
    subject, decision = a_subject(), unique("decision")
    first = await reserve(subject, "card", "loan", decision=decision)
    again = await reserve(subject, "card", "loan", decision=decision)
    other = await reserve(subject, "card")

    assert first == again
    assert [each.until_ms - now_ms() <= 600_000 for each in first.accepted] == [True, True]
    assert [(each.item, each.cause) for each in other.refused] == [("home/0/card", "two_a_week")]
    assert (await ask_contact(subject)).counts[0].used == 2
    released = await stub.Release(pb.ReleaseRequest(decision_id=decision, items=["home/1/loan", "unknown"]))
    assert list(released.released) == ["home/1/loan"]
    assert len((await reserve(subject, "card")).accepted) == 1


async def test_an_impression_takes_the_place_of_its_reservation(reserve, happened, ask_contact):
    subject, decision = a_subject(), unique("decision")
    await reserve(subject, "card", decision=decision)
    before = await ask_contact(subject)
    await happened(subject, decision_id=decision)

    async def shown():
        state = await ask_contact(subject)
        return state if state.version > before.version else None

    assert (await until(shown)).counts[0].used == before.counts[0].used == 1


async def test_an_item_of_another_action_is_already_taken(reserve):
    subject, decision = a_subject(), unique("decision")
    item = {"item": "home/1", "channel": "mobile"}
    await reserve(subject, decision=decision, items=[pb.ReserveItem(action="card", **item)])

    with pytest.raises(errors.AlreadyExists):
        await reserve(subject, decision=decision, items=[pb.ReserveItem(action="loan", **item)])


async def test_two_replicas_with_sixty_four_callers_never_exceed_a_limit(fresh):
    subject, now = a_subject(), now_ms()

    async def one(contacts, number):
        return await contacts.reserve(
            unique("decision"), [subject], [Wish("home/1", wanted(BANK.action["card" if number % 2 else "loan"], "mobile", now))],
            admit=lambda known, asked: refusal(BANK, known, asked, now), since_ms=now - 60 * DAY, now_ms=now, until_ms=now + 60_000,
        )  # fmt: skip

    async with postgres.pool(fresh.settings) as left, postgres.pool(fresh.settings) as right:
        replicas = (PostgresContacts(left), PostgresContacts(right))
        answers = await asyncio.gather(*(one(replicas[number % 2], number) for number in range(64)))
        _, known = await replicas[0].of([subject], since_ms=0, now_ms=now)

    assert sum(len(answer.accepted) for answer in answers) == 2
    assert [contact.outcome for contact in known] == ["reserved", "reserved"]
    assert all(isinstance(contact, Contact) for contact in known)


HOSTILE = (
    "",
    "\x00",
    "a\x00b",
    "\u202e",
    "\x1b[31m",
    "x" * 300,
    "\ud7ff\ue000\n",
    "a'; DROP TABLE contact_event; --\x07",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_refused_by_name_and_never_repeated(stub, digest, signed, reserve, ask_contact, text):
    subject = a_subject()
    calls = {
        "channel": stub.Evaluate(evaluation(digest, subject, None, channel=text)),
        "decision_id": reserve(subject, "card", decision_id=text),
        "items[0].item": reserve(subject, items=[pb.ReserveItem(item=text, action="card", channel="mobile")]),
        "subject_ids[0]": reserve(text, "card"),
        "items[0]": stub.Release(pb.ReleaseRequest(decision_id="d", items=[text])),
    }
    for field, call in calls.items():
        with pytest.raises(errors.Invalid) as caught:
            await call
        assert caught.value.field == field
        assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("now_ms", {"now_ms": 0}),
        ("now_ms", {"now_ms": 1 << 62}),
        ("channel", {"channel": "fax"}),
        ("unavailable", {"unavailable": ["weather"]}),
        ("placements", {"placements": ["home"] * 65}),
        ("signals[0].kind", {"signals": [Signal(definition="stuck", strength=1, kind=9)]}),
        ("signals[0].strength", {"signals": [Signal(definition="stuck")]}),
        ("withheld[0].reason", {"withheld": [Withheld(attribute="view.age", reason=9)]}),
    ],
)
async def test_a_request_that_is_not_right_names_its_field(stub, digest, field, changes):
    with pytest.raises(errors.Invalid) as caught:
        await stub.Evaluate(evaluation(digest, a_subject(), None, **changes))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("items", {"items": []}),
        ("items", {"items": [pb.ReserveItem(item="i", action="card", channel="mobile")] * 2}),
        ("items[0].action", {"items": [pb.ReserveItem(item="i", action="nothing", channel="mobile")]}),
        ("items[0].channel", {"items": [pb.ReserveItem(item="i", action="card", channel="fax")]}),
        ("ttl_ms", {"ttl_ms": DAY + 1}),
        ("subject_ids", {"subject_ids": []}),
        ("subject_ids", {"subject_ids": ["s"] * 65}),
        ("now_ms", {"now_ms": -1}),
    ],
)
async def test_a_reservation_that_is_not_right_names_its_field(reserve, field, changes):
    with pytest.raises(errors.Invalid) as caught:
        await reserve(a_subject(), "card", **changes)
    assert caught.value.field == field


async def test_whatever_a_view_holds_evaluation_answers(stub, digest, signed):
    """Values are judged by the bundle's types, so anything may stand in them."""
    subject = a_subject()
    strange = [
        Value(),
        Value(text="\x00" * 9),
        Value(integer=-(1 << 63)),
        Value(set=IdSet(ids=["x"] * 999)),
        Value(money=Money()),
    ]
    view = [
        ViewField(attribute=name, value=value)
        for name in ("view.age", "view.vulnerability", "view.time_zone", "no.such")
        for value in strange
    ]

    assert "card" not in survivors(await stub.Evaluate(evaluation(digest, subject, signed(subject), view=view)))


async def test_the_example_bank_is_evaluated_from_its_canonical_form(stub, stored, signed):
    subject = a_subject()
    answer = await stub.Evaluate(
        evaluation(await stored(harbour()), subject, signed(subject), placements=["home.layout"])
    )

    assert survivors(answer) == {"home_everyday"}


async def test_while_the_database_is_away_evaluate_answers_and_contact_is_unavailable_until_it_is_back(
    platform, stub, digest, signed, ask_contact, reserve
):
    subject = a_subject()
    await reserve(subject, "card")
    platform.postgres.kill()
    try:
        assert survivors(await stub.Evaluate(evaluation(digest, subject, signed(subject)))) >= {"card", "notice"}
        for call in (ask_contact(subject), reserve(subject, "loan")):
            with pytest.raises(errors.Unavailable):
                await call
    finally:
        platform.postgres.restart()

    async def back():
        try:
            return (await ask_contact(subject)).counts[0].used == 1
        except errors.Unavailable:
            return False

    await until(back, timeout=30)
