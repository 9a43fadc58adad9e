"""The siblings as orchestration sees them, in memory: a small bank that behaves, and ways in which each part can fail."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assent.catalog.v1.value_pb2 import DATA_CATEGORY_HOLDING, Value
from assent.consent.v1.basis_pb2 import SignedBasis
from assent.consent.v1.consent_service_pb2 import EvaluateBasisResponse
from assent.content.v1 import content_service_pb2 as content
from assent.eligibility.v1 import eligibility_service_pb2 as eligibility
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.profile.v1 import profile_service_pb2 as profile
from assent.ranking.v1 import ranking_service_pb2 as ranking
from assent.signals.v1 import signals_service_pb2 as signals
from assent.signals.v1.signal_pb2 import SIGNAL_KIND_FRICTION, SIGNAL_KIND_INTENT, Signal
from catalog.digest import bundle_digest
from catalog.loading import load_bundle
from catalog.model import Action, Bundle
from orchestration_service.deciding import Decider
from orchestration_service.ports import Archived, Ports, Written
from servicekit.basis import Verifier, ledger_id, public_keys, sign
from servicekit.bundles import Active
from servicekit.clock import Clock, FixedClock
from servicekit.errors import FailedPrecondition, NotFound, Unavailable
from servicekit.vkeys import VerifierKey, verifier_key
from testkit.builders import unique

NOW_US = 1_790_000_000_000_000
NOW_MS = NOW_US // 1000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = verifier_key("harbour", KEY.public_key())
LEDGER = ledger_id("harbour")
TRACKING_KEY = b"tracking key of a test"
SUBJECT = "5c1d6e3a-0000-4000-8000-000000000001"
CANARY = "CANARY-4711"

EVERYTHING = ("servicing", "security", "assistance", "contact_control", "learning", "personalization", "money_insights")
EVERYTHING += ("offers", "offers.credit", "offers.wealth", "safeguarding")
SERVICE_ONLY = ("servicing", "security")


@cache
def bundle() -> Bundle:
    """The example bank, with one more thing that it may always say."""
    root = next(p for p in Path(__file__).parents if (p / "examples").is_dir())
    example = load_bundle(root / "examples/harbour-bank/catalog")
    layout = example.action["home_everyday"]
    hours = layout.model_copy(
        update={
            "id": "branch_hours",
            "placements": ("home.hero", "home.list"),
            "treatments": tuple(
                t.model_copy(update={"id": f"branch_hours.{n}"}) for n, t in enumerate(layout.treatments)
            ),
        }
    )
    return example.model_copy(update={"actions": (*example.actions, hours)})


@cache
def digest() -> str:
    return bundle_digest(bundle())


def needs_profile(action: Action) -> bool:
    """Whether a rule of the action reads the view."""
    rules = [rule for rule in bundle().all_rules if rule.id in action.policies or rule.scope.covers(action)]
    return any("view." in str(rule.require) or "derived." in str(rule.require) for rule in rules)


def counted(action: Action) -> bool:
    """Whether this bank counts its contacts: all that sells."""
    return action.selling


def a_signal(definition: str, **changed) -> Signal:
    known = bundle().signal[definition]
    kind = SIGNAL_KIND_FRICTION if known.kind == "friction" else SIGNAL_KIND_INTENT
    made = Signal(
        id=unique("signal"),
        definition=definition,
        kind=kind,
        strength=2,
        warrants_decision=True,
        at_ms=NOW_MS - 100,
        expires_at_ms=NOW_MS + 60_000,
    )
    made.MergeFrom(Signal(**changed))
    return made


def _lawful(purpose) -> str:
    return purpose.lawful_basis["gdpr"].upper()


def signed_basis(
    purposes, *, subject=SUBJECT, channel="mobile", key=KEY, vkey=VKEY, at_us=NOW_US, members=None, **changed
):
    known = bundle().purpose
    body = {
        "v": 1,
        "ledger": LEDGER,
        "epoch": 1,
        "index": 41,
        "subject": subject,
        "members": sorted(members or [subject]),
        "channel": channel,
        "recipient": "self",
        "regimes": ["gdpr"],
        "registry": "sha256:00",
        "at": at_us,
        "not_after": at_us + 10_000_000,
        "kid": vkey.key_id,
        "allowed": [
            {"purpose": p, "categories": sorted(known[p].categories), "basis": _lawful(known[p]), "support": 1}
            for p in purposes
        ],
        "denied": [],
        **changed,
    }
    signed = sign(body, key, vkey.key_id)
    return SignedBasis(body=signed.body, key_id=signed.key_id, signature=signed.signature)


class MemoryProfiles:
    def __init__(self, world) -> None:
        self.world = world

    async def resolve(self, request):
        if request.identifier.value in self.world.unknown:
            raise NotFound(reason="UNKNOWN_IDENTIFIER")
        return profile.ResolveSubjectResponse(subject_id=SUBJECT, members=[SUBJECT])

    async def view(self, request):
        allowed = [p for p in self.world.allowed if "holding" in bundle().purpose[p].categories]
        if not allowed:
            return profile.GetViewResponse(position=7)
        balance = profile.ViewField(
            attribute="view.balance",
            value=Value(integer=self.world.balance),
            category=DATA_CATEGORY_HOLDING,
            as_of_ms=NOW_MS - 1000,
            purposes=sorted(allowed),
        )
        return profile.GetViewResponse(fields=[balance], position=7)


class MemoryLedger:
    def __init__(self, world) -> None:
        self.world = world

    async def basis(self, request):
        world = self.world
        made = signed_basis(
            world.allowed,
            subject=request.subject_id,
            channel=request.channel,
            at_us=world.clock.now_us(),
            key=world.key,
            vkey=world.vkey,
        )
        return EvaluateBasisResponse(basis=made)


class MemorySignals:
    def __init__(self, world) -> None:
        self.world = world

    async def active(self, request):
        allowed = {p: frozenset(bundle().purpose[p].categories) for p in self.world.allowed}
        covered = [
            s
            for s in self.world.live
            if bundle().needs[s.definition] <= allowed.get(bundle().signal[s.definition].purpose, frozenset())
        ]
        return signals.GetActiveSignalsResponse(signals=covered, fresh=self.world.fresh, caught_up=True)


class MemoryEligibility:
    def __init__(self, world) -> None:
        self.world = world
        self.reserved: dict[str, str] = {}
        self.released: list[str] = []
        self.requests: list[eligibility.EvaluateRequest] = []

    async def contact(self, request):
        return eligibility.GetContactStateResponse(state=eligibility.ContactState(version=3))

    async def evaluate(self, request):
        self.requests.append(request)
        answer = eligibility.EvaluateResponse(bundle_digest=request.bundle_digest)
        for action in sorted(bundle().actions, key=lambda a: a.id):
            places = [p for p in sorted(request.placements) if p in action.placements]
            if not places or not action.treatments_on(request.channel):
                continue
            reason = self._reason(action, request)
            if reason is None:
                answer.survivors.add(action=action.id, placements=places, needs_reservation=counted(action))
            else:
                answer.rejected.add(action=action.id, stage=reason.stage, reasons=[reason])
        return answer

    def _reason(self, action, request):
        fresh = request.signals_fresh and "signals" not in request.unavailable
        friction = any(s.kind == SIGNAL_KIND_FRICTION for s in request.signals)
        live = {s.definition for s in request.signals}
        consent = not bundle().purpose[action.purpose].needs_consent or action.purpose in self._allowed(request)
        rules = (
            (not consent, "consent", "NO_CONSENT", "customer"),
            (action.id in request.killed, "builtin", "KILLED", "staff"),
            (action.selling and (friction or not fresh), "builtin", "HELP_FIRST", "staff"),
            (
                bool(action.warranted_by) and not live & set(action.warranted_by),
                "applicability",
                "NOT_WARRANTED",
                "staff",
            ),
            (needs_profile(action) and not request.view, "eligibility", "UNKNOWN", "customer"),
            (counted(action) and not request.HasField("contact"), "contact", "UNKNOWN", "staff"),
        )
        return next((self._told(*rule[1:]) for rule in rules if rule[0]), None)

    @staticmethod
    def _told(stage, code, disclose):
        seen = Value(integer=4711)
        return eligibility.Reason(stage=stage, rule=f"rule.{code}", code=code, seen=seen, disclose=disclose)

    def _allowed(self, request):
        return self.world.allowed if request.HasField("basis") else ()

    async def reserve(self, request):
        answer = eligibility.ReserveResponse()
        for item in request.items:
            if item.action in self.world.full:
                answer.refused.add(item=item.item, cause="six_offers_a_week")
            else:
                self.reserved[item.item] = request.decision_id
                answer.accepted.add(item=item.item, reservation_id=f"r-{item.item}", until_ms=request.now_ms + 600_000)
        return answer

    async def release(self, request):
        self.released += request.items
        for item in request.items:
            self.reserved.pop(item, None)
        return eligibility.ReleaseResponse(released=request.items)


class MemoryRanking:
    def __init__(self, world) -> None:
        self.world = world

    async def rank(self, request):
        order = {name: place for place, name in enumerate(bundle().ranking.static_order)}
        ranked = sorted(request.candidates, key=lambda c: (c.action not in order, -order.get(c.action, 0)))
        answer = ranking.RankResponse(snapshot_version=request.snapshot_version or 5, snapshot_digest="sha256:05")
        placed = set()
        for wanted in request.placements:
            fitting = [c.action for c in ranked if wanted.id in c.placements and c.action not in placed]
            for slot, action in enumerate(fitting, start=1):
                spare = slot > wanted.max_items
                (answer.reserves if spare else answer.slate).add(placement=wanted.id, slot=slot, action=action)
                placed |= set() if spare else {action}
        for rank, candidate in enumerate(ranked, start=1):
            answer.scores.add(action=candidate.action, priority=1.0 / rank, rank=rank, propensity=request.seed % 1000)
        return answer


class MemoryContent:
    def __init__(self, world) -> None:
        self.world = world

    async def render(self, request):
        answer = content.RenderResponse(bundle_digest=request.bundle_digest)
        for item in request.items:
            treatment = (
                bundle().action[item.action].treatments_on(request.channel, request.variants.get(item.action))[0]
            )
            said = ", ".join(f"{value.name}" for value in item.values)
            words = content.RenderedContent(title=f"{treatment.id}", body=f"personal words of {item.action} ({said})")
            answer.items.add(item=item.item, treatment=treatment.id, content=words)
        return answer


class MemoryRecorder:
    """DECISIONS, as several replicas share it."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.by_id: dict[str, int] = {}

    async def write(self, record, *, decision_id, key, now_ms):
        await asyncio.sleep(0)
        if decision_id in self.by_id:
            return Written(self.by_id[decision_id], duplicate=True)
        self.records.append(record)
        self.by_id[decision_id] = len(self.records)
        return Written(len(self.records), duplicate=False)

    async def read(self, sequence):
        return self.records[sequence - 1]

    def last(self) -> DecisionRecord:
        return DecisionRecord.FromString(self.records[-1])


