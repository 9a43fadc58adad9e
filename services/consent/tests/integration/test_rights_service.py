"""Rights as officers meet them: over gRPC with their own tokens, at any replica, while the writer does what follows."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from contextlib import suppress

import asyncpg
import grpc
import pytest
from click.testing import CliRunner
from consent_fakes import WORDS, WORDS_DE, a_document
from nats.js.errors import NotFoundError as NatsNotFound
from rights_fakes import dump
from service_world import World

from assent.catalog.v1 import value_pb2
from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import rights_service_pb2 as pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub, RegistryServiceStub
from assent.consent.v1.rights_service_pb2_grpc import RightsServiceStub
from assent.events.v1.envelope_pb2 import Envelope
from consent_service.app import build
from consent_service.ledger_commands import ledger
from consent_service.rights import certificate
from consent_service.signing import app as signing
from servicekit import provision
from servicekit.basis import canonical
from servicekit.collecting import collecting
from servicekit.errors import FailedPrecondition, Forbidden, Invalid, NotFound
from servicekit.status import translated
from testkit.apps import serving
from testkit.builders import unique
from testkit.waiting import until

pytestmark = pytest.mark.integration
RIGHTS, APPROVE = "consent.rights", "consent.rights.approve"
OBJECTED = pb.ERASURE_GROUND_OBJECTED


@pytest.fixture
def name():
    return unique("ledger")


@pytest.fixture
async def world(database, databases, nats_settings, streams, keys, name, tmp_path):
    return World(await database("consent"), await databases.store(provision.KEYS), nats_settings, keys, name, tmp_path)


@pytest.fixture
async def replicas(world):
    """The writer and a sibling that is not; the signer beside them."""
    async with (
        serving(signing.build, world.signer_settings()),
        serving(build, world.settings("a")) as one,
        serving(build, world.settings("b")) as two,
    ):
        yield one, two


class Officer:
    """Somebody with a token, at one replica."""

    def __init__(self, channel, name, token):
        self.name = name
        self._stub = RightsServiceStub(channel)
        self._with = {"metadata": (("authorization", f"Bearer {token}"),), "timeout": 20}

    async def request(self, subject, ground=OBJECTED):
        with translated():
            asked = pb.RequestErasureRequest(subject_id=subject, ground=ground)
            return (await self._stub.RequestErasure(asked, **self._with)).erasure_case

    async def decide(self, case, role="privacy officer", **decision):
        with translated():
            asked = pb.DecideErasureRequest(case_id=case.case_id, role=role, **decision)
            return (await self._stub.DecideErasure(asked, **self._with)).erasure_case

    async def approve(self, case):
        return await self.decide(case, approve=pb.DecideErasureRequest.Approve())

    async def get(self, case_id):
        with translated():
            return (await self._stub.GetErasure(pb.GetErasureRequest(case_id=case_id), **self._with)).erasure_case

    async def copy(self, subject):
        with translated():
            call = self._stub.ExportSubject(pb.ExportSubjectRequest(subject_id=subject), **self._with)
            return b"".join([part.lines async for part in call])


@pytest.fixture
async def officers(replicas, keys):
    """A clerk and two approvers, each at another replica than the one before."""
    async with grpc.aio.insecure_channel(replicas[0]) as one, grpc.aio.insecure_channel(replicas[1]) as two:
        people = {"clerk": (RIGHTS,), "ada": (RIGHTS, APPROVE), "bob": (RIGHTS, APPROVE)}
        yield [
            Officer((one, two)[number % 2], who, keys.token(who, scopes))
            for number, (who, scopes) in enumerate(people.items())
        ]


@pytest.fixture
def canary():
    """What only sealed bodies, and a request's id, may hold."""
    return unique("canary")


@pytest.fixture
def collected():
    """What traces and metrics say, from before the first request on: a test names it first."""
    with collecting() as found:
        yield found


