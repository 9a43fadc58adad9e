"""A real gRPC server on a free port, an issuer of tokens, and a service whose behaviour each test sets."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import time
from types import SimpleNamespace

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit import grpc_client, grpc_server
from servicekit.app import Servicer
from servicekit.auth import TokenVerifier, caller, key_source, public_jwk
from servicekit.calls import Invoker
from servicekit.settings import GrpcSettings

ALL_SCOPES = "profile.resolve profile.ingest profile.rights profile.link"


class Issuer:
    """Signs tokens, and publishes its key in a file."""

    def __init__(self, folder) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [public_jwk(self.key.public_key(), "k1")]}))

    def token(self, scope: str = ALL_SCOPES, **claims) -> str:
        body = {"iss": "bank", "aud": "assent", "sub": "app", "scope": scope, "exp": int(time.time()) + 60, **claims}
        return jwt.encode(body, self.key, "EdDSA", {"kid": "k1"})

    def invoker(self) -> Invoker:
        return Invoker(TokenVerifier(key_source(str(self.jwks)), issuer="bank", audience="assent"), transport="grpc")


class FakeProfile(rpc.ProfileServiceServicer):
    """Answers with who called, or does what the test asks through `resolve`."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closed = asyncio.Event()
        self.failure: Exception | None = None

    async def ResolveSubject(self, request, context):
        if self.failure:
            raise self.failure
        if request.create:
            self.started.set()
            await self.go_on.wait()
        return pb.ResolveSubjectResponse(subject_id=caller().subject)

    async def ExportSubject(self, request, context):
        try:
            for number in range(3):
                yield pb.ExportSubjectResponse(line=f"{caller().subject} {number}")
            if self.failure:
                raise self.failure
            if request.subject_id == "endless":
                while True:
                    yield pb.ExportSubjectResponse(line="x" * 10_000)
        finally:
            self.closed.set()

    async def IngestBankEvents(self, request_iterator, context):
        accepted = 0
        async for request in request_iterator:
            accepted += len(request.events)
        return pb.IngestBankEventsResponse(accepted=accepted)


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def profile():
    return FakeProfile()


@pytest.fixture
def settings():
    return GrpcSettings(max_message_bytes=64 * 1024)


@pytest.fixture
async def server(issuer, profile, settings):
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    async with grpc_server.serve(settings, "profile", servicers, issuer.invoker(), drain_seconds=1) as running:
        yield running


@pytest.fixture
async def connection(server, issuer):
    async with grpc_client.channel(f"127.0.0.1:{server.port}", token=issuer.token) as opened:
        yield opened


@pytest.fixture
def stub(connection):
    return rpc.ProfileServiceStub(connection)


@pytest.fixture
async def bare(server):
    """A channel that presents no token."""
    async with grpc_client.channel(f"127.0.0.1:{server.port}") as opened:
        yield opened


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "tls.crt", tmp_path / "tls.key"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return SimpleNamespace(chain=chain, key=private)