class MemoryCatalog:
    def __init__(self) -> None:
        self.killed: frozenset[str] = frozenset()

    def active(self):
        return Active(digest(), bundle(), self.killed, 1)

    async def get(self, wanted):
        if wanted != digest():
            raise FailedPrecondition(reason="BUNDLE_UNKNOWN")
        return bundle()


class MemorySnapshots:
    version = 5

    def head(self):
        return self.version


class MemoryArchive:
    """Decisions by id; `late`: how often it is asked before it has caught up."""

    def __init__(self) -> None:
        self.kept: dict[str, Archived] = {}
        self.forgotten: set[str] = set()
        self.late = 0

    async def add(self, record, data, digest, sequence):
        data = b"" if record.subject_id in self.forgotten else data
        self.kept.setdefault(record.decision_id, Archived(data, digest, sequence))

    async def find(self, decision_ids):
        if self.late:
            self.late -= 1
            return {}
        return {name: self.kept[name] for name in decision_ids if name in self.kept}

    async def forget(self, subject_id):
        self.forgotten.add(subject_id)
        for name, archived in self.kept.items():
            if DecisionRecord.FromString(archived.record).subject_id == subject_id:
                self.kept[name] = replace(archived, record=b"")

    async def keep(self, record: DecisionRecord, sequence=1) -> str:
        data = record.SerializeToString(deterministic=True)
        await self.add(record, data, hashlib.sha256(data).digest(), sequence)
        return record.decision_id


