"""The service as it runs: facts come over NATS, propensities change, snapshots are swapped whole."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from nats.js.errors import NoKeysError

from assent.consent.v1.basis_pb2 import SignedBasis
from assent.events.v1.consent_pb2 import LedgerChange, SubjectErased
from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OutcomeRecorded, OutcomeType
from assent.orchestration.v1.orchestration_service_pb2 import PlacementAnswer, Treatment
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.ranking.v1 import ranking_service_pb2 as pb
from assent.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from catalog.digest import bundle_digest, bundle_to_json
from ranking_service.app import build
from ranking_service.domain.arbitration import ONE
from ranking_service.settings import Settings
from servicekit import basis as bases
from servicekit.errors import AssentError, Exhausted, FailedPrecondition, Forbidden, Invalid, NotFound, Unavailable
from servicekit.run import serve
from servicekit.streams import subject
from servicekit.vkeys import verifier_key
from testkit.waiting import until

pytestmark = pytest.mark.integration
NOW = int(time.time() * 1000)


@pytest.fixture
async def stored_bundle(bus, bundle):
    bucket = await (await bus("content")).kv("BUNDLES")
    digest = bundle_digest(bundle)
    await bucket.put(digest.removeprefix("sha256:"), bundle_to_json(bundle))
    await bucket.put("active", json.dumps({"digest": digest, "revision": 1, "killed": []}).encode())
    return digest


@pytest.fixture
async def clean_bucket(bus):
    """No snapshots and no facts of an earlier test, whose database is gone."""
    administrator = await bus("cli")
    for stream in ("DECISIONS", "OUTCOMES", "CONSENT"):
        await administrator.js.purge_stream(stream)
    bucket = await (await bus("ranking")).kv("SNAPSHOTS")
    for key in await keys_of(bucket):
        await bucket.purge(key)
    return bucket


async def keys_of(bucket):
    try:
        return await bucket.keys()
    except NoKeysError:
        return []


@pytest.fixture
async def settings(database, nats_settings, keys, streams):
    made = await database("ranking")
    auth = {
        "jwks": str(keys.jwks), "issuer": keys.issuer, "service_key": keys.service_key("ranking"),
        "service_keys": keys.service_keys,
        # Nobody forgets over the bus today; this test's caller may, so that it need not go through gRPC.
        "callers": {"orchestration": ("ranking.rank", "ranking.read"), "cli": ("ranking.forget",)},
    }  # fmt: skip
    return Settings(database=made.settings, nats=nats_settings("ranking"), auth=auth, basis_keys=keys.basis_keys)


@asynccontextmanager
async def running(settings, bus, keys):
    """The service, ready, and a stub that calls it as orchestration."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(build, settings, stop))
    stub = RankingServiceStub((await bus("orchestration")).channel("ranking", identity=keys.identity("orchestration")))
    try:
        await until(lambda: answers(stub, task), timeout=15, every=0.05)
        yield stub
    finally:
        stop.set()
        await task


async def answers(stub, task):
    if task.done():
        task.result()
    try:
        return await stub.GetSnapshot(pb.GetSnapshotRequest())
    except (Unavailable, NotFound):
        return None


@pytest.fixture
async def ranking(settings, bus, keys, stored_bundle, clean_bucket):
    async with running(settings, bus, keys) as stub:
        yield stub


