"""The service as siblings and channel apps meet it: over NATS and gRPC, with its events."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from contextlib import AsyncExitStack

import asyncpg
import grpc
import pytest
from consent_fakes import WORDS, WORDS_DE, a_document, ref
from rights_fakes import dump
from service_world import World

from assent.catalog.v1 import value_pb2
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2_grpc as stubs
from assent.consent.v1 import types_pb2
from assent.events.v1.envelope_pb2 import Envelope
from consent_service import requests
from consent_service.app import build
from consent_service.domain import commitments
from consent_service.domain.leaf import parse
from consent_service.signing import app as signing
from servicekit import basis, provision, vkeys
from servicekit.basis import canonical
from servicekit.clock import SystemClock
from servicekit.errors import FailedPrecondition, Forbidden, Invalid
from servicekit.partitions import partition_of
from testkit.apps import serving
from testkit.builders import unique
from testkit.waiting import until
from tlog import leaf_hash

pytestmark = pytest.mark.integration
TRANSACTION = value_pb2.DATA_CATEGORY_TRANSACTION


def a_request_id() -> str:
    return uuid.uuid4().hex


def a_subject() -> str:
    return str(uuid.uuid4())


def a_scope(**changed) -> types_pb2.Scope:
    return types_pb2.Scope(**{"purpose": "offers", "channels": ["mobile"], "categories": [TRANSACTION], **changed})


def a_choice(**changed) -> pb.RecordChoiceRequest:
    return pb.RecordChoiceRequest(
        **{
            "request_id": a_request_id(),
            "subject_id": a_subject(),
            "items": [pb.Choice(kind=types_pb2.CHOICE_KIND_GRANT, scope=a_scope())],
            "notice": types_pb2.NoticeRef(id="choices", version=1, locale="en", sha256=hashlib.sha256(WORDS).digest()),
            "actor": types_pb2.Actor(type=types_pb2.ACTOR_TYPE_CUSTOMER),
            **changed,
        }
    )


@pytest.fixture
def name():
    """A ledger of its own: event ids are those of the ledger, and the stream drops repeats."""
    return unique("ledger")


@pytest.fixture
async def signer(world):
    """The signer's process, in this one."""
    async with serving(signing.build, world.signer_settings()):
        yield


@pytest.fixture
async def world(database, databases, nats_settings, streams, keys, name, tmp_path):
    """Where the service runs: its databases and its settings."""
    return World(await database("consent"), await databases.store(provision.KEYS), nats_settings, keys, name, tmp_path)


@pytest.fixture
async def running(world, signer):
    """The whole service, as `python -m consent_service serve` runs it; its gRPC address."""
    async with serving(build, world.settings()) as address:
        yield address


@pytest.fixture
async def sibling(running, bus, keys):
    """Stubs of a sibling: `sibling("orchestration")`."""

    async def connected(service):
        channel = (await bus(service)).channel("consent", identity=keys.identity(service))
        return stubs.ConsentServiceStub(channel), stubs.RegistryServiceStub(channel)

    return connected


@pytest.fixture
async def registry(sibling):
    """The example registry, published by content."""
    _, stub = await sibling("content")
    return await publish(stub)


async def publish(stub):
    """The example registry."""
    notices = [
        pb.Notice(id="choices", version=1, locale=locale, bytes=words)
        for locale, words in (("en", WORDS), ("de", WORDS_DE))
    ]
    request = pb.PublishRegistryRequest(
        request_id=a_request_id(), document=canonical(a_document()), notices=notices, approvers=["one", "two"]
    )
    return await stub.PublishRegistry(request)


@pytest.fixture
async def outside(running, tokens):
    """A channel app over gRPC, with its token."""
    metadata = (("authorization", f"Bearer {tokens('consent.choose', 'consent.check', 'consent.audit')}"),)
    async with grpc.aio.insecure_channel(running) as channel:
        stub = stubs.ConsentServiceStub(channel)
        yield lambda method, request: getattr(stub, method)(request, metadata=metadata)


