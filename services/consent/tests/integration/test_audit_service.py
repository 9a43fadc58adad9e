"""What auditors ask, over gRPC, of the whole service with its signer and the bus."""

from __future__ import annotations

import asyncio
import hashlib
import uuid

import grpc
import pytest
from click.testing import CliRunner
from consent_fakes import WORDS, WORDS_DE, a_document
from decision_samples import a_field, a_record, an_envelope
from service_world import ORIGIN, World

from assent.catalog.v1 import value_pb2
from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import audit_service_pb2_grpc as audit_stubs
from assent.consent.v1 import consent_service_pb2 as consent_pb
from assent.consent.v1 import consent_service_pb2_grpc as stubs
from assent.consent.v1 import types_pb2
from consent_service.app import build
from consent_service.auditing.state_proof import decode
from consent_service.auditing.verifying_state import complete, verify_state
from consent_service.domain.export import EntryLine, parse_line
from consent_service.ledger_commands import ledger
from consent_service.signing import app as signing
from consent_service.verifying import Trust, verify_export
from servicekit import provision
from servicekit.auth.identity import read_private_key
from servicekit.basis import SignedBasis, canonical
from servicekit.clock import SystemClock
from servicekit.streams import subject as subject_of
from servicekit.vkeys import verifier_key
from testkit.apps import serving
from testkit.builders import unique
from testkit.waiting import until
from tlog import Verifier, leaf_hash, verify_proof

pytestmark = pytest.mark.integration
TRANSACTION = value_pb2.DATA_CATEGORY_TRANSACTION
KEY = types_pb2.Key(purpose="offers", channel="mobile", category=TRANSACTION)


def an_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def world(database, databases, nats_settings, streams, keys, tmp_path):
    store = await databases.store(provision.KEYS)
    return World(await database("consent"), store, nats_settings, keys, unique("ledger"), tmp_path)