@pytest.fixture
async def granted(replicas, bus, keys, canary):
    """A subject with a grant, and a canary wherever a client may say something."""
    content = (await bus("content")).channel("consent", identity=keys.identity("content"))
    notices = [
        consent.Notice(id="choices", version=1, locale=locale, bytes=words)
        for locale, words in (("en", WORDS), ("de", WORDS_DE))
    ]
    await RegistryServiceStub(content).PublishRegistry(
        consent.PublishRegistryRequest(
            request_id=uuid.uuid4().hex, document=canonical(a_document()), notices=notices, approvers=["one", "two"]
        )
    )
    subject = str(uuid.uuid4())
    token = keys.token("app", ("consent.choose",))
    scope = types_pb2.Scope(
        purpose="offers", channels=["mobile"], categories=[value_pb2.DATA_CATEGORY_TRANSACTION], recipients=["self"]
    )
    async with grpc.aio.insecure_channel(replicas[0]) as channel:
        await ConsentServiceStub(channel).RecordChoice(
            consent.RecordChoiceRequest(
                request_id=canary,
                subject_id=subject,
                items=[consent.Choice(kind=types_pb2.CHOICE_KIND_GRANT, scope=scope)],
                notice=types_pb2.NoticeRef(id="choices", version=1, locale="en", sha256=hashlib.sha256(WORDS).digest()),
                actor=types_pb2.Actor(type=types_pb2.ACTOR_TYPE_AGENT, id=canary, on_behalf_ref=canary),
                evidence=types_pb2.Evidence(method="button", ui_variant=canary, session_ref=canary),
            ),
            metadata=(("authorization", f"Bearer {token}"),),
        )
    return subject


@pytest.fixture
async def reason(bus, keys, replicas):
    """Why the subject is allowed or denied."""
    stub = ConsentServiceStub((await bus("orchestration")).channel("consent", identity=keys.identity("orchestration")))

    async def of(subject):
        key = types_pb2.Key(purpose="offers", channel="mobile", category=value_pb2.DATA_CATEGORY_TRANSACTION)
        checked = await stub.CheckConsent(consent.CheckConsentRequest(subject_id=subject, keys=[key]))
        return checked.verdicts[0].reason

    return of


async def erased(officers, subject):
    clerk, ada, bob = officers
    case = await clerk.request(subject)
    await ada.approve(case)
    await bob.approve(case)
    return await certified(clerk, case)


async def certified(officer, case):
    async def over():
        found = await officer.get(case.case_id)
        return found if found.status == pb.ERASURE_STATUS_CERTIFIED else None

    return await until(over)


async def test_a_case_from_the_request_to_the_certificate(officers, granted, reason, bus, keys, world):
    clerk, ada, bob = officers

    case = await clerk.request(granted)
    assert (case.status, await reason(granted)) == (pb.ERASURE_STATUS_SEALED, "SUBJECT_SEALED")
    one = await ada.approve(case)
    assert (one.status, [d.by for d in one.decisions]) == (pb.ERASURE_STATUS_SEALED, ["ada"])
    both = await bob.approve(case)
    assert both.status in (pb.ERASURE_STATUS_KEY_DESTROYED, pb.ERASURE_STATUS_CERTIFIED)
    assert await reason(granted) == "SUBJECT_ERASED"
    done = await certified(clerk, case)

    signed = done.certificate
    keys.statement().public_key().verify(signed.signature, certificate.CONTEXT + signed.body)
    assert json.loads(signed.body)["approvers"] == ["privacy officer", "privacy officer"]
    assert list(done.subject_ids) == []
    reader = (await bus("orchestration")).js

    async def told():
        stream = await reader.stream_info("CONSENT")
        for sequence in range(stream.state.first_seq, stream.state.last_seq + 1):
            envelope = Envelope.FromString((await reader.get_msg("CONSENT", sequence)).data)
            if envelope.WhichOneof("body") == "subject_erased" and envelope.key == granted:
                return envelope
        return None

    envelope = await until(told)
    assert envelope.subject_erased.change.index == json.loads(signed.body)["entries"][0]["index"]
    with pytest.raises(FailedPrecondition) as caught:
        await clerk.request(granted)
    assert caught.value.code == "SUBJECT_ERASED"