async def test_a_choice_over_grpc_is_in_the_basis_over_nats(outside, sibling, registry, keys, name):
    orchestration, _ = await sibling("orchestration")
    request = a_choice()
    subject = request.subject_id

    recorded = await outside("RecordChoice", request)
    answered = await orchestration.EvaluateBasis(
        pb.EvaluateBasisRequest(subject_id=subject, channel="mobile", min_token=recorded.result.token)
    )

    signed = basis.SignedBasis(answered.basis.body, answered.basis.key_id, answered.basis.signature)
    trusted = basis.public_keys([vkeys.verifier_key(name, keys.statement().public_key())])
    verifier = basis.Verifier(trusted, ledger=basis.ledger_id(name))
    found = verifier.verify(signed, now_us=SystemClock().now_us(), subject=subject, channel="mobile")
    assert ("offers", "transaction") in found.pairs
    assert found.registry == registry.digest
    assert answered.position.index >= recorded.result.position.index


async def test_a_withdrawal_is_seen_by_the_next_check(outside, sibling, registry):
    orchestration, _ = await sibling("orchestration")
    request = a_choice()
    await outside("RecordChoice", request)

    withdrawal = pb.WithdrawConsentRequest(request_id=a_request_id(), subject_id=request.subject_id, all=True)
    taken = await outside("WithdrawConsent", withdrawal)
    key = types_pb2.Key(purpose="offers", channel="mobile", category=TRANSACTION)
    checked = await orchestration.CheckConsent(pb.CheckConsentRequest(subject_id=request.subject_id, keys=[key]))
    shown = await outside("GetConsentState", pb.GetConsentStateRequest(subject_id=request.subject_id))

    assert list(taken.denied) == ["advice", "offers", "offers.credit", "sharing"]
    [verdict] = checked.verdicts
    assert (verdict.allowed, verdict.state, verdict.reason) == (False, types_pb2.CONSENT_STATE_WITHDRAWN, "WITHDRAWN")
    assert verdict.support == taken.result.position.index
    assert {s.kind for s in shown.statements} == {types_pb2.CHOICE_KIND_GRANT, types_pb2.CHOICE_KIND_WITHDRAW}


async def test_changes_are_announced_with_the_previous_index_of_their_partition(outside, sibling, registry, bus, name):
    request = a_choice()
    subject = request.subject_id
    granted = await outside("RecordChoice", request)
    withdrawal = pb.WithdrawConsentRequest(request_id=a_request_id(), subject_id=subject, all=True)
    taken = await outside("WithdrawConsent", withdrawal)

    where = f"evt.consent.{partition_of(subject):02d}"
    reader = (await bus("orchestration")).js
    messages = []

    async def both():
        stream = await reader.stream_info("CONSENT")
        messages.clear()
        if not stream.state.messages:
            return False
        for sequence in range(stream.state.first_seq, stream.state.last_seq + 1):
            message = await reader.get_msg("CONSENT", sequence)
            envelope = Envelope.FromString(message.data)
            if message.subject == where and envelope.key == subject:
                messages.append(envelope)
        return len(messages) == 2

    await until(both)

    widened, narrowed = messages
    assert widened.event_id == f"{basis.ledger_id(name)}:{granted.result.position.index}"
    assert widened.consent_widened.change.subject_id == subject
    assert narrowed.consent_narrowed.change.index == taken.result.position.index
    assert narrowed.consent_narrowed.change.previous_index == granted.result.position.index


