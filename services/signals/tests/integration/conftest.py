"""The service on real servers; its siblings consent and profile are small services of the test's own, over real NATS."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from assent.consent.v1 import basis_pb2
from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceServicer, add_ConsentServiceServicer_to_server
from assent.events.v1.consent_pb2 import ConsentNarrowed, LedgerChange
from assent.events.v1.envelope_pb2 import Envelope
from assent.profile.v1 import profile_service_pb2 as profile
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceServicer, add_ProfileServiceServicer_to_server
from assent.signals.v1 import session_event_pb2
from assent.signals.v1 import signals_service_pb2 as pb
from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceStub
from catalog.digest import bundle_to_json
from catalog.loading import load_bundle
from servicekit import basis, grpc_client, streams
from servicekit.app import Servicer
from servicekit.auth import FileKeys, ServiceTokenVerifier
from servicekit.bundles import digest_of, key_of
from servicekit.calls import Invoker
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from servicekit.rpc import server as nats_server
from servicekit.vkeys import verifier_key
from signals_service.app import build
from signals_service.settings import Settings
from testkit.apps import serving, settings_values

CATALOG = Path(__file__).parents[4] / "examples/harbour-bank/catalog"
EVERYTHING = {
    "assistance": ["behaviour", "interaction", "inferred"],
    "personalization": ["behaviour", "interaction", "inferred"],
}


class Ledger(ConsentServiceServicer):
    """A ledger in memory that signs like the real one: what it allows by subject, and nothing without a record."""

    def __init__(self, keys) -> None:
        self.allowed: dict[str, dict[str, list[str]]] = {}
        self.index = 0
        self.down = False
        self.asked = 0
        self._key = keys.statement()
        self._key_id = verifier_key(keys.ledger, self._key.public_key()).key_id
        self._ledger = basis.ledger_id(keys.ledger)

    def grant(self, subject: str, **purposes: list[str]) -> None:
        self.index += 1
        self.allowed[subject] = purposes or EVERYTHING

    def signed(self, subject: str, channel: str = "mobile", ttl_ms: int = 30_000) -> basis.SignedBasis:
        now_us = time.time_ns() // 1000
        body = {
            "v": 1, "ledger": self._ledger, "epoch": 1, "index": self.index, "subject": subject, "members": [subject],
            "channel": channel, "recipient": "self", "regimes": [], "registry": "sha256:0", "at": now_us,
            "not_after": now_us + ttl_ms * 1000, "kid": self._key_id, "denied": [],
            "allowed": [{"purpose": p, "categories": c} for p, c in sorted(self.allowed.get(subject, {}).items())],
        }  # fmt: skip
        return basis.sign(body, self._key, self._key_id)

    def proof(self, subject: str, channel: str = "mobile") -> basis_pb2.SignedBasis:
        found = self.signed(subject, channel)
        return basis_pb2.SignedBasis(body=found.body, key_id=found.key_id, signature=found.signature)

    async def EvaluateBasis(self, request, context):
        self.asked += 1
        if self.down:
            raise Unavailable(reason="CONSENT_UNAVAILABLE")
        found = self.signed(request.subject_id, request.channel, request.ttl_ms)
        proof = basis_pb2.SignedBasis(body=found.body, key_id=found.key_id, signature=found.signature)
        return consent.EvaluateBasisResponse(basis=proof)


class Profiles(ProfileServiceServicer):
    """Gives each visitor a subject of its own."""

    def __init__(self) -> None:
        self.subjects: dict[str, str] = {}

    async def ResolveSubject(self, request, context):
        assert request.identifier.type == "visitor"
        assert request.create
        subject = self.subjects.setdefault(request.identifier.value, new_id())
        return profile.ResolveSubjectResponse(subject_id=subject, members=[subject])


@asynccontextmanager
async def served(bus, keys, service: str, add, implementation, scopes) -> AsyncIterator[None]:
    verifier = ServiceTokenVerifier(FileKeys(keys.service_keys), service=service, callers={"signals": scopes})
    invoker = Invoker(verifier, transport="nats", default_deadline_s=5)
    async with nats_server.serve(bus, service, [Servicer(add, implementation)], invoker=invoker):
        yield


@pytest.fixture
async def ledger(bus, keys) -> AsyncIterator[Ledger]:
    made = Ledger(keys)
    add = add_ConsentServiceServicer_to_server
    async with served(await bus("consent"), keys, "consent", add, made, ("consent.check",)):
        yield made


@pytest.fixture
async def profiles(bus, keys) -> AsyncIterator[Profiles]:
    made = Profiles()
    add = add_ProfileServiceServicer_to_server
    async with served(await bus("profile"), keys, "profile", add, made, ("profile.resolve",)):
        yield made


@pytest.fixture
async def bundle(bus) -> str:
    document = bundle_to_json(load_bundle(CATALOG))
    bucket = await (await bus("content")).kv("BUNDLES")
    digest = digest_of(document)
    await bucket.put(key_of(digest), document)
    active = {"digest": digest, "killed": [], "revision": 1}
    await bucket.put("active", json.dumps(active).encode())
    return digest


@pytest.fixture
async def signals_database(database):
    return await database("signals")


@pytest.fixture
def settings(signals_database, nats_settings, keys, tmp_path) -> Settings:
    values = settings_values("signals", signals_database, nats_settings("signals"), keys, tmp_path)
    return Settings(**values, basis_keys=keys.basis_keys)


@pytest.fixture
async def address(settings, streams, bundle, ledger, profiles) -> AsyncIterator[str]:
    async with serving(build, settings) as found:
        yield found


@asynccontextmanager
async def stub_of(address: str, tokens) -> AsyncIterator[SignalsServiceStub]:
    token = tokens("signals.ingest", "signals.read", "signals.forget")
    async with AsyncExitStack() as opened:
        yield SignalsServiceStub(
            await opened.enter_async_context(grpc_client.channel(address, token=partial(str, token)))
        )


@pytest.fixture
async def stub(address, tokens) -> AsyncIterator[SignalsServiceStub]:
    async with stub_of(address, tokens) as found:
        yield found


def a_uuid() -> str:
    return str(uuid.uuid4())


@dataclass
class App:
    """A channel app with one session."""

    session: str = field(default_factory=lambda: f"session-{secrets.token_hex(8)}")
    visitor: str = field(default_factory=lambda: f"visitor-{secrets.token_hex(8)}")
    subject: str = field(default_factory=a_uuid)
    seq: int = 0
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def event(self, kind: str, *, after_ms: int = 10, **fields) -> session_event_pb2.SessionEvent:
        self.now_ms += after_ms
        event = session_event_pb2.SessionEvent(
            id=new_id(), seq=self.seq, occurred_at_ms=self.now_ms, type=kind, **fields
        )
        self.seq += 1
        return event

    def batch(self, *events: session_event_pb2.SessionEvent, **changed) -> pb.IngestSessionEventsRequest:
        given = {
            "batch_id": new_id(), "session": self.session, "visitor": self.visitor, "subject_id": self.subject,
            "channel": "mobile", "app": "harbour", "app_version": "1.2.3", "sent_at_ms": self.now_ms, "events": events,
        }  # fmt: skip
        return pb.IngestSessionEventsRequest(**{**given, **changed})

    def failed_upload(self, **fields) -> session_event_pb2.SessionEvent:
        return self.event("upload_failed", flow="kyc", step="document_upload", reason="blurry", **fields)


@pytest.fixture
def app(ledger) -> App:
    made = App()
    ledger.grant(made.subject)
    return made


@pytest.fixture
async def live(bus):
    """`live[subject]` collects what came over core NATS."""
    heard: list[Envelope] = []

    async def hear(message) -> None:
        heard.append(Envelope.FromString(message.data))

    nc = (await bus("orchestration")).nc
    await nc.subscribe("live.signal.>", cb=hear)
    await nc.flush()
    return heard


async def withdraw(bus, ledger: Ledger, subject: str, **left: list[str]) -> None:
    """The subject takes back everything but `left`; the ledger says so on CONSENT."""
    ledger.index += 1
    ledger.allowed[subject] = left
    change = LedgerChange(ledger="harbour", epoch=1, index=ledger.index, subject_id=subject)
    envelope = Envelope(
        event_id=f"harbour-{ledger.index}-{subject}", key=subject, producer="consent",
        consent_narrowed=ConsentNarrowed(change=change),
    )  # fmt: skip
    await (await bus("consent")).publish(streams.subject("consent", subject), envelope)


def environment(settings: Settings) -> dict[str, str]:
    """The settings as variables of a process."""
    auth = settings.auth
    password = settings.nats.password
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGNALS_")},
        "SIGNALS_DATABASE__DSN": settings.database.dsn,
        "SIGNALS_NATS__SERVERS": json.dumps(list(settings.nats.servers)),
        "SIGNALS_NATS__USER": settings.nats.user or "",
        "SIGNALS_NATS__PASSWORD": password.get_secret_value() if password else "",
        "SIGNALS_AUTH__JWKS": auth.jwks,
        "SIGNALS_AUTH__ISSUER": auth.issuer,
        "SIGNALS_AUTH__SERVICE_KEY": str(auth.service_key),
        "SIGNALS_AUTH__SERVICE_KEYS": str(auth.service_keys),
        "SIGNALS_BASIS_KEYS": str(settings.basis_keys),
        "SIGNALS_READY_FILE": str(settings.ready_file),
    }


def process(settings: Settings) -> subprocess.Popen[bytes]:
    """The service as a process of its own, to be killed."""
    assert settings.ready_file is not None
    settings.ready_file.unlink(missing_ok=True)
    return subprocess.Popen([sys.executable, "-m", "signals_service"], env=environment(settings))


@pytest.fixture
async def stored(signals_database):
    """`await stored("select ..", value)` asks the service's own tables."""
    connection = await asyncpg.connect(signals_database.dsn, server_settings={"search_path": "signals"})
    yield connection.fetch
    await connection.close()
