"""Every unary method with its descriptor, a request that is right, and all the ways to spoil it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from e2e_world import HERO, OFFER, PATIENCE_S, World, now_ms
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from assent.auth.v1 import scope_pb2
from assent.catalog.v1.value_pb2 import Attribute, Value
from assent.consent.v1 import audit_service_pb2 as audit
from assent.consent.v1 import checkpoint_key_service_pb2 as checkpoint_key
from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import rights_service_pb2 as rights
from assent.consent.v1 import types_pb2
from assent.content.v1 import content_service_pb2 as content
from assent.eligibility.v1 import eligibility_service_pb2 as eligibility
from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.profile.v1 import profile_service_pb2 as profile
from assent.ranking.v1 import ranking_service_pb2 as ranking
from assent.signals.v1 import signals_service_pb2 as signals
from catalog.digest import bundle_to_json
from harbour_bank import mara, steps
from servicekit.ids import new_id
from tlog import Ed25519Signer, format_vkey

SERVICES = {
    "assent.consent.v1.AuditService": "consent",
    "assent.consent.v1.CheckpointKeyService": "consent",
    "assent.consent.v1.ConsentService": "consent",
    "assent.consent.v1.RegistryService": "consent",
    "assent.consent.v1.RightsService": "consent",
    "assent.content.v1.ContentService": "content",
    "assent.eligibility.v1.EligibilityService": "eligibility",
    "assent.orchestration.v1.OrchestrationService": "orchestration",
    "assent.profile.v1.ProfileService": "profile",
    "assent.ranking.v1.RankingService": "ranking",
    "assent.signals.v1.SignalsService": "signals",
}
DEEPEST = 5
CANARY = f"canary{uuid4().hex[:12]}"
HOSTILE = {
    "control characters": f"{CANARY}\x01\x07\x1b[31m\r\n",
    "a zero byte": f"{CANARY}\x00",
    "bidirectional overrides": f"{CANARY}\u202e\u2066\ufeff\uffff",
    "10 kB": CANARY + "x" * 10_000,
    "SQL": f"{CANARY}'; drop table subject; --",
    "a template": f"{CANARY} {{ $x }} {{{{7*7}}}} ${{jndi:ldap://x}} %s%n",
    "a path": f"../../../../{CANARY}",
    "a subject of the bus": f"{CANARY}.>.*",
}
EXTREMES = (-(1 << 63), -1, 1, (1 << 63) - 1)


def descriptor(service: str) -> Any:
    """A service as its stubs know it."""
    return descriptor_pool.Default().FindServiceByName(service)


def unary_methods() -> list[str]:
    """`package.Service/Method` of every unary method."""
    return [
        f"{service}/{method.name}"
        for service in SERVICES
        for method in descriptor(service).methods
        if not method.client_streaming and not method.server_streaming
    ]


def method(name: str) -> MethodDescriptor:
    """The method of a name."""
    service, _, called = name.partition("/")
    return descriptor(service).methods_by_name[called]


def scopes() -> set[str]:
    """The scopes of all methods, and those that open more of some."""
    more = {"orchestration.audit.personal", "orchestration.explain.agent", "orchestration.explain.auditor"}
    methods = (m for service in SERVICES for m in descriptor(service).methods)
    return more | {m.GetOptions().Extensions[scope_pb2.scope] for m in methods}


@cache
def request_type(name: str) -> type[Message]:
    """The class of a method's request."""
    return message_factory.GetMessageClass(method(name).input_type)


@dataclass(frozen=True)
class Path:
    """A field of a message, through single messages and first elements."""

    fields: tuple[FieldDescriptor, ...]

    @property
    def last(self) -> FieldDescriptor:
        """The field itself."""
        return self.fields[-1]

    def __str__(self) -> str:
        return ".".join(field.name for field in self.fields)

    def set(self, message: Message, value: Any) -> None:
        """Set it, and make what leads to it."""
        for field in self.fields[:-1]:
            message = _into(message, field)
        field = self.last
        if _is_map(field):
            key, entry = (value if f.cpp_type == f.CPPTYPE_STRING else 1 for f in field.message_type.fields)
            getattr(message, field.name)[key] = entry
        elif field.is_repeated:
            repeated = getattr(message, field.name)
            del repeated[:1]
            repeated.insert(0, value)
        else:
            setattr(message, field.name, value)


