"""Protobuf to domain and back, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from assent.content.v1 import content_service_pb2 as pb
from assent.content.v1.content_service_pb2_grpc import ContentServiceServicer
from catalog.findings import Finding
from content_service import handlers
from content_service.domain import Active, Killed, Life, State
from content_service.library import Library
from content_service.ports import Announcer, Audit, Bundles, Registry
from content_service.rendering import render_items
from servicekit.auth import caller
from servicekit.clock import Clock
from servicekit.errors import Invalid, NotFound

COMPLIANCE = "content.compliance"
WHY_AT_MOST = 1000
PAGE = 100
NEWEST = 2**62

_STATES = {
    State.PROPOSED: pb.BUNDLE_STATE_PROPOSED,
    State.APPROVED: pb.BUNDLE_STATE_APPROVED,
    State.ACTIVE: pb.BUNDLE_STATE_ACTIVE,
    State.RETIRED: pb.BUNDLE_STATE_RETIRED,
    State.REJECTED: pb.BUNDLE_STATE_REJECTED,
}
_BY_NUMBER = {number: state for state, number in _STATES.items()}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicer hands to the use cases."""

    bundles: Bundles
    library: Library
    registry: Registry
    announcer: Announcer
    clock: Clock
    max_bundle_bytes: int


class ContentServicer(ContentServiceServicer):
    """`assent.content.v1.ContentService`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def ProposeBundle(self, request: pb.ProposeBundleRequest, context: object) -> pb.ProposeBundleResponse:
        """Check and store."""
        if not 0 < len(request.bundle) <= self._ports.max_bundle_bytes:
            raise Invalid(f"1 to {self._ports.max_bundle_bytes} bytes", reason="BAD_SIZE", field="bundle")
        proposal = await handlers.propose_bundle(
            request.bundle,
            self._audit(request.why),
            bundles=self._ports.bundles,
            active=await self._ports.library.active(),
        )
        return pb.ProposeBundleResponse(info=info(proposal.life), findings=map(finding, proposal.warnings))

    async def ApproveBundle(self, request: pb.ApproveBundleRequest, context: object) -> pb.ApproveBundleResponse:
        """Approve on behalf of the caller."""
        life = await handlers.approve_bundle(
            request.digest,
            self._audit(request.why),
            compliance=COMPLIANCE in caller().scopes,
            bundles=self._ports.bundles,
        )
        return pb.ApproveBundleResponse(info=info(life))

    async def RejectBundle(self, request: pb.RejectBundleRequest, context: object) -> pb.RejectBundleResponse:
        """Turn away."""
        life = await handlers.reject_bundle(request.digest, self._audit(request.why), bundles=self._ports.bundles)
        return pb.RejectBundleResponse(info=info(life))

    async def ActivateBundle(self, request: pb.ActivateBundleRequest, context: object) -> pb.ActivateBundleResponse:
        """Make it count."""
        life, active = await handlers.activate_bundle(
            request.digest,
            self._audit(request.why),
            bundles=self._ports.bundles,
            registry=self._ports.registry,
            announcer=self._ports.announcer,
        )
        return pb.ActivateBundleResponse(info=info(life), revision=active.revision)

    async def KillSwitch(self, request: pb.KillSwitchRequest, context: object) -> pb.KillSwitchResponse:
        """Stop at once."""
        bundle = await self._ports.library.active()
        if bundle is None:
            raise NotFound("No bundle is active yet", reason="NO_ACTIVE_BUNDLE")
        active = await handlers.set_killed(
            Killed(request.kind, request.id),
            self._audit(request.why),
            killed=request.killed,
            bundle=bundle,
            bundles=self._ports.bundles,
            announcer=self._ports.announcer,
        )
        return pb.KillSwitchResponse(killed=active.killed, revision=active.revision)

    async def GetBundle(self, request: pb.GetBundleRequest, context: object) -> pb.GetBundleResponse:
        """A bundle's bytes."""
        life = await self._ports.bundles.life(request.digest)
        return pb.GetBundleResponse(info=info(life), bundle=await self._ports.bundles.document(request.digest))

    async def GetActiveBundle(self, request: pb.GetActiveBundleRequest, context: object) -> pb.GetActiveBundleResponse:
        """What counts now."""
        active = await self._ports.bundles.active()
        life = await self._ports.bundles.life(_digest(active))
        return pb.GetActiveBundleResponse(info=info(life), killed=active.killed, revision=active.revision)

    async def ListBundles(self, request: pb.ListBundlesRequest, context: object) -> pb.ListBundlesResponse:
        """Bundles, newest first."""
        size = min(request.page_size or PAGE, PAGE)
        before = _page(request.page_token)
        rows = await self._ports.bundles.list(_BY_NUMBER.get(request.state), before=before, limit=size)
        following = str(rows[-1][0]) if len(rows) == size else ""
        return pb.ListBundlesResponse(bundles=[info(life) for _, life in rows], next_page_token=following)

    async def Render(self, request: pb.RenderRequest, context: object) -> pb.RenderResponse:
        """Treatments as typed slots."""
        speaker = await self._ports.library.speaker(request.bundle_digest)
        return pb.RenderResponse(items=render_items(speaker, request), bundle_digest=request.bundle_digest)

    def _audit(self, why: str) -> Audit:
        if len(why) > WHY_AT_MOST or not why.isprintable():
            raise Invalid(f"At most {WHY_AT_MOST} printable characters", reason="BAD_TEXT", field="why")
        return Audit(caller().subject, why, self._ports.clock.now_us() // 1000)


def _digest(active: Active) -> str:
    if active.digest is None:
        raise NotFound("No bundle is active yet", reason="NO_ACTIVE_BUNDLE")
    return active.digest


def _page(token: str) -> int:
    if token and not (token.isascii() and token.isdigit() and len(token) < 19):
        raise Invalid("Not a token that this service gave", reason="BAD_PAGE_TOKEN", field="page_token")
    return int(token or NEWEST)


def info(life: Life) -> pb.BundleInfo:
    """A life on the wire."""
    return pb.BundleInfo(
        digest=life.digest,
        state=_STATES[life.state],
        proposed_by=life.proposed_by,
        approved_by=life.approved_by,
        changed_at_ms=life.changed_at_ms,
    )


def finding(found: Finding) -> pb.Finding:
    """A finding on the wire."""
    return pb.Finding(
        code=found.code, level=found.level, message=found.message, path=str(found.position), fix=found.fix
    )