class World:
    """Facts as the other services publish them."""

    def __init__(self, orchestration, consent, keys, digest):
        self.orchestration, self.consent, self.keys, self.digest = orchestration, consent, keys, digest
        self.subject = f"s-{uuid4()}"
        self.name = verifier_key("harbour", keys.statement().public_key()).key_id

    def basis(self, allowed, now_ms=NOW, **changes):
        body = {
            "v": 1, "ledger": bases.ledger_id("harbour"), "epoch": 1, "index": 10, "subject": self.subject,
            "members": [self.subject], "channel": "mobile", "recipient": "self", "regimes": ["gdpr"], "registry": "r",
            "at": now_ms * 1000, "not_after": now_ms * 1000 + 10_000_000, "kid": self.name, "denied": [],
            "allowed": [{"purpose": p, "categories": c, "basis": "consent", "support": 1} for p, c in allowed.items()],
            **changes,
        }  # fmt: skip
        signed = bases.sign(body, self.keys.statement(), self.name)
        return SignedBasis(body=signed.body, key_id=signed.key_id, signature=signed.signature)

    async def decide(self, *actions, allowed=None, now_ms=NOW):
        decision = str(uuid4())
        record = DecisionRecord(
            format=1, decision_id=decision, now_ms=now_ms, subject_id=self.subject, bundle_digest=self.digest,
            basis=self.basis({"learning": ["interaction"]} if allowed is None else allowed, now_ms),
            placements=[PlacementAnswer(placement="home", treatments=[
                Treatment(action=action, treatment=f"{action}.card", rank=slot) for slot, action in enumerate(actions, 1)
            ])],
        )  # fmt: skip
        record.request.channel = "mobile"
        body = DecisionRecorded(decision_id=decision, record=record.SerializeToString())
        await self._publish(self.orchestration, "decision", decision, decision_recorded=body)
        return decision

    async def tell(self, decision, action, kind, *, outcome=None, again=0):
        outcome = outcome or str(uuid4())
        body = OutcomeRecorded(
            outcome_id=outcome, decision_id=decision, subject_id=self.subject, placement="home", action=action,
            type=OutcomeType.Value(f"OUTCOME_TYPE_{kind.upper()}"), occurred_at_ms=NOW, channel="mobile",
        )  # fmt: skip
        for copy in range(again + 1):
            await self._publish(self.orchestration, "outcome", f"{outcome}-{copy}", outcome_recorded=body)

    async def erase(self):
        change = LedgerChange(ledger="l", epoch=1, index=99, subject_id=self.subject)
        await self._publish(self.consent, "consent", f"e-{uuid4()}", subject_erased=SubjectErased(change=change))

    async def _publish(self, bus, kind, event_id, **body):
        envelope = Envelope(event_id=event_id, key=self.subject, occurred_at_ms=NOW, recorded_at_ms=NOW, **body)
        await bus.publish(subject(kind, self.subject), envelope)


@pytest.fixture
async def world(bus, keys, stored_bundle):
    return World(await bus("orchestration"), await bus("consent"), keys, stored_bundle)


def request(world, **changes):
    every = ("gold_card", "silver_card", "travel_card", "recall_notice")
    given = {
        "decision_id": "d-1", "now_ms": int(time.time() * 1000), "bundle_digest": world.digest, "seed": 5, "channel": "mobile",
        "candidates": [pb.Candidate(action=action, placements=["home", "feed"]) for action in every],
        "placements": [pb.PlacementRequest(id="feed"), pb.PlacementRequest(id="home", max_items=2)],
    }  # fmt: skip
    return pb.RankRequest(**{**given, **changes})


async def noiseless(stub, world, action="gold_card"):
    answer = await stub.Rank(request(world))
    return next(score for score in answer.scores if score.action == action)


async def test_the_first_snapshot_is_empty(ranking, world):
    head = await ranking.GetSnapshot(pb.GetSnapshotRequest())
    answer = await ranking.Rank(request(world))

    assert (head.version, list(head.counts)) == (1, [])
    assert (answer.snapshot_version, answer.snapshot_digest) == (1, head.digest)
    assert answer == await ranking.Rank(request(world, snapshot_version=1, now_ms=NOW))
    assert [each.placement for each in answer.slate] == sorted((each.placement for each in answer.slate), reverse=True)
    assert answer.slate[0].action == "recall_notice"


