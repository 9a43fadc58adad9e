"""The whole service as `servicekit.run` serves it: settings, both transports, scopes, the fold, the ledger over the bus."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from assent.consent.v1 import consent_service_pb2 as consent_pb
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceServicer, add_ConsentServiceServicer_to_server
from assent.events.v1.bank_pb2 import Identifier
from assent.events.v1.consent_pb2 import LedgerChange, SubjectErased
from assent.events.v1.envelope_pb2 import Envelope
from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from catalog.digest import bundle_digest, bundle_to_json
from catalog.loading import load_bundle
from profile_service.app import build
from profile_service.settings import Settings
from servicekit import basis, bundles, errors, grpc_client
from servicekit.app import Servicer
from servicekit.auth import FileKeys, ServiceTokenVerifier
from servicekit.calls import Invoker
from servicekit.clock import SystemClock
from servicekit.nats import connect
from servicekit.rpc import server as nats_server
from servicekit.run import serve
from servicekit.status import translated
from servicekit.streams import subject as stream_subject
from servicekit.vkeys import read_vkeys
from testkit.builders import unique
from testkit.waiting import until

from .conftest import ALL, CATALOG, balance, payment, stream_of

pytestmark = pytest.mark.integration


class Consent(ConsentServiceServicer):
    """A ledger that remembers links."""

    def __init__(self) -> None:
        self.links: list[tuple[str, str]] = []

    async def SetSubjectLink(self, request, context):
        self.links.append((request.survivor, request.absorbed))
        return consent_pb.SetSubjectLinkResponse()


@asynccontextmanager
async def running(settings: Settings):
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(build, settings, stop))
    await until(lambda: serving.done() or settings.ready_file.exists(), timeout=30)
    if serving.done():
        await serving
    try:
        yield json.loads(settings.ready_file.read_text())["grpc_port"]
    finally:
        stop.set()
        await serving


@pytest.fixture
async def settings(database, nats_settings, streams, keys, tmp_path) -> Settings:
    return Settings(
        database=(await database("profile")).settings,
        nats=nats_settings("profile"),
        auth={
            "jwks": str(keys.jwks),
            "issuer": keys.issuer,
            "service_key": keys.service_key("profile"),
            "service_keys": keys.service_keys,
        },
        basis_keys=keys.basis_keys,
        identifier_key=keys.identifier_key,
        ready_file=tmp_path / "ready.json",
    )


@pytest.fixture
async def ledger(nats_settings, keys):
    servicer = Consent()
    verifier = ServiceTokenVerifier(
        FileKeys(keys.service_keys), service="consent", callers={"profile": ("consent.link",)}
    )
    async with (
        connect(nats_settings("consent"), "consent") as bus,
        nats_server.serve(
            bus, "consent", [Servicer(add_ConsentServiceServicer_to_server, servicer)],
            invoker=Invoker(verifier, transport="nats", default_deadline_s=5),
        ),
    ):  # fmt: skip
        yield servicer


async def activate(nats_settings) -> None:
    bundle = load_bundle(CATALOG)
    async with connect(nats_settings("content"), "content") as bus:
        bucket = await bus.kv("BUNDLES")
        digest = bundle_digest(bundle)
        await bucket.put(bundles.key_of(digest), bundle_to_json(bundle))
        await bucket.put("active", json.dumps({"digest": digest, "revision": 1, "killed": []}).encode())


def signed_basis(keys, subject: str, members) -> basis.SignedBasis:
    kid = read_vkeys(keys.basis_keys)[0].key_id
    now_us = SystemClock().now_us()
    body = {
        "v": 1, "ledger": basis.ledger_id("harbour"), "epoch": 1, "index": 1, "subject": subject, "members": sorted({subject, *members}),
        "channel": "app", "recipient": "self", "regimes": [], "registry": "sha256:0", "at": now_us, "not_after": now_us + 10**7, "kid": kid,
        "allowed": [{"purpose": "money_insights", "categories": list(ALL), "basis": "consent", "support": 1}], "denied": [],
    }  # fmt: skip
    return basis.sign(body, keys.statement(), kid)


async def test_from_the_bank_to_a_view_over_both_transports(settings, nats_settings, tokens, keys, ledger):
    await activate(nats_settings)
    customer, visitor = unique("customer"), unique("visitor")
    seen = payment("", 30)
    seen.subject.CopyFrom(Identifier(type="visitor", value=visitor))
    async with running(settings) as port, connect(nats_settings("orchestration"), "orchestration") as bus:
        token = tokens("profile.ingest", "profile.link")
        async with grpc_client.channel(f"127.0.0.1:{port}", token=lambda: token) as channel:
            outside = ProfileServiceStub(channel)
            request = pb.IngestBankEventsRequest(events=[balance(customer, 70_000), payment(customer, 1_200), seen])
            answer = await outside.IngestBankEvents(stream_of(request))
            named = [Identifier(type="customer_number", value=customer), Identifier(type="visitor", value=visitor)]
            linked = await outside.LinkIdentifiers(
                pb.LinkIdentifiersRequest(
                    request_id=unique("request-id"), identifiers=named, evidence=pb.LINK_EVIDENCE_LOGIN
                )
            )
            with pytest.raises(errors.Forbidden), translated():
                await outside.GetView(pb.GetViewRequest(subject_id=linked.subject_id, channel="app"))
        inside = ProfileServiceStub(bus.channel("profile", identity=keys.identity("orchestration")))
        who = await inside.ResolveSubject(pb.ResolveSubjectRequest(identifier=named[1]))
        view = pb.GetViewRequest(
            subject_id=who.subject_id, channel="app", attributes=["view.balance", "view.spend_month"]
        )
        signed = signed_basis(keys, who.subject_id, who.members)
        view.basis.body, view.basis.key_id, view.basis.signature = signed.body, signed.key_id, signed.signature

        async def visible():
            found = {one.attribute: one.value.money.amount_minor for one in (await inside.GetView(view)).fields}
            return found if len(found) == 2 and found["view.spend_month"] == 1_230 else None

        assert answer.accepted == 3
        assert ledger.links == [(linked.subject_id, linked.absorbed[0])]
        assert await until(visible, timeout=20) == {"view.balance": 70_000, "view.spend_month": 1_230}
        with pytest.raises(errors.Forbidden):
            await inside.EraseSubject(
                pb.EraseSubjectRequest(subject_id=who.subject_id, request_id=unique("request-id"))
            )
        with pytest.raises(errors.Forbidden):
            await inside.UnlinkIdentifiers(pb.UnlinkIdentifiersRequest())


async def test_what_the_ledger_erased_is_forgotten_here(settings, nats_settings, keys):
    async with running(settings), connect(nats_settings("orchestration"), "orchestration") as bus:
        inside = ProfileServiceStub(bus.channel("profile", identity=keys.identity("orchestration")))
        named = Identifier(type="customer_number", value=unique("customer"))
        made = await inside.ResolveSubject(pb.ResolveSubjectRequest(identifier=named, create=True))
        erased = SubjectErased(change=LedgerChange(subject_id=made.subject_id))
        async with connect(nats_settings("consent"), "consent") as consent:
            fact = Envelope(event_id=unique("erased"), key=made.subject_id, producer="consent", subject_erased=erased)
            await consent.publish(stream_subject("consent", made.subject_id), fact)

        async def gone():
            try:
                await inside.ResolveSubject(pb.ResolveSubjectRequest(identifier=named))
            except errors.NotFound:
                return True
            return False

        assert await until(gone, timeout=10)