async def test_no_canary_in_databases_streams_or_logs(officers, granted, canary, world, bus, caplog):
    caplog.set_level("DEBUG")
    assert canary.encode() in await officers[0].copy(granted)
    assert dump(world.database.admin_dsn).count(canary) == 1, "the request's id is in clear until it goes"

    done = await erased(officers, granted)

    for database in (world.database, world.store):
        dumped = dump(database.admin_dsn)
        assert canary not in dumped
        assert canary.encode().hex() not in dumped
    assert canary not in caplog.text
    assert granted not in caplog.text
    assert canary.encode() not in done.SerializeToString()
    reader = (await bus("cli")).js
    for stream in [found.config.name for found in await reader.streams_info()]:
        state = (await reader.stream_info(stream)).state
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            with suppress(NatsNotFound):
                assert canary.encode() not in ((await reader.get_msg(stream, sequence)).data or b"")


def telemetry_of(collected) -> str:
    """Everything that a collector would be sent: names, attributes, events, states and links of spans, and labels of metrics."""
    spans = [span.to_json(indent=None) for span in collected.spans()]
    points = [json.dumps([point.metric, dict(point.attributes)]) for point in collected.points()]
    return "\n".join([*spans, *points])


async def test_no_canary_and_no_subject_in_traces_or_metric_labels(collected, officers, granted, canary, reason):
    clerk = officers[0]
    await clerk.copy(granted)
    await reason(granted)

    await erased(officers, granted)
    refusals = [clerk.request(granted), clerk.copy(granted), clerk.get(canary)]
    told = await asyncio.gather(*refusals, return_exceptions=True)
    assert await reason(granted) == "SUBJECT_ERASED"

    assert {error.code for error in told} == {"SUBJECT_ERASED", "UNKNOWN_CASE"}
    names = {span.name.rpartition("/")[2] for span in collected.spans()}
    assert {"RecordChoice", "ExportSubject", "RequestErasure", "DecideErasure", "CheckConsent"} <= names
    assert {"rpc.server.call.duration"} <= {point.metric for point in collected.points()}
    assert collected.undeclared() == []
    said = telemetry_of(collected)
    for secret in (canary, granted, canary.encode().hex(), granted.replace("-", "")):
        assert secret not in said