async def test_an_outcome_changes_a_propensity_within_a_second(ranking, world):
    before = await noiseless(ranking, world)
    decision = await world.decide("gold_card")
    await world.tell(decision, "gold_card", "impression")
    await until(lambda: learned(ranking, 1, 0), timeout=5)
    started = time.monotonic()
    await world.tell(decision, "gold_card", "click")
    await until(lambda: learned(ranking, 1, 1), timeout=5)
    took = time.monotonic() - started
    after = await noiseless(ranking, world)

    assert took < 1
    assert after.noiseless > before.noiseless
    assert (before.evidence, after.evidence) == (0, 1)
    assert "PRIOR_ONLY" in before.flags
    assert "PRIOR_ONLY" not in after.flags


async def learned(stub, trials, positives, action="gold_card"):
    head = await stub.GetSnapshot(pb.GetSnapshotRequest())
    rows = [(row.trials, row.positives) for row in head.counts if row.action == action and not row.context]
    return rows == ([(trials, positives)] if trials else [])


async def test_repeated_and_early_outcomes_count_once(ranking, world):
    decision = await world.decide("gold_card", "silver_card")
    for action in ("silver_card", "gold_card"):
        await world.tell(decision, action, "click", again=2)
        await world.tell(decision, action, "impression", again=2)

    await until(lambda: learned(ranking, 1, 1, "gold_card"), timeout=5)
    await until(lambda: learned(ranking, 1, 1, "silver_card"), timeout=5)


async def test_nothing_is_learned_without_the_learning_purpose(ranking, world):
    for allowed in ({"offers": ["interaction"]}, {"learning": ["behaviour"]}):
        refused = await world.decide("gold_card", allowed=allowed)
        await world.tell(refused, "gold_card", "impression")
    # One partition, one order: once this is known, so are the others.
    decision = await world.decide("silver_card")
    await world.tell(decision, "silver_card", "impression")
    await until(lambda: learned(ranking, 1, 0, "silver_card"), timeout=5)

    assert await learned(ranking, 0, 0, "gold_card")


async def test_an_erased_subject_is_unlearned(ranking, world):
    decision = await world.decide("gold_card")
    await world.tell(decision, "gold_card", "impression")
    await until(lambda: learned(ranking, 1, 0), timeout=5)

    await world.erase()

    await until(lambda: learned(ranking, 0, 0), timeout=5)


async def test_forgetting_is_idempotent_and_names_the_version_without_the_subject(ranking, world, bus, keys):
    decision = await world.decide("gold_card")
    await world.tell(decision, "gold_card", "impression")
    await until(lambda: learned(ranking, 1, 0), timeout=5)
    stub = RankingServiceStub((await bus("cli")).channel("ranking", identity=keys.identity("cli")))
    asked = pb.ForgetSubjectRequest(subject_id=world.subject, request_id="r-1")

    first, second = await stub.ForgetSubject(asked), await stub.ForgetSubject(asked)
    without = await ranking.GetSnapshot(pb.GetSnapshotRequest(version=first.snapshot_version))

    assert (first.rows_removed, first) == (2, second)
    assert list(without.counts) == []


async def test_a_request_pins_one_version_while_snapshots_are_swapped(ranking, world):
    versions = {}

    async def ask(number):
        answer = await ranking.Rank(request(world, decision_id=f"d-{number % 7}", now_ms=NOW))
        key = (answer.snapshot_version, number % 7)
        assert versions.setdefault(key, answer) == answer
        assert len({score.evidence for score in answer.scores if score.action == "gold_card"}) == 1

    async def teach():
        for _ in range(12):
            decision = await world.decide("gold_card")
            await world.tell(decision, "gold_card", "impression")
            seen = (await ranking.GetSnapshot(pb.GetSnapshotRequest())).version
            await until(lambda seen=seen: newer(ranking, seen), timeout=5)

    teaching = asyncio.create_task(teach())
    number = 0
    while not teaching.done():
        await asyncio.gather(*(ask(number + each) for each in range(16)))
        number += 16
    await teaching
    for (version, which), answer in versions.items():
        again = await ranking.Rank(
            request(world, decision_id=f"d-{which}", now_ms=NOW, snapshot_version=version, replay=True)
        )
        assert again == answer

    assert len({version for version, _ in versions}) > 3


