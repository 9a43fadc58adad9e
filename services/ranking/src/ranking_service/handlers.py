"""The use cases of ranking."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

from ranking_service.domain.propensity import Estimator
from ranking_service.domain.query import Query, Ranked
from ranking_service.domain.rank import rank
from ranking_service.domain.snapshot import Snapshot
from ranking_service.domain.specification import Specification
from ranking_service.ports import Consent, Forgotten, Learner, Publication, Snapshots, SnapshotStore, Specifications
from servicekit.errors import FailedPrecondition, NotFound

REMEMBERED: Final = 8


class Answer(NamedTuple):
    """A ranking, and the snapshot that it rests on."""

    ranked: Ranked
    snapshot: Snapshot


class Estimators:
    """Estimates of the snapshots and bundles used last. They are functions of both, so keeping them changes no answer."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], Estimator] = OrderedDict()

    def of(self, specification: Specification, snapshot: Snapshot) -> Estimator:
        """The estimator of this pair."""
        key = (specification.digest, snapshot.digest_bytes)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = Estimator(specification, snapshot)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return found


async def rank_candidates(
    query: Query,
    *,
    bundle_digest: str,
    snapshot_version: int,
    specifications: Specifications,
    snapshots: Snapshots,
    estimators: Estimators,
) -> Answer:
    """Order and place the candidates with one bundle and one snapshot; version 0 is the replica's head."""
    specification = await specifications.get(bundle_digest)
    snapshot = await snapshots.get(snapshot_version) if snapshot_version else snapshots.head()
    return Answer(rank(query, specification, snapshot, estimators.of(specification, snapshot)), snapshot)


async def find_snapshot(version: int, *, snapshots: Snapshots) -> Snapshot:
    """A snapshot; 0 is head. Raises NotFound."""
    try:
        return await snapshots.get(version) if version else snapshots.head()
    except FailedPrecondition:
        raise NotFound("There is no such snapshot.", reason="SNAPSHOT_UNKNOWN") from None


async def forget_subject(
    subject_id: str,
    *,
    request_id: str,
    ledger_index: int = 0,
    now_ms: int,
    learner: Learner,
    store: SnapshotStore,
    publication: Publication,
) -> Forgotten:
    """Unlearn a subject, and publish a snapshot without it. A repeat of the request gives the first answer."""
    request = hashlib.sha256(f"{request_id}\x00{subject_id}".encode()).hexdigest()
    known = await learner.forgotten(request)
    if known is not None:
        return known
    removed = await learner.forget(subject_id, ledger_index=ledger_index, now_ms=now_ms)
    version = await _without(now_ms, store=store, publication=publication)
    answer = Forgotten(removed, version)
    await learner.remember_forgotten(request, answer)
    return answer


async def narrow_subject(
    subject_id: str,
    *,
    ledger_index: int,
    now_ms: int,
    consent: Consent,
    learner: Learner,
    store: SnapshotStore,
    publication: Publication,
) -> int:
    """Ask the ledger on which channels learning is still allowed, and unlearn the others; rows removed."""
    channels = await learner.channels(subject_id)
    if not channels:
        return 0
    allowed = await consent.may_learn(subject_id, channels)
    lost = [channel for channel in channels if not allowed.get(channel, False)]
    if not lost:
        return 0
    removed = await learner.unlearn(subject_id, lost, ledger_index=ledger_index, now_ms=now_ms)
    await _without(now_ms, store=store, publication=publication)
    return removed


async def build_snapshot(
    now_ms: int, *, store: SnapshotStore, publication: Publication, force: bool = False
) -> Snapshot | None:
    """Build a version when one is due, and publish whatever is not published; the version that was built."""
    built = await store.build(now_ms, force=force)
    for snapshot in await store.unpublished():
        await publication.publish(snapshot)
        await store.mark_published(snapshot.version)
    return built


async def _without(now_ms: int, *, store: SnapshotStore, publication: Publication) -> int:
    """The version from which on nothing unlearned is left: built even when an earlier attempt removed the rows and then crashed."""
    built = await build_snapshot(now_ms, store=store, publication=publication, force=True)
    assert built is not None
    return built.version
