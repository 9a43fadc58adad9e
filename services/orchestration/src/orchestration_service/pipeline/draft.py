"""A decision in the making: what every stage reads and writes. It becomes the record."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from assent.catalog.v1.value_pb2 import Attribute
from assent.consent.v1.basis_pb2 import SignedBasis
from assent.content.v1.content_service_pb2 import RenderResponse
from assent.eligibility.v1.eligibility_service_pb2 import (
    EvaluateResponse,
    GetContactStateResponse,
    ReserveResponse,
    Survivor,
)
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord, StageDigest
from assent.profile.v1.profile_service_pb2 import GetViewResponse
from assent.ranking.v1.ranking_service_pb2 import Placed, RankResponse
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsResponse
from catalog.model import Bundle
from servicekit.basis import Basis
from servicekit.bundles import Active

OPTIONAL = frozenset({"CONSENT", "OPT_OUT", "LEGITIMATE_INTEREST"})
"""Lawful bases that the person can take away. What rests on another, such as a legal obligation, is service."""
FORMAT = 1
"""Version of the record and of `canonical`."""


def canonical(message: Message) -> bytes:
    """The bytes of a message, version 1: fields and map keys in order. Comparable between runs of one version only."""
    return message.SerializeToString(deterministic=True)


@dataclass(slots=True)
class Draft:
    """Inputs first, then what the stages found, in their order. `may`: what survived; `asked`: items to reserve; `worded`: the
    slate that `rendered` has the words of.
    """

    request: pb.DecideRequest
    decision_id: str
    now_ms: int
    seed: int
    active: Active[Bundle]
    snapshot_version: int
    cause: str = "request"

    subject_id: str = ""
    members: tuple[str, ...] = ()
    signed: SignedBasis | None = None
    basis: Basis | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    view: GetViewResponse | None = None
    signals: GetActiveSignalsResponse | None = None
    contact: GetContactStateResponse | None = None
    evaluated: EvaluateResponse | None = None
    may: Mapping[str, Survivor] | None = None
    ranked: RankResponse | None = None
    reserved: ReserveResponse | None = None
    slate: list[Placed] = field(default_factory=list)
    rendered: RenderResponse | None = None
    worded: Sequence[Placed] = ()
    placements: list[pb.PlacementAnswer] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    degradations: list[pb.Degradation] = field(default_factory=list)
    unavailable: set[str] = field(default_factory=set)
    stages: list[StageDigest] = field(default_factory=list)

    @property
    def bundle(self) -> Bundle:
        """The bundle of this decision."""
        return self.active.bundle

    def allows(self, purpose: str) -> bool:
        """Whether the basis allows anything for the purpose."""
        return self.basis is not None and bool(self.basis.allowed.get(purpose))

    def degrade(self, stage: str, code: str) -> None:
        """Say that something was left out."""
        self.degradations.append(pb.Degradation(code=code, stage=stage))

    def finished(self, stage: str, output: Message | None, outcome: str) -> None:
        """Note what a stage gave."""
        digest = b"" if output is None else hashlib.sha256(canonical(output)).digest()
        self.stages.append(StageDigest(stage=stage, output=digest, outcome=outcome))

    def wanted(self, placement: pb.PlacementRequest) -> int:
        """How many items a placement takes."""
        limit = self.bundle.placement[placement.id].max_items
        return min(placement.max_items or limit, limit)

    def values_for(self, action_id: str, names: Collection[str]) -> list[Attribute]:
        """What the words of an action say: of the attributes that they name, those that its purpose may read or the request brings."""
        if not names:
            return []
        purpose = self.bundle.action[action_id].purpose
        fields = [f for f in (self.view.fields if self.view else ()) if f.attribute in names and purpose in f.purposes]
        values = [Attribute(name=f.attribute, value=f.value) for f in fields]
        values += [each for each in self._signal_values(purpose) if each.name in names]
        return values + [each for each in self.request.context.attributes if each.name in names]

    def _signal_values(self, purpose: str) -> list[Attribute]:
        allowed = self.basis.allowed.get(purpose, frozenset()) if self.basis else frozenset()
        return [
            Attribute(name=f"signal.{signal.definition}.{emitted.name}", value=emitted.value)
            for signal in (self.signals.signals if self.signals else ())
            if self.bundle.needs.get(signal.definition, frozenset({""})) <= allowed
            for emitted in signal.fields
        ]

    def consent(self) -> pb.ConsentUse:
        """What the answer rests on."""
        shown = {treatment.action for answer in self.placements for treatment in answer.treatments}
        purposes = sorted({self.bundle.action[action].purpose for action in shown})
        if self.basis is None:
            return pb.ConsentUse(purposes=purposes)
        return pb.ConsentUse(
            index=self.basis.index, epoch=self.basis.epoch, purposes=purposes, personal=self._is_personal()
        )

    def _is_personal(self) -> bool:
        """Whether anything is allowed that the person can take away."""
        return self.basis is not None and not OPTIONAL.isdisjoint(self.basis.rests_on)

    def record(self) -> DecisionRecord:
        """The draft as it is recorded."""
        return DecisionRecord(
            format=FORMAT,
            decision_id=self.decision_id,
            now_ms=self.now_ms,
            seed=self.seed,
            request=self.request,
            subject_id=self.subject_id,
            members=self.members,
            basis=self.signed,
            bundle_digest=self.active.digest,
            killed=sorted(self.active.killed),
            snapshot_version=self.ranked.snapshot_version if self.ranked else self.snapshot_version,
            arms=self.arms,
            view=self.view,
            signals=self.signals,
            contact=self.contact,
            evaluated=self.evaluated,
            ranked=self.ranked,
            reserved=self.reserved,
            rendered=self.rendered,
            placements=self.placements,
            degradations=self.degradations,
            stages=self.stages,
            cause=self.cause,
            slate=self.slate,
            consent=self.consent(),
        )