class MemoryOutcomes:
    def __init__(self) -> None:
        self.stored: dict[str, object] = {}
        self.fails = False

    async def known(self, outcome_ids):
        return frozenset(set(outcome_ids) & self.stored.keys())

    async def publish(self, outcomes):
        if self.fails:
            return [Unavailable(reason="NOT_ACKNOWLEDGED") for _ in outcomes]
        new = [outcome.outcome_id not in self.stored for outcome in outcomes]
        self.stored |= {outcome.outcome_id: outcome for outcome in outcomes}
        return new


@dataclass
class World:
    """Everything around one or more Deciders."""

    allowed: tuple[str, ...] = EVERYTHING
    live: list[Signal] = field(default_factory=list)
    fresh: bool = True
    balance: int = 123_456
    full: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    clock: Clock = field(default_factory=lambda: FixedClock(NOW_US))
    key: Ed25519PrivateKey = KEY
    vkey: VerifierKey = VKEY

    def __post_init__(self) -> None:
        self.catalog = MemoryCatalog()
        self.snapshots = MemorySnapshots()
        self.recorder = MemoryRecorder()
        self.profiles = MemoryProfiles(self)
        self.ledger = MemoryLedger(self)
        self.signals = MemorySignals(self)
        self.eligibility = MemoryEligibility(self)
        self.ranking = MemoryRanking(self)
        self.content = MemoryContent(self)

    def ports(self) -> Ports:
        return Ports(
            profiles=self.profiles,
            ledger=self.ledger,
            signals=self.signals,
            eligibility=self.eligibility,
            ranking=self.ranking,
            content=self.content,
            catalog=self.catalog,
            snapshots=self.snapshots,
            recorder=self.recorder,
            verifier=Verifier(public_keys([VKEY]), ledger=LEDGER),
            clock=self.clock,
            tracking_key=TRACKING_KEY,
        )

    def decider(self) -> Decider:
        return Decider(self.ports())


