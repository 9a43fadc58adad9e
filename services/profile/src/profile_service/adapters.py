"""The world behind the ports, except for the database: the ledger over the bus, and plans of bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assent.consent.v1.consent_service_pb2 import SetSubjectLinkRequest
from catalog.model.bundle import Bundle
from profile_service.catalogue import Plan, plan
from profile_service.ports import Catalog, Ledger
from servicekit.bundles import Bundles

if TYPE_CHECKING:
    from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceAsyncStub


class ConsentLedger:
    """The consent service."""

    def __init__(self, stub: ConsentServiceAsyncStub) -> None:
        self._stub = stub

    async def link(self, survivor: str, absorbed: str, *, request_id: str, evidence: str) -> None:
        """The ledger answers for both as one from now on; FailedPrecondition when it refuses."""
        await self._stub.SetSubjectLink(
            SetSubjectLinkRequest(
                request_id=request_id, survivor=survivor, absorbed=absorbed, linked=True, evidence_ref=evidence
            )
        )


class BundlePlans:
    """Plans of the bundles that content published, each compiled once."""

    def __init__(self, bundles: Bundles[Bundle], remember: int = 8) -> None:
        self._bundles = bundles
        self._plans: dict[str, Plan] = {}
        self._size = remember

    async def plan(self, digest: str) -> Plan:
        """The plan of that bundle, of the active one for ""."""
        digest = digest or self._bundles.active().digest
        found = self._plans.get(digest)
        return found or self._keep(digest, plan(await self._bundles.get(digest)))

    def _keep(self, digest: str, made: Plan) -> Plan:
        if len(self._plans) >= self._size:
            self._plans.pop(next(iter(self._plans)))
        self._plans[digest] = made
        return made


_ledger: type[Ledger] = ConsentLedger
_catalog: type[Catalog] = BundlePlans