async def test_changes_are_watched_over_grpc_until_the_replica_drains(world, signer, tokens, bus, keys):
    metadata = (("authorization", f"Bearer {tokens('consent.choose', 'consent.audit')}"),)
    async with AsyncExitStack() as opened:
        async with serving(build, world.settings()) as address:
            channel = (await bus("content")).channel("consent", identity=keys.identity("content"))
            await publish(stubs.RegistryServiceStub(channel))
            stub = stubs.ConsentServiceStub(await opened.enter_async_context(grpc.aio.insecure_channel(address)))
            request = a_choice()
            recorded = (await stub.RecordChoice(request, metadata=metadata)).result.position
            stream = stub.WatchConsents(pb.WatchConsentsRequest(), metadata=metadata, timeout=30)

            messages = aiter(stream)
            first, head = await anext(messages), await anext(messages)
            taken = await stub.WithdrawConsent(
                pb.WithdrawConsentRequest(request_id=a_request_id(), subject_id=request.subject_id, all=True),
                metadata=metadata,
            )
            live = [await anext(messages)]
            while live[-1].HasField("head"):
                live.append(await anext(messages))

        left = [message.WhichOneof("message") async for message in messages]

    change = first.consent_widened
    assert (change.ledger, change.index, change.subject_id) == (recorded.ledger, recorded.index, request.subject_id)
    assert head.head == recorded
    narrowed = live[-1].consent_narrowed
    assert (narrowed.index, narrowed.previous_index) == (taken.result.position.index, recorded.index)
    assert set(left) <= {"head"}
    assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("scope", "changed", "code"),
    [
        ("consent.choose", {}, grpc.StatusCode.PERMISSION_DENIED),
        ("consent.audit", {"partitions": [64]}, grpc.StatusCode.INVALID_ARGUMENT),
        ("consent.audit", {"after": types_pb2.Position(ledger="no")}, grpc.StatusCode.INVALID_ARGUMENT),
        ("consent.audit", {"after": types_pb2.Position(ledger="ab" * 16)}, grpc.StatusCode.FAILED_PRECONDITION),
        ("consent.audit", {"after": types_pb2.Position(ledger="ab" * 16, epoch=(1 << 64) - 1)}, "FAILED_PRECONDITION"),
    ],
)
async def test_who_may_not_watch_or_asks_for_no_place_is_refused(running, registry, tokens, scope, changed, code):
    metadata = (("authorization", f"Bearer {tokens(scope)}"),)
    async with grpc.aio.insecure_channel(running) as channel:
        stream = stubs.ConsentServiceStub(channel).WatchConsents(
            pb.WatchConsentsRequest(**changed), metadata=metadata, timeout=10
        )
        with pytest.raises(grpc.RpcError):
            await anext(aiter(stream))

        assert (await stream.code()).name == getattr(code, "name", code)


async def test_profile_links_and_nobody_else(sibling, registry):
    profile, _ = await sibling("profile")
    orchestration, _ = await sibling("orchestration")
    request = pb.SetSubjectLinkRequest(
        request_id=a_request_id(), survivor=a_subject(), absorbed=a_subject(), linked=True
    )

    linked = await profile.SetSubjectLink(request)

    assert linked.result.resolved_subject == request.survivor
    with pytest.raises(Forbidden):
        await orchestration.SetSubjectLink(request)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("request_id", {"request_id": "short"}),
        ("subject_id", {"subject_id": "with blanks"}),
        ("items", {"items": []}),
        ("items[0].kind", {"items": [pb.Choice(kind=types_pb2.CHOICE_KIND_WITHDRAW, scope=a_scope())]}),
        ("items[0].kind", {"items": [pb.Choice(kind=99, scope=a_scope())]}),
        ("items[0].scope.purpose", {"items": [pb.Choice(kind=1, scope=a_scope(purpose="No"))]}),
        ("items[0].scope.channels", {"items": [pb.Choice(kind=1, scope=a_scope(channels=[]))]}),
        ("items[0].scope.categories[0]", {"items": [pb.Choice(kind=1, scope=a_scope(categories=[77]))]}),
        ("notice.sha256", {"notice": types_pb2.NoticeRef(id="choices", version=1, locale="en", sha256=b"x")}),
        ("actor.type", {"actor": types_pb2.Actor(type=42)}),
        ("regimes[0]", {"regimes": ["\u202e"]}),
    ],
)
def test_a_bad_field_is_named(field, changed):
    with pytest.raises(Invalid) as caught:
        requests.record_choice(a_choice(**changed))

    assert caught.value.field == field


async def test_a_persons_own_words_are_shown_only_as_evidence(outside, registry, world, running, tokens, keys):
    said = types_pb2.Evidence(
        method="form", attachment_refs=["scan:7", "scan:2"], free_text="Call my brother Canary Jones."
    )
    request = a_choice(evidence=said)
    asked = pb.ListConsentEventsRequest(subject_id=request.subject_id)

    recorded = await outside("RecordChoice", request)
    plain = await outside("ListConsentEvents", asked)
    asked.with_evidence = True
    metadata = (("authorization", f"Bearer {tokens('consent.audit', 'consent.evidence')}"),)
    async with grpc.aio.insecure_channel(running) as channel:
        opened = await stubs.ConsentServiceStub(channel).ListConsentEvents(asked, metadata=metadata)

    assert not plain.events[0].HasField("evidence")
    assert opened.events[0].evidence == said
    dumped = dump(world.database.admin_dsn)
    assert b"Canary".hex() not in dumped
    assert "Canary" not in dumped + str(plain) + str(recorded)
    assert "scan:" not in dumped


