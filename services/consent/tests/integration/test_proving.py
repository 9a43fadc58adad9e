"""From a choice to a proof that anybody can check offline, and from a restored backup to a ledger that does not write."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager, suppress

import asyncpg
import grpc
import pytest
from service_world import ORIGIN, World

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2 as consent_pb
from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from consent_service.app import build
from consent_service.signing import app as signing
from consent_service.signing.client import SignerClient
from consent_service.verifying import Trust
from consent_service.verifying_database import verify_database
from servicekit import provision
from servicekit.errors import AssentError
from servicekit.run import serve
from testkit.apps import serving
from testkit.builders import unique
from testkit.waiting import until
from tlog import Verifier, format_vkey, verify_consistency, verify_proof

pytestmark = pytest.mark.integration
SCOPES = ("consent.choose", "consent.audit")


@pytest.fixture
async def world(database, databases, nats_settings, streams, keys, tmp_path):
    store = await databases.store(provision.KEYS)
    return World(await database("consent"), store, nats_settings, keys, unique("ledger"), tmp_path)


class Outside:
    """A channel app and an auditor, over gRPC."""

    def __init__(self, channel, token):
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._consent, self._audit = ConsentServiceStub(channel), AuditServiceStub(channel)

    async def withdraw(self, within=20):
        """One entry: a denial of everything."""
        request = consent_pb.WithdrawConsentRequest(request_id=uuid.uuid4().hex, subject_id=str(uuid.uuid4()), all=True)
        written = await self._consent.WithdrawConsent(request, metadata=self._metadata, timeout=within)
        return written.result

    async def checkpoint(self, **which):
        return await self._audit.GetCheckpoint(pb.GetCheckpointRequest(**which), metadata=self._metadata)

    async def proof(self, **of):
        """Once a checkpoint covers it."""
        return await until(lambda: self._try(pb.GetProofRequest(**of)), timeout=5)

    async def _try(self, request):
        try:
            return await self._audit.GetProof(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise


@asynccontextmanager
async def running(world, tokens):
    async with (
        serving(signing.build, world.signer_settings()),
        serving(build, world.settings()) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Outside(channel, tokens(*SCOPES))


async def test_a_choice_is_proved_offline_within_a_second_of_its_answer(world, tokens, keys):
    log_key = Verifier(keys.checkpoint_keys.read_text().strip())
    vkey = signing.identity(world.signer_settings()).verifiers[0]
    assert (log_key.vkey.key, vkey.name) == (vkey.vkey.key, ORIGIN)
    async with running(world, tokens) as outside:
        first, second = await outside.withdraw(), await outside.withdraw()
        before = await outside.proof(inclusion=pb.GetProofRequest.Inclusion(index=first.position.index))
        proof = await outside.proof(inclusion=pb.GetProofRequest.Inclusion(index=second.position.index))
        await outside.withdraw()
        third = second.position.index + 2
        later = await until(lambda: reached(outside, third), timeout=5)
        grown = await outside.proof(consistency=pb.GetProofRequest.Consistency(size1=proof.size, size2=later.size))
        earlier = await outside.checkpoint(at_least=proof.size)

    assert proof.leaf_hash == second.entries[0].leaf_hash
    assert verify_proof(proof.tlog_proof, proof.leaf_hash, vkey, ORIGIN).size == proof.size
    assert verify_proof(before.tlog_proof, first.entries[0].leaf_hash, vkey, ORIGIN).size >= first.position.index + 1
    verify_consistency(proof.size, earlier.root, later.size, later.root, list(grown.hashes))


async def reached(outside, size):
    latest = await outside.checkpoint()
    return latest if latest.size >= size else None


async def test_the_whole_database_verifies_with_the_signers_key(world, tokens):
    async with running(world, tokens) as outside:
        for _ in range(5):
            last = await outside.withdraw()
        signed = await until(lambda: reached(outside, last.position.index + 1), timeout=5)
    trust = Trust(vkey_of(world), ORIGIN, (signed.note,))

    report = await asyncio.to_thread(verify_database, world.database.dsn_of("consent_auditor"), trust, processes=1)

    assert report.signed == report.end == signed.size


def vkey_of(world):
    return format_vkey(signing.identity(world.signer_settings()).signers[0].vkey)


async def test_a_restored_backup_takes_no_write(world, tokens, databases, bus, keys):
    async with running(world, tokens) as outside:
        await outside.withdraw()
    await copied(world.database, "backup")
    async with running(world, tokens) as outside:
        last = await outside.withdraw()
        await until(lambda: reached(outside, last.position.index + 1), timeout=5)
    await restored(world.database, "backup")
    client = SignerClient(await bus("consent"), keys.identity("consent"), timeout_s=5)

    async with (
        forked(world),
        serving(build, world.settings()) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await until(lambda: says(client, "FORK"), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Outside(channel, tokens(*SCOPES)).withdraw(within=3)
        size = await size_of(world.database)

    assert refused.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert size <= last.position.index


@asynccontextmanager
async def forked(world):
    """The signer as a process that never becomes ready."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(signing.build, world.signer_settings(), stop))
    try:
        yield
    finally:
        stop.set()
        with suppress(AssentError):
            await task


async def says(client, code):
    try:
        await client.confirm(1, bytes(32), 1)
    except AssentError as error:
        return error.code == code


async def size_of(database):
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        return await connection.fetchval("select size from consent.log_head")
    finally:
        await connection.close()


async def copied(database, suffix):
    """A backup: a copy of the database beside it."""
    await _administer(database, f'create database "{database.name}_{suffix}" template "{database.name}"')


async def restored(database, suffix):
    """Put the copy in the database's place."""
    await _administer(
        database,
        f'alter database "{database.name}" rename to "{database.name}_lost"',
        f'alter database "{database.name}_{suffix}" rename to "{database.name}"',
    )
    # Rights on a database are not copied with it.
    for role in database.dsns:
        await _administer(
            database,
            f'grant connect on database "{database.name}" to {role}',
            f'alter role {role} in database "{database.name}" set search_path = consent',
        )


async def _administer(database, *statements):
    connection = await asyncpg.connect(database.admin_dsn, database="postgres")
    try:
        for statement in statements:
            await until(lambda: _done(connection, statement), timeout=10)  # noqa: B023  it is awaited here
    finally:
        await connection.close()


async def _done(connection, statement):
    """Whether it ran: a database can be copied once its last session has ended."""
    try:
        await connection.execute(statement)
    except asyncpg.ObjectInUseError:
        return False
    return True