async def test_keys_that_come_back_from_a_backup_are_destroyed_before_anybody_uses_them(world, keys):
    """A backup of the keys' database is put back between two lives of the service."""
    subject = str(uuid.uuid4())
    admin = await asyncpg.connect(world.store.admin_dsn, server_settings={"search_path": "keys"})
    try:
        async with (
            serving(signing.build, world.signer_settings()),
            serving(build, world.settings("a")) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            people = ("clerk", "ada", "bob")
            clerk, ada, bob = (Officer(channel, who, keys.token(who, (RIGHTS, APPROVE))) for who in people)
            case = await clerk.request(subject)
            [backup] = await admin.fetch("select * from subject_key where subject_id = $1", subject)
            await ada.approve(case)
            await bob.approve(case)
            await certified(clerk, case)
        assert await admin.fetchval("select wrapped_dek is null from subject_key where subject_id = $1", subject)
        await admin.execute("set session_replication_role = replica")
        put_back = "update subject_key set wrapped_dek = $2, destroyed_at = null where subject_id = $1"
        await admin.execute(put_back, subject, backup["wrapped_dek"])

        async with serving(build, world.settings("b")):
            alive = await admin.fetchval(
                "select wrapped_dek is not null from subject_key where subject_id = $1", subject
            )
    finally:
        await admin.close()

    assert not alive


async def test_who_may_decide_what(officers, granted):
    clerk, ada, bob = officers
    case = await clerk.request(granted)

    with pytest.raises(Forbidden):
        await clerk.approve(case)
    own = await bob.request(str(uuid.uuid4()))
    with pytest.raises(Forbidden) as caught:
        await bob.approve(own)
    assert caught.value.code == "APPROVER_IS_REQUESTER"
    await ada.approve(case)
    assert (await ada.approve(case)).status == pb.ERASURE_STATUS_SEALED
    with pytest.raises(Invalid):
        await bob.decide(case, role="", approve=pb.DecideErasureRequest.Approve())
    with pytest.raises(Invalid):
        await bob.decide(case)
    with pytest.raises(NotFound) as unknown:
        await bob.get("nowhere")
    assert unknown.value.code == "UNKNOWN_CASE"
    with pytest.raises(Invalid):
        await clerk.request(granted, pb.ERASURE_GROUND_UNSPECIFIED)


async def test_a_held_and_a_denied_case(officers, granted, reason):
    clerk, ada, bob = officers
    case = await clerk.request(granted)
    later = pb.DecideErasureRequest.Hold(until_us=(1 << 52), reason="docket 7/26")

    held = await ada.decide(case, hold=later)
    with pytest.raises(FailedPrecondition) as caught:
        await bob.approve(case)
    denied = await bob.decide(case, deny=pb.DecideErasureRequest.Deny())

    assert (held.status, caught.value.code) == (pb.ERASURE_STATUS_HELD, "HOLD_IN_FORCE")
    assert denied.status == pb.ERASURE_STATUS_DENIED
    assert await reason(granted) == "GRANTED"


async def test_a_sibling_service_does_not_decide(officers, granted, bus, keys):
    """Nor does it get there: no sibling holds the scope, and the ledger's own is for taking steps alone."""
    case = await officers[0].request(granted)
    for sibling in ("profile", "consent"):
        stub = RightsServiceStub((await bus(sibling)).channel("consent", identity=keys.identity(sibling)))
        with pytest.raises(Forbidden):
            await stub.DecideErasure(
                pb.DecideErasureRequest(case_id=case.case_id, role="x", approve=pb.DecideErasureRequest.Approve())
            )


async def test_a_copy_over_grpc_is_listed_in_the_certificate(officers, granted):
    clerk, ada, bob = officers

    async def proven():
        copied = [json.loads(line) for line in (await ada.copy(granted)).splitlines()]
        return copied if any(line["type"] == "proof" for line in copied) else None

    copied = await until(proven)
    assert {line["type"] for line in copied} == {"person", "entry", "receipt", "notice", "proof", "chain"}
    case = await clerk.request(granted)
    await ada.approve(case)
    await bob.approve(case)
    done = await certified(clerk, case)

    assert len(json.loads(done.certificate.body)["exports_handed_out"]) >= 1


async def test_the_command_line_runs_a_case(replicas, granted, keys, tmp_path):
    def token(who, *scopes):
        path = tmp_path / who
        path.write_text(keys.token(who, scopes))
        return path

    async def run(*arguments, who, scopes=(RIGHTS, APPROVE), server=replicas[0]):
        given = [*arguments, "--server", server, "--token-file", str(token(who, *scopes))]
        done = await asyncio.to_thread(CliRunner().invoke, ledger, ["erasure", *given])
        return done.exit_code, done.output

    code, said = await run("request", granted, "--ground", "consent-withdrawn", who="clerk")
    assert code == 0, said
    case = json.loads(said)["case"]
    refused = await run("decide", case, "--approve", "--role", "officer", "--yes", who="clerk")
    assert refused[0] == 1
    assert "APPROVER_IS_REQUESTER" in refused[1]
    for who in ("ada", "bob"):
        code, said = await run("decide", case, "--approve", "--role", "officer", "--yes", who=who, server=replicas[1])
        assert code == 0, said
    path = tmp_path / "certificate.json"

    async def over():
        code, _ = await run("show", case, "--certificate", str(path), who="clerk")
        return code == 0

    await until(over, every=0.2)
    written = json.loads(path.read_text())
    assert json.loads(written["body"])["case"] == case