async def test_a_registry_that_takes_something_back_is_refused(sibling, registry):
    _, content = await sibling("content")
    document = canonical(a_document(purposes=[p for p in a_document()["purposes"] if p["id"] != "fraud"]))

    with pytest.raises(FailedPrecondition) as caught:
        await content.PublishRegistry(pb.PublishRegistryRequest(request_id=a_request_id(), document=document))
    shown = await content.GetRegistry(
        pb.GetRegistryRequest(notice=types_pb2.NoticeRef(id="choices", version=1, locale="de"))
    )

    assert caught.value.code == "PURPOSE_REMOVED"
    assert (shown.digest, shown.notice.bytes) == (registry.digest, WORDS_DE)
    assert ref("de").sha256 == hashlib.sha256(shown.notice.bytes).hexdigest()


async def test_a_grant_an_objection_and_its_lifting_over_grpc(outside, registry):
    subject = a_subject()
    common = {"subject_id": subject, "actor": types_pb2.Actor(type=types_pb2.ACTOR_TYPE_CUSTOMER)}
    evidence = types_pb2.Evidence(method="toggle")
    key = types_pb2.Key(purpose="offers", channel="mobile", category=TRANSACTION)

    async def verdict():
        [found] = (await outside("CheckConsent", pb.CheckConsentRequest(subject_id=subject, keys=[key]))).verdicts
        return found

    granted = await outside(
        "GrantConsent",
        pb.GrantConsentRequest(
            request_id=a_request_id(),
            scopes=[a_scope(), a_scope(channels=["web"])],
            notice=a_choice().notice,
            **common,
        ),
    )
    objection = {"kind": types_pb2.CHOICE_KIND_OBJECT, "purposes": pb.PurposeList(ids=["offers"]), **common}
    objected = await outside(
        "RecordObjection", pb.RecordObjectionRequest(request_id=a_request_id(), on=True, **objection)
    )
    denied = await verdict()
    await outside(
        "RecordObjection",
        pb.RecordObjectionRequest(request_id=a_request_id(), on=False, evidence=evidence, **objection),
    )

    assert granted.result.reached == types_pb2.WAIT_FOR_COMMITTED
    assert granted.result.receipt.key_id == registry.result.receipt.key_id
    assert [entry.kind for entry in granted.result.entries] == [types_pb2.CHOICE_KIND_GRANT] * 2
    assert list(objected.denied) == ["offers", "offers.credit"]
    assert (denied.allowed, denied.state, denied.reason) == (False, types_pb2.CONSENT_STATE_OBJECTED, "OBJECTED")
    assert denied.support == objected.result.position.index
    assert (await verdict()).reason == "GRANTED"


async def test_a_signal_over_grpc_says_what_to_show(outside, registry):
    request = pb.RecordOptOutSignalRequest(request_id=a_request_id(), subject_id=a_subject(), signal="GPC", on=True)

    answered = await outside("RecordOptOutSignal", request)

    assert answered.display_status == types_pb2.DISPLAY_STATUS_NOT_APPLICABLE
    assert not answered.result.entries


async def test_who_acted_is_shown_only_to_whom_may_see_evidence(running, tokens, outside, registry):
    actor = types_pb2.Actor(type=types_pb2.ACTOR_TYPE_AGENT, id="agent-7")
    request = a_choice(actor=actor, evidence=types_pb2.Evidence(method="toggle", session_ref="session-1"))
    await outside("RecordChoice", request)
    asked = pb.ListConsentEventsRequest(subject_id=request.subject_id)
    more = pb.ListConsentEventsRequest(subject_id=request.subject_id, with_evidence=True)

    listed = await outside("ListConsentEvents", asked)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await outside("ListConsentEvents", more)
    metadata = (("authorization", f"Bearer {tokens('consent.audit', 'consent.evidence')}"),)
    async with grpc.aio.insecure_channel(running) as channel:
        opened = await stubs.ConsentServiceStub(channel).ListConsentEvents(more, metadata=metadata)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    [event], [whole] = listed.events, opened.events
    assert (event.kind, event.statement.scope.purpose) == (types_pb2.CHOICE_KIND_GRANT, "offers")
    assert (event.actor.id, event.HasField("evidence")) == ("", False)
    assert "agent-7" not in str(listed)
    assert (whole.actor.id, whole.evidence.session_ref) == ("agent-7", "session-1")