@pytest.fixture
async def running(world):
    async with (
        serving(signing.build, world.signer_settings()),
        serving(build, world.settings()) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        world.address = address
        yield channel


@pytest.fixture
def call(running, tokens):
    """`call("GetProof", request, *scopes)` of whichever service has the method."""

    async def called(method, request, *scopes):
        wanted = scopes or ("consent.audit", "consent.choose", "consent.check", "consent.evidence")
        metadata = (("authorization", f"Bearer {tokens(*wanted)}"),)
        of = audit_stubs.AuditServiceStub if hasattr(pb, f"{method}Request") else stubs.ConsentServiceStub
        answered = getattr(of(running), method)(request, metadata=metadata)
        if method == "ExportAudit":
            return b"".join([part.lines async for part in answered])
        return await answered

    return called


@pytest.fixture
async def granted(call, running, bus, keys):
    """A registry, and a subject who granted something."""
    notices = [
        consent_pb.Notice(id="choices", version=1, locale=locale, bytes=words)
        for locale, words in (("en", WORDS), ("de", WORDS_DE))
    ]
    content = stubs.RegistryServiceStub((await bus("content")).channel("consent", identity=keys.identity("content")))
    await content.PublishRegistry(
        consent_pb.PublishRegistryRequest(
            request_id=an_id(), document=canonical(a_document()), notices=notices, approvers=["one", "two"]
        )
    )
    subject = str(uuid.uuid4())
    scope = types_pb2.Scope(purpose="offers", channels=["mobile"], categories=[TRANSACTION])
    request = consent_pb.GrantConsentRequest(
        request_id=an_id(),
        subject_id=subject,
        scopes=[scope],
        notice=types_pb2.NoticeRef(id="choices", version=1, locale="en", sha256=hashlib.sha256(WORDS).digest()),
        actor=types_pb2.Actor(type=types_pb2.ACTOR_TYPE_AGENT, id="agent-7"),
        evidence=types_pb2.Evidence(method="toggle"),
        wait_for=types_pb2.WAIT_FOR_CHECKPOINTED,
    )
    result = (await call("GrantConsent", request)).result
    assert result.reached == types_pb2.WAIT_FOR_CHECKPOINTED
    return subject, result.position.index


@pytest.fixture
def trust(keys):
    signer = read_private_key(keys.checkpoint_key).public_key()
    return Trust(str(verifier_key(ORIGIN, signer)), ORIGIN)


async def refused(call, method, request, *scopes):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(method, request, *scopes)
    return caught.value.code()


async def test_a_state_is_proved_and_the_export_shows_that_nothing_is_missing(call, granted, trust, tmp_path):
    subject, index = granted
    asked = pb.ProveConsentStateRequest(subject_id=subject, key=KEY, detail=pb.PROOF_DETAIL_FULL)

    answered = await call("ProveConsentState", asked)
    lines = await call("ExportAudit", pb.ExportAuditRequest())
    path = tmp_path / "export.jsonl"
    path.write_bytes(lines)

    proof = decode(answered.document)
    verify_state(proof, trust)
    complete(proof, [e for e in map(parse_line, lines.splitlines(keepends=True)) if isinstance(e, EntryLine)])
    assert (answered.verdict.reason, answered.verdict.support, index in answered.indices) == ("GRANTED", index, True)
    assert verify_export(path, trust).end >= answered.size
    audit_only = await refused(call, "ProveConsentState", asked, "consent.audit")
    assert audit_only is grpc.StatusCode.PERMISSION_DENIED


async def test_listed_entries_come_with_proofs(call, granted, trust):
    subject, index = granted

    asked = consent_pb.ListConsentEventsRequest(subject_id=subject, with_proofs=True)
    [event] = (await call("ListConsentEvents", asked)).events

    checkpoint = verify_proof(event.tlog_proof, leaf_hash(event.leaf), [Verifier(trust.vkey)], ORIGIN)
    assert (event.position.index, checkpoint.size > index) == (index, True)
    assert '"kind":"GRANT"' in event.public_body


async def test_a_decision_on_the_bus_is_listed_and_judged(call, granted, bus, keys):
    subject, index = granted
    stub = stubs.ConsentServiceStub(
        (await bus("orchestration")).channel("consent", identity=keys.identity("orchestration"))
    )
    signed = (await stub.EvaluateBasis(consent_pb.EvaluateBasisRequest(subject_id=subject, channel="mobile"))).basis
    basis = SignedBasis(signed.body, signed.key_id, signed.signature)
    now_us = SystemClock().now_us() + 1000
    good = a_record(subject, basis, at_us=now_us, fields=[a_field()])
    bad = a_record(subject, None, at_us=now_us, fields=[a_field()])
    for record in (good, bad):
        await (await bus("orchestration")).publish(subject_of("decision", subject), an_envelope(record))

    async def found():
        rows = (await call("ListReliances", pb.ListReliancesRequest(entry=index))).reliances
        violations = await call("FindViolations", pb.FindViolationsRequest())
        return (rows, violations) if rows and violations.violations else None

    [row], answered = await until(found)

    assert (row.decision_id, row.purpose, row.subject_id) == (good.decision_id, "offers", subject)
    [violation] = answered.violations
    assert (violation.decision_id, violation.rule) == (bad.decision_id, pb.VIOLATION_RULE_WITHOUT_BASIS)
    assert (answered.reliances, answered.subjects, answered.next_page_token) == (1, 1, "")


async def test_a_range_is_recomputed(call, granted):
    answered = await call("VerifyRange", pb.VerifyRangeRequest())

    assert (len(answered.mismatches), answered.mismatched, len(answered.root)) == (0, 0, 32)
    assert answered.opened == answered.to
    assert answered.checkpoints
    assert await refused(call, "VerifyRange", pb.VerifyRangeRequest(to=99)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_filter_by_what_is_private_needs_the_scope_for_it(call, granted):
    def entries(lines):
        return [line for line in lines.splitlines() if b'"type":"entry"' in line]

    for asked, amount in ((pb.ExportAuditRequest(actor_id="agent-7"), 1), (pb.ExportAuditRequest(method="letter"), 0)):
        assert len(entries(await call("ExportAudit", asked))) == amount
        assert await refused(call, "ExportAudit", asked, "consent.audit") is grpc.StatusCode.PERMISSION_DENIED


BAD = [
    ("ProveConsentState", pb.ProveConsentStateRequest(subject_id="with blanks", key=KEY)),
    ("ProveConsentState", pb.ProveConsentStateRequest(subject_id="anna", key=KEY, detail=9)),
    ("ListReliances", pb.ListReliancesRequest(page_size=1001)),
    ("ListReliances", pb.ListReliancesRequest(page_token="nonsense")),
    ("FindViolations", pb.FindViolationsRequest(rules=[42])),
    ("FindViolations", pb.FindViolationsRequest(from_us=2, to_us=1)),
    ("ExportAudit", pb.ExportAuditRequest(classes=[7])),
    ("ExportAudit", pb.ExportAuditRequest(kinds=["grant"])),
    ("ExportAudit", pb.ExportAuditRequest(purpose="No")),
    ("VerifyRange", pb.VerifyRangeRequest(to=1 << 63)),
]


async def test_bad_requests_are_refused(call, granted):
    codes = [await refused(call, method, request) for method, request in BAD]

    assert codes == [grpc.StatusCode.INVALID_ARGUMENT] * len(BAD)


@pytest.fixture
def run(world, granted, tokens, tmp_path):
    """`await run(0, "prove", ...)`: a command of `assent ledger` that ends with this exit code; what it prints."""
    token = tmp_path / "token"
    token.write_text(tokens("consent.audit", "consent.check", "consent.evidence", "consent.rights"))

    async def ran(code, *words, local=False):
        where = () if local else ("--server", world.address, "--token-file", str(token))
        result = await asyncio.to_thread(CliRunner().invoke, ledger, [*map(str, words), *where])
        assert result.exit_code == code, result.output
        return result.output

    return ran


async def test_an_auditor_saves_a_proof_and_an_export_and_checks_them_without_the_service(
    run, granted, trust, tmp_path
):
    subject, _ = granted
    state, log, note = tmp_path / "state.json", tmp_path / "log.jsonl", tmp_path / "then.note"
    key = ("--purpose", "offers", "--channel", "mobile", "--category", "transaction")
    known = ("--vkey", trust.vkey, "--origin", ORIGIN)

    shown = await run(0, "prove", subject, *key, "--full", "--out", state)
    await run(0, "checkpoint", "--out", note)
    await run(0, "export", "--out", log)

    assert '"reason": "GRANTED"' in shown
    alone = await run(0, "verify", "--state", state, *known, local=True)
    whole = await run(0, "verify", "--state", state, "--export", log, *known, local=True)
    assert ("is not shown" in alone, "nothing is missing" in whole) == (True, True)
    assert (await run(0, "verify", "--export", log, "--known", note, *known, local=True)).startswith("OK")
    state.write_bytes(state.read_bytes().replace(b"GRANTED", b"REFUSED"))
    assert (await run(1, "verify", "--state", state, *known, local=True)).startswith("FAIL")


async def test_an_auditors_commands_print_what_is_asked(run, granted, tmp_path):
    subject, index = granted
    out = tmp_path / "out"

    assert "agent-7" in await run(0, "events", subject, "--evidence", "--proofs", "--json")
    assert "GRANT" in await run(0, "events", subject)
    assert "GRANTED" in await run(0, "state", subject)
    assert await run(0, "reliances", "--entry", index, "--json") == ""
    assert "0 violations" in await run(0, "violations", "--rule", "AFTER_DENIAL", "--from", "2026-01-01")
    assert '"root"' in await run(0, "range")
    assert '"leaf_hash"' in await run(0, "proof", "--index", index)
    await run(0, "registry", "--notice", "choices", 1, "en", "--out", out)
    assert out.read_bytes() == WORDS
    await run(0, "export", "--kind", "GRANT", "--actor", "agent", "--actor-id", "agent-7", "--out", out)
    assert out.read_bytes().count(b'"type":"entry"') == 1
    await run(0, "copy", subject, "--out", out)
    assert b"offers" in out.read_bytes()
