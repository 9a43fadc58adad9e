"""A real gRPC server on a free port, an issuer of tokens, and a service whose behaviour each test sets."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import grpc
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
from servicekit.settings import GrpcSettings, NatsSettings

TINY = Path(__file__).with_name("tiny_service.py")
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


class Process:
    """One run of the tiny service."""

    def __init__(self, folder: Path, issuer) -> None:
        self.folder = folder
        self._token = issuer.token
        pem = issuer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "service.pem").write_bytes(pem)
        self.variables = {
            "TINY_DATABASE__DSN": "postgresql://nowhere",
            "TINY_NATS__SERVERS": '["nats://nowhere"]',
            "TINY_AUTH__JWKS": str(issuer.jwks),
            "TINY_AUTH__ISSUER": "bank",
            "TINY_AUTH__SERVICE_KEY": str(folder / "service.pem"),
            "TINY_AUTH__SERVICE_KEYS": str(issuer.jwks),
            "TINY_DRAIN_SECONDS": "6",
            "TINY_READY_FILE": str(folder / "ready.json"),
            "TINY_FOLDER": str(folder),
        }
        self.channel: grpc.aio.Channel | None = None

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, TINY, *arguments, env={**os.environ, **self.variables}, stderr=log
        )
        log.close()
        return self._process

    def ready(self) -> bool:
        return (self.folder / "ready.json").exists()

    def open(self):
        port = json.loads((self.folder / "ready.json").read_text())["grpc_port"]
        return grpc_client.channel(f"127.0.0.1:{port}", token=lambda: self._token("profile.resolve"))

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines()]

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        async with asyncio.timeout(15):
            return await self._process.wait()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def tiny(tmp_path, issuer):
    process = Process(tmp_path, issuer)
    yield process
    await process.kill()


class Nats:
    """A NATS server on one port and one folder, over several lives."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._folder = folder
        self.settings = NatsSettings(servers=(f"nats://127.0.0.1:{self.port}",))

    async def start(self) -> None:
        program = shutil.which("nats-server") or str(Path(sys.executable).with_name("nats-server"))
        arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        nowhere = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(program, *arguments, stdout=nowhere, stderr=nowhere)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@pytest.fixture
async def nats(tmp_path):
    server = Nats(tmp_path / "nats")
    await server.start()
    yield server
    await server.kill()