async def test_a_receipt_opens_its_leaves_and_names_the_statement_key(outside, registry, keys, name):
    recorded = await outside("RecordChoice", a_choice())

    receipt = recorded.result.receipt
    trusted = vkeys.verifier_key(name, keys.statement().public_key())
    trusted.public().verify(receipt.signature, b"assent/receipt/v1\x00" + receipt.body)
    body = json.loads(receipt.body)
    [entry] = body["entries"]
    leaf, salt = base64.b64decode(entry["leaf"]), base64.b64decode(entry["salt"])
    assert receipt.key_id == trusted.key_id == body["kid"]
    assert (body["index"], body["ledger"]) == (recorded.result.position.index, basis.ledger_id(name))
    assert canonical(body) == receipt.body
    assert leaf_hash(leaf) == recorded.result.entries[0].leaf_hash
    assert commitments.public_commitment(salt, entry["pub"].encode()) == parse(leaf).c_pub
    assert json.loads(entry["pub"])["kind"] == "GRANT"


async def test_a_write_may_wait_for_a_checkpoint_that_covers_it(outside, registry, world):
    recorded = await outside("RecordChoice", a_choice(wait_for=types_pb2.WAIT_FOR_CHECKPOINTED))

    assert recorded.result.reached == types_pb2.WAIT_FOR_CHECKPOINTED
    connection = await asyncpg.connect(
        world.database.dsn_of("consent_reader"), server_settings={"search_path": "consent"}
    )
    size = await connection.fetchval("select max(size) from checkpoint")
    await connection.close()
    assert size > recorded.result.position.index


async def test_what_did_not_come_into_a_checkpoint_in_time_is_stored_all_the_same(running, registry, tokens):
    async with grpc.aio.insecure_channel(running) as channel:
        metadata = (("authorization", f"Bearer {tokens('consent.choose')}"),)
        request = a_choice(wait_for=types_pb2.WAIT_FOR_CHECKPOINTED)
        recorded = await stubs.ConsentServiceStub(channel).RecordChoice(request, metadata=metadata, timeout=0.15)

    assert recorded.result.reached in (types_pb2.WAIT_FOR_COMMITTED, types_pb2.WAIT_FOR_CHECKPOINTED)


async def test_a_replica_that_does_not_write_forwards_to_the_one_that_does(running, world, registry, tokens):
    metadata = (("authorization", f"Bearer {tokens('consent.choose', 'consent.check')}"),)
    async with serving(build, world.settings("b")) as other, grpc.aio.insecure_channel(other) as channel:
        stub, request = stubs.ConsentServiceStub(channel), a_choice()
        recorded = await stub.RecordChoice(request, metadata=metadata)
        again = await stub.RecordChoice(request, metadata=metadata)
        key = types_pb2.Key(purpose="offers", channel="mobile", category=TRANSACTION)
        query = pb.CheckConsentRequest(subject_id=request.subject_id, keys=[key], min_token=recorded.result.token)
        checked = await stub.CheckConsent(query, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RecordChoice(a_choice(subject_id="with blanks"), metadata=metadata)

    assert (recorded.result.position.epoch, again.result.replayed) == (1, True)
    assert again.result.receipt == recorded.result.receipt
    assert checked.verdicts[0].reason == "GRANTED"
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_without_a_writer_a_write_says_so_at_once_and_checks_go_on(running, registry, sibling, world, tokens):
    orchestration, _ = await sibling("orchestration")
    metadata = (("authorization", f"Bearer {tokens('consent.choose')}"),)
    readers = {"writer": {}, "keys": {}}
    async with (
        serving(build, world.settings("reader", **readers)) as other,
        grpc.aio.insecure_channel(other) as channel,
    ):
        stub = stubs.ConsentServiceStub(channel)
        await stub.RecordChoice(a_choice(), metadata=metadata)
        await fence(world)

        async def refused():
            try:
                await stub.RecordChoice(a_choice(), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return "NO_WRITER" in str(error.trailing_metadata()) or error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await until(refused)
        key = types_pb2.Key(purpose="offers", channel="mobile", category=TRANSACTION)
        checked = await orchestration.CheckConsent(pb.CheckConsentRequest(subject_id=a_subject(), keys=[key]))
        assert checked.verdicts[0].reason == "NO_RECORD"


async def fence(world):
    """Take the place of the writer for ever: its role may not log in any more, and its sessions end."""
    connection = await asyncpg.connect(world.database.admin_dsn)
    name = world.database.name
    try:
        await connection.execute(f'revoke connect on database "{name}" from consent_writer')
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'consent_writer' and datname = $1",
            name,
        )
    finally:
        await connection.close()