def _into(message: Message, field: FieldDescriptor) -> Message:
    value = getattr(message, field.name)
    if not field.is_repeated:
        value.SetInParent()
        return value
    return value[0] if value else value.add()


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def paths(of: Descriptor, before: tuple[FieldDescriptor, ...] = ()) -> Iterator[Path]:
    """Every scalar field of a message, and of the messages in it; a map is a field."""
    for field in of.fields:
        here = (*before, field)
        if field.message_type is None or _is_map(field):
            yield Path(here)
        elif len(here) < DEEPEST:
            yield from paths(field.message_type, here)


def spoiled(name: str, right: Message) -> Iterator[tuple[str, bytes]]:
    """What is wrong, and the request with it, for each field of the method's request."""
    for path in paths(method(name).input_type):
        for what, value in _wrong_values(path.last):
            request = type(right)()
            request.CopyFrom(right)
            path.set(request, value)
            yield f"{path}: {what}", request.SerializeToString()


def _wrong_values(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    kind = field.cpp_type
    if _is_map(field) or kind == field.CPPTYPE_STRING:
        as_bytes = field.type == field.TYPE_BYTES
        yield from ((what, text.encode() if as_bytes else text) for what, text in HOSTILE.items())
    elif kind in {field.CPPTYPE_INT64, field.CPPTYPE_INT32}:
        low, high = (EXTREMES[0], EXTREMES[-1]) if kind == field.CPPTYPE_INT64 else (-(1 << 31), (1 << 31) - 1)
        yield from ((f"{value}", value) for value in (low, -1, high))
    elif kind in {field.CPPTYPE_UINT64, field.CPPTYPE_UINT32}:
        yield "the highest", (1 << (64 if kind == field.CPPTYPE_UINT64 else 32)) - 1
    elif kind == field.CPPTYPE_ENUM:
        yield from ((f"{value}", value) for value in (9999, -5))


class Right:
    """Requests that are right, made from one decision of one customer."""

    def __init__(self, world: World, customer: Any, record: Any, document: bytes) -> None:
        self._world, self._customer, self._record, self._document = world, customer, record, document

    @classmethod
    async def of(cls, world: World) -> Right:
        """Of a customer who was shown an offer."""
        customer, decision = await world.an_offered_customer()
        return cls(world, customer, await world.recorded(decision), bundle_to_json(world.bundle))

    async def request(self, name: str) -> Message:
        """A right request for a method; its basis is fresh."""
        made = {
            **self._consent(),
            **self._content(),
            **self._orchestration(),
            **self._profile(await self._basis()),
            **self._choosing(await self._basis()),
        }
        return made.get(name.partition("/")[2] if "Forget" not in name else name) or request_type(name)()

    async def _basis(self) -> Any:
        asked = consent.EvaluateBasisRequest(subject_id=self._customer.subject_id, channel="mobile", ttl_ms=30_000)
        return (await (await self._world.who.app.consent()).EvaluateBasis(asked, timeout=PATIENCE_S)).basis

    def _consent(self) -> dict[str, Message]:
        notice = next(n for n in self._world.bundle.notices if "offers" in n.purposes)
        key = types_pb2.Key(purpose="offers", channel="mobile", category=3)
        grant = steps._grant(self._world.bundle, f"subject-{uuid4().hex}", ["offers"], notice)
        return {
            **self._audit(key),
            **self._rights(),
            **self._keys(),
            **self._objecting(),
            "GrantConsent": consent.GrantConsentRequest(
                request_id=uuid4().hex,
                subject_id=f"subject-{uuid4().hex}",
                scopes=[item.scope for item in grant.items],
                notice=grant.notice,
                actor=grant.actor,
                evidence=grant.evidence,
            ),
            "RecordChoice": grant,
            "WithdrawConsent": consent.WithdrawConsentRequest(
                request_id=uuid4().hex, subject_id=f"subject-{uuid4().hex}", scope=types_pb2.Scope(purpose="offers")
            ),
            "SetSubjectLink": consent.SetSubjectLinkRequest(
                request_id=uuid4().hex, survivor=f"s-{uuid4().hex}", absorbed=f"a-{uuid4().hex}", linked=True
            ),
            "CheckConsent": consent.CheckConsentRequest(subject_id=self._customer.subject_id, keys=[key]),
            "EvaluateBasis": consent.EvaluateBasisRequest(subject_id=self._customer.subject_id, channel="mobile"),
            "GetConsentState": consent.GetConsentStateRequest(subject_id=self._customer.subject_id),
            "ListConsentEvents": consent.ListConsentEventsRequest(subject_id=self._customer.subject_id, page_size=10),
            "GetRegistry": consent.GetRegistryRequest(notice=grant.notice),
            "PublishRegistry": consent.PublishRegistryRequest(
                request_id=uuid4().hex, document=b"{}", notices=[consent.Notice(id="n", version=1, locale="en-GB")]
            ),
        }

    def _objecting(self) -> dict[str, Message]:
        return {
            "RecordObjection": consent.RecordObjectionRequest(
                request_id=uuid4().hex,
                subject_id=f"subject-{uuid4().hex}",
                kind=types_pb2.CHOICE_KIND_OBJECT,
                on=True,
                purposes=consent.PurposeList(ids=["offers"]),
            ),
            "RecordOptOutSignal": consent.RecordOptOutSignalRequest(
                request_id=uuid4().hex,
                subject_id=f"subject-{uuid4().hex}",
                signal="GPC",
                device_ref="device-1",
                on=True,
            ),
        }

    def _rights(self) -> dict[str, Message]:
        """Of nobody's case: a person's would go on to erase them."""
        case = uuid4().hex
        return {
            "RequestErasure": rights.RequestErasureRequest(subject_id=f"subject-{uuid4().hex}", ground=1),
            "DecideErasure": rights.DecideErasureRequest(
                case_id=case, deny=rights.DecideErasureRequest.Deny(), role="privacy officer"
            ),
            "GetErasure": rights.GetErasureRequest(case_id=case),
            "AdvanceErasure": rights.AdvanceErasureRequest(case_id=case),
        }

    def _keys(self) -> dict[str, Message]:
        """Of another log: the entry of a rotation would stay for ever."""
        old, new = (format_vkey(Ed25519Signer("other.example/log", bytes([n]) * 32).vkey) for n in (1, 2))
        return {"RecordRotation": checkpoint_key.RecordRotationRequest(old_vkey=old, new_vkey=new)}

    def _audit(self, key: types_pb2.Key) -> dict[str, Message]:
        subject = self._customer.subject_id
        return {
            "ProveConsentState": audit.ProveConsentStateRequest(subject_id=subject, key=key, detail=1),
            "ListReliances": audit.ListReliancesRequest(subject_id=subject),
            "FindViolations": audit.FindViolationsRequest(page_size=10),
            "VerifyRange": audit.VerifyRangeRequest(to=2),
            "GetCheckpoint": audit.GetCheckpointRequest(at_least=1),
            "GetProof": audit.GetProofRequest(inclusion=audit.GetProofRequest.Inclusion(index=0)),
        }

    def _content(self) -> dict[str, Message]:
        digest = self._record.bundle_digest
        item = content.RenderItem(item="1", action=OFFER, placement=HERO, values=[_attribute("view.first_name")])
        return {
            "ProposeBundle": content.ProposeBundleRequest(bundle=self._document, why="a test"),
            "ApproveBundle": content.ApproveBundleRequest(digest=digest, why="a test"),
            "RejectBundle": content.RejectBundleRequest(digest=digest, why="a test"),
            "ActivateBundle": content.ActivateBundleRequest(digest=digest, why="a test"),
            "KillSwitch": content.KillSwitchRequest(kind="action", id="wealth_plan", killed=False, why="a test"),
            "GetBundle": content.GetBundleRequest(digest=digest),
            "ListBundles": content.ListBundlesRequest(page_size=10),
            "Render": content.RenderRequest(bundle_digest=digest, locale="en-GB", channel="mobile", items=[item]),
        }

    def _orchestration(self) -> dict[str, Message]:
        told = self._record.decision_id
        [treatment] = self._record.placements[0].treatments
        outcome = orchestration.Outcome(
            outcome_id=uuid4().hex,
            decision_id=told,
            action=OFFER,
            type=1,
            occurred_at_ms=now_ms(),
            tracking_token=treatment.tracking_token,
        )
        return {
            "Decide": steps.decide_request(self._customer.identifier, [HERO], session=uuid4().hex),
            "RecordOutcomes": orchestration.RecordOutcomesRequest(outcomes=[outcome]),
            "GetDecision": orchestration.GetDecisionRequest(decision_id=told),
            "ExplainDecision": orchestration.ExplainDecisionRequest(decision_id=told, audience=3),
            "ReplayDecision": orchestration.ReplayDecisionRequest(decision_id=told),
        }

    def _profile(self, basis: Any) -> dict[str, Message]:
        identifiers = [steps.customer(f"HB-{uuid4().hex}"), steps.Identifier(type="visitor", value=uuid4().hex)]
        events = list(mara.opening(now_ms()))
        return {
            "LinkIdentifiers": profile.LinkIdentifiersRequest(
                request_id=uuid4().hex, identifiers=identifiers, evidence=1
            ),
            "ResolveSubject": profile.ResolveSubjectRequest(identifier=self._customer.identifier),
            "GetView": profile.GetViewRequest(
                basis=basis,
                subject_id=self._customer.subject_id,
                channel="mobile",
                bundle_digest=self._record.bundle_digest,
                now_ms=now_ms(),
            ),
            "EraseSubject": profile.EraseSubjectRequest(subject_id=str(uuid4()), request_id=uuid4().hex),
            "IngestSessionEvents": signals.IngestSessionEventsRequest(
                batch_id=new_id(),
                session=uuid4().hex,
                visitor=uuid4().hex,
                subject_id=self._customer.subject_id,
                channel="mobile",
                app="harbour-app",
                app_version="1.0.0",
                sent_at_ms=now_ms(),
                events=events,
            ),
            "GetActiveSignals": signals.GetActiveSignalsRequest(
                basis=basis, subject_id=self._customer.subject_id, channel="mobile", now_ms=now_ms()
            ),
            **{
                f"{service}/ForgetSubject": made(subject_id=f"s-{uuid4().hex}", request_id=uuid4().hex)
                for service, made in {
                    "assent.signals.v1.SignalsService": signals.ForgetSubjectRequest,
                    "assent.eligibility.v1.EligibilityService": eligibility.ForgetSubjectRequest,
                    "assent.ranking.v1.RankingService": ranking.ForgetSubjectRequest,
                }.items()
            },
        }

    def _choosing(self, basis: Any) -> dict[str, Message]:
        known = self._record
        item = eligibility.ReserveItem(item=f"{HERO}/1/{OFFER}", action=OFFER, channel="mobile")
        common = {
            "decision_id": uuid4().hex,
            "now_ms": now_ms(),
            "bundle_digest": known.bundle_digest,
            "basis": basis,
            "channel": "mobile",
            "view": known.view.fields,
        }
        return {
            "Evaluate": eligibility.EvaluateRequest(
                **common, subject_ids=[known.subject_id], placements=[HERO], signals_fresh=True
            ),
            "GetContactState": eligibility.GetContactStateRequest(
                subject_ids=[known.subject_id],
                now_ms=now_ms(),
                basis=basis,
                channel="mobile",
                bundle_digest=known.bundle_digest,
            ),
            "Reserve": eligibility.ReserveRequest(
                decision_id=uuid4().hex,
                subject_ids=[known.subject_id],
                items=[item],
                now_ms=now_ms(),
                bundle_digest=known.bundle_digest,
            ),
            "Release": eligibility.ReleaseRequest(decision_id=uuid4().hex, items=[item.item]),
            "Rank": ranking.RankRequest(
                **common,
                seed=1,
                arms=dict(known.arms),
                candidates=[ranking.Candidate(action=OFFER, placements=[HERO])],
                placements=[ranking.PlacementRequest(id=HERO, max_items=1)],
            ),
        }


def _attribute(name: str) -> Attribute:
    return Attribute(name=name, value=Value(text="Mara"))
