"""Use cases: propose, approve, activate, stop, render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from catalog.checks import check
from catalog.digest import bundle_digest, bundle_from_json, bundle_to_json
from catalog.findings import CatalogInvalid, Finding
from catalog.model import Bundle
from content_service import domain
from content_service.domain import Active, Killed, Life, State
from content_service.ports import Announcer, Audit, Bundles, Registry
from servicekit.errors import Invalid, NotFound

KINDS = {"action": "action", "treatment": "treatment", "signal": "signal"}
"""What can be stopped, and where a bundle lists it; models stand in its ranking."""


class CatalogRefused(Invalid):
    """The bundle does not pass its checks."""

    reason = "CATALOG_INVALID"

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        first = self.findings[0]
        super().__init__(f"{len(self.findings)} findings; the first: {first.code}: {first.message}", field="bundle")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A stored proposal and what the checks would have it improve."""

    life: Life
    warnings: tuple[Finding, ...]


async def propose_bundle(document: bytes, audit: Audit, *, bundles: Bundles, active: Bundle | None) -> Proposal:
    """Check and store a bundle. Raises CatalogRefused with the findings."""
    bundle = _parsed(document)
    findings = check(bundle)
    if errors := [finding for finding in findings if finding.level == "error"]:
        raise CatalogRefused(errors)
    life = Life(bundle_digest(bundle), audit.by, audit.at_ms, touches=touches(active, bundle))
    return Proposal(await bundles.propose(life, document, audit), tuple(findings))


def _parsed(document: bytes) -> Bundle:
    try:
        bundle = bundle_from_json(document)
    except CatalogInvalid as invalid:
        raise CatalogRefused(invalid.findings) from invalid
    if bundle_to_json(bundle) != document:
        raise Invalid(
            "These bytes are not the canonical JSON of the bundle they hold", reason="NOT_CANONICAL", field="bundle"
        )
    return bundle


def touches(old: Bundle | None, new: Bundle) -> frozenset[str]:
    """The guarded things in which two bundles differ; without an older bundle everything that the new one has."""
    return frozenset(name for name, part in _guarded(new).items() if part != (_guarded(old)[name] if old else ()))


def _guarded(bundle: Bundle) -> dict[str, tuple[object, ...]]:
    fields = (*bundle.attributes, *bundle.features)
    return {
        "purposes": bundle.purposes,
        "prohibited attributes": tuple(field for field in fields if field.prohibited),
        "credit products": tuple(action for action in bundle.actions if action.purpose.startswith("offers.credit")),
    }


async def approve_bundle(digest: str, audit: Audit, *, compliance: bool, bundles: Bundles) -> Life:
    """Approve on behalf of `audit.by`."""
    return await bundles.change(
        digest, partial(domain.approve, by=audit.by, compliance=compliance, now_ms=audit.at_ms), audit
    )


async def reject_bundle(digest: str, audit: Audit, *, bundles: Bundles) -> Life:
    """Turn a bundle away."""
    return await bundles.change(digest, partial(domain.reject, now_ms=audit.at_ms), audit)


async def activate_bundle(
    digest: str, audit: Audit, *, bundles: Bundles, registry: Registry, announcer: Announcer
) -> tuple[Life, Active]:
    """Make a bundle count: the ledger accepts its registry first, then the bundle, then every replica hears of it."""
    life = await bundles.life(digest)
    domain.activate(life, now_ms=audit.at_ms)
    if life.state is not State.ACTIVE:
        await registry.publish(bundle_from_json(await bundles.document(digest)), life.approved_by)
    life, active = await bundles.activate(digest, audit)
    await announcer.announce(active)
    return life, active


async def set_killed(
    target: Killed, audit: Audit, *, killed: bool, bundle: Bundle, bundles: Bundles, announcer: Announcer
) -> Active:
    """Stop something at once, or let it go on. Raises NotFound for what the active bundle does not have."""
    if killed and target.id not in known(bundle, target.kind):
        raise NotFound(f"The active bundle has no such {target.kind}", reason="UNKNOWN_TARGET", field="id")
    active = await bundles.kill(target, killed=killed, audit=audit)
    await announcer.announce(active)
    return active


def known(bundle: Bundle, kind: str) -> frozenset[str]:
    """Ids of that kind. Raises Invalid for a kind that cannot be stopped."""
    if kind == "model":
        return frozenset(model.id for model in bundle.ranking.models)
    if kind not in KINDS:
        raise Invalid("One of action, treatment, signal, model", reason="UNKNOWN_KIND", field="kind")
    return frozenset(getattr(bundle, KINDS[kind]))
