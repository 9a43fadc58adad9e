"""Protobuf to domain and back, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assent.ranking.v1 import ranking_service_pb2 as pb
from assent.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer
from ranking_service import handlers, questions
from ranking_service.domain.counts import NOTHING, Count, plus
from ranking_service.domain.snapshot import Snapshot
from ranking_service.ports import Learner, Publication, Snapshots, SnapshotStore, Specifications
from servicekit.basis import Verifier
from servicekit.clock import Clock


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicer hands to the use cases."""

    specifications: Specifications
    snapshots: Snapshots
    learner: Learner
    store: SnapshotStore
    publication: Publication
    verifier: Verifier
    clock: Clock


class RankingServicer(RankingServiceServicer):
    """`assent.ranking.v1.RankingService`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._estimators = handlers.Estimators()

    async def Rank(self, request: pb.RankRequest, context: object) -> pb.RankResponse:
        """Order and place."""
        ports = self._ports
        allowed = questions.allowed_by(request, ports.verifier)
        specification = await ports.specifications.get(request.bundle_digest)
        asked = questions.query(request, allowed, specification.reads)
        questions.check_names(asked, specification)
        answer = await handlers.rank_candidates(
            asked,
            bundle_digest=request.bundle_digest,
            snapshot_version=request.snapshot_version,
            specifications=ports.specifications,
            snapshots=ports.snapshots,
            estimators=self._estimators,
        )
        return rank_response(answer)

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: object) -> pb.GetSnapshotResponse:
        """A version's sums."""
        snapshot = await handlers.find_snapshot(request.version, snapshots=self._ports.snapshots)
        return pb.GetSnapshotResponse(
            version=snapshot.version, digest=snapshot.digest, as_of_ms=snapshot.as_of_ms, counts=counts(snapshot)
        )

    async def ForgetSubject(self, request: pb.ForgetSubjectRequest, context: object) -> pb.ForgetSubjectResponse:
        """Unlearn."""
        ports = self._ports
        forgotten = await handlers.forget_subject(
            questions.text(request.subject_id, "subject_id"),
            request_id=questions.text(request.request_id, "request_id"),
            now_ms=ports.clock.now_us() // 1000,
            learner=ports.learner,
            store=ports.store,
            publication=ports.publication,
        )
        return pb.ForgetSubjectResponse(**forgotten._asdict())


def rank_response(answer: handlers.Answer) -> pb.RankResponse:
    """A ranking on the wire."""
    ranked, snapshot = answer
    response = pb.RankResponse(
        snapshot_version=snapshot.version, snapshot_digest=snapshot.digest, arm=ranked.arm, flags=ranked.flags
    )
    # Parts are made where they belong: messages of their own would be copied.
    for placement, slot, action in ranked.slate:
        response.slate.add(placement=placement, slot=slot, action=action)
    for placement, slot, action in ranked.reserves:
        response.reserves.add(placement=placement, slot=slot, action=action)
    for rank, score in enumerate(ranked.scores, start=1):
        response.scores.add(
            action=score.action,
            propensity=score.propensity,
            context_weight=score.context_weight,
            value=score.value,
            lever=score.lever,
            priority=score.priority,
            rank=rank,
            flags=score.flags,
            noiseless=score.noiseless,
            evidence=score.evidence,
        )
    return response


def counts(snapshot: Snapshot) -> Iterator[pb.ModelCount]:
    """A snapshot's sums on the wire: of each action on all channels, then by channel."""
    totals: dict[tuple[str, str], Count] = {}
    for key, count in snapshot.counts.items():
        totals[key.model, key.action] = plus(totals.get((key.model, key.action), NOTHING), count)
    rows = [(model, action, "", count) for (model, action), count in totals.items()]
    for model, action, channel, count in sorted([*rows, *((*key, count) for key, count in snapshot.counts.items())]):
        yield pb.ModelCount(model=model, action=action, context=channel, trials=count.trials, positives=count.positives)