def a_request(*placements: str, **changed) -> pb.DecideRequest:
    request = pb.DecideRequest(
        request_id=unique("request"),
        subject=Identifier(type="customer_number", value="4711"),
        session_id="session-1",
        channel="mobile",
        locale="en-GB",
        placements=[pb.PlacementRequest(id=name) for name in placements or ("home.hero", "home.list")],
        context=pb.DecisionContext(screen="home"),
    )
    request.MergeFrom(pb.DecideRequest(**changed))
    return request


def shown(answer) -> list[str]:
    return [treatment.action for placement in answer.placements for treatment in placement.treatments]


def codes(answer) -> set[str]:
    return {degradation.code for degradation in answer.degradations}


async def forever(*_args, **_kwargs):
    await asyncio.Event().wait()


async def down(*_args, **_kwargs):
    raise Unavailable(reason="NO_RESPONDERS")


async def bug(*_args, **_kwargs):
    message = f"a bug that repeats {CANARY}"
    raise RuntimeError(message)


def a_foreign_action():
    return next(a for a in bundle().actions if a.kind == "offer")


def wrongly(world: World, stage: str):  # noqa: C901  # one answer per stage
    """An answer of that stage that is well-formed and wrong."""

    async def resolve(_request):
        return profile.ResolveSubjectResponse()

    async def basis(request):
        return EvaluateBasisResponse(basis=signed_basis(EVERYTHING, subject="somebody-else"))

    async def view(request):
        answer = await MemoryProfiles(World()).view(request)
        answer.fields[0].purposes.append("research")
        return answer

    async def active(_request):
        return signals.GetActiveSignalsResponse(signals=[a_signal("hesitation")], fresh=True)

    async def contact(_request):
        raise Unavailable(reason="BAD_REPLY")

    async def evaluate(request):
        answer = await MemoryEligibility(world).evaluate(request)
        answer.survivors.add(action="no_such_action", placements=["home.hero"])
        return answer

    async def rank(request):
        answer = await MemoryRanking(world).rank(request)
        answer.slate.add(placement="home.hero", slot=9, action="gold_card")
        return answer

    async def reserve(request):
        return eligibility.ReserveResponse(accepted=[eligibility.Accepted(item="home.hero/1/something_else")])

    async def render(request):
        answer = await MemoryContent(world).render(request)
        for item in answer.items:
            item.treatment = "gold_card.card"
            item.content.body = CANARY
        return answer

    async def write(_record, **_):
        return Written(1, duplicate=True)

    return locals()[PORTS[stage][1]]


PORTS = {
    "resolve": ("profiles", "resolve"),
    "basis": ("ledger", "basis"),
    "view": ("profiles", "view"),
    "signals": ("signals", "active"),
    "contact": ("eligibility", "contact"),
    "evaluate": ("eligibility", "evaluate"),
    "rank": ("ranking", "rank"),
    "reserve": ("eligibility", "reserve"),
    "render": ("content", "render"),
    "record": ("recorder", "write"),
}


def break_stage(world: World, stage: str, how: str) -> None:
    """Make one stage fail: down, slow, bug or wrong."""
    port, method = PORTS[stage]
    way = {"down": down, "slow": forever, "bug": bug}.get(how) or wrongly(world, stage)
    if stage == "record" and how == "wrong":
        world.recorder.records.append(DecisionRecord(decision_id="another").SerializeToString())
    setattr(getattr(world, port), method, way)