async def newer(stub, version):
    return (await stub.GetSnapshot(pb.GetSnapshotRequest())).version > version


async def test_a_corrupt_snapshot_is_refused_and_the_old_head_stays(ranking, world, clean_bucket, caplog):
    before = await ranking.GetSnapshot(pb.GetSnapshotRequest())
    await clean_bucket.put("v900", b'{"format":1}')
    head = {"version": 900, "digest": before.digest, "as_of_ms": 0}
    for refusals, written in enumerate((json.dumps(head).encode(), b"nonsense"), start=1):
        await clean_bucket.put("head", written)
        await until(lambda refusals=refusals: caplog.text.count("a snapshot was refused") >= refusals)

    answer = await ranking.Rank(request(world))

    assert answer.snapshot_version == before.version
    with pytest.raises(NotFound):
        await ranking.GetSnapshot(pb.GetSnapshotRequest(version=900))


async def test_a_restarted_service_goes_on_where_it_was(settings, bus, keys, world, clean_bucket):
    async with running(settings, bus, keys) as stub:
        decision = await world.decide("gold_card")
        await world.tell(decision, "gold_card", "impression")
        await until(lambda: learned(stub, 1, 0), timeout=5)
    await world.tell(decision, "gold_card", "click")
    async with running(settings, bus, keys) as stub:
        await until(lambda: learned(stub, 1, 1), timeout=10)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"snapshot_version": 77}, FailedPrecondition, "SNAPSHOT_UNAVAILABLE"),
        ({"bundle_digest": "sha256:" + "0" * 64}, FailedPrecondition, "BUNDLE_UNKNOWN"),
        ({"decision_id": ""}, Invalid, "BAD_TEXT"),
        ({"decision_id": "a\nb"}, Invalid, "BAD_TEXT"),
        ({"now_ms": 0}, Invalid, "REQUIRED"),
        ({"arms": {"whole": "nobody"}}, Invalid, "UNKNOWN_ARM"),
        ({"candidates": [pb.Candidate(action="nothing")]}, Invalid, "UNKNOWN_ID"),
        ({"candidates": [pb.Candidate(action="gold_card")] * 2}, Invalid, "REPEATED"),
        ({"candidates": [pb.Candidate(action=f"a{n}") for n in range(1001)]}, Exhausted, "TOO_MANY_CANDIDATES"),
        ({"placements": [pb.PlacementRequest(id="roof")]}, Invalid, "UNKNOWN_ID"),
        ({"basis": SignedBasis(body=b"{}", key_id="k", signature=b"s")}, Forbidden, "BASIS_SIGNATURE"),
    ],
)
async def test_a_bad_request_is_refused_by_name(ranking, world, changes, error, reason):
    with pytest.raises(error) as refused:
        await ranking.Rank(request(world, **changes))

    assert refused.value.code == reason


async def test_a_basis_must_hold_at_the_decisions_time(ranking, world):
    held = await ranking.Rank(request(world, now_ms=NOW, basis=world.basis({"offers": ["holding"]})))

    assert held.scores
    with pytest.raises(Forbidden) as refused:
        await ranking.Rank(request(world, now_ms=NOW + 11_000, basis=world.basis({"offers": ["holding"]})))
    assert refused.value.code == "BASIS_EXPIRED"


async def test_an_unbuilt_method_says_so(ranking, bus, keys):
    with pytest.raises(AssentError) as refused:
        await ranking.EstimatePolicyValue(pb.EstimatePolicyValueRequest())

    assert refused.value.code in {"UNIMPLEMENTED", "FORBIDDEN", "SCOPE_MISSING"}


async def test_a_stopped_model_counts_at_once(ranking, world):
    answer = await ranking.Rank(request(world, killed=["cards"]))
    scores = {score.action: score for score in answer.scores}

    assert (list(scores["gold_card"].flags), scores["gold_card"].propensity) == (["MODEL_KILLED"], ONE)
