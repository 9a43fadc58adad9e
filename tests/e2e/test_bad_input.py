"""Nothing that a caller sends is an internal error, a hang, or a line in a log."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import bad_input
import grpc
import jwt
import pytest
from bad_input import CANARY, HOSTILE, SERVICES, Right, request_type, scopes, spoiled, unary_methods
from e2e_world import HERO, PATIENCE_S, now_ms
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from assent.consent.v1 import consent_service_pb2 as consent
from assent.events.v1 import bank_pb2
from embedded.keys import AUDIENCE, ISSUER
from harbour_bank import mara, steps
from servicekit.auth.identity import read_private_key
from servicekit.status import DETAILS_KEY

pytestmark = pytest.mark.e2e

OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
"""What a caller's mistake must never look like."""
DEADLINE_S = 10.0
CALLERS = 8


class Refused:
    """An error with its details."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        trailers = dict(error.trailing_metadata() or ())
        self.status = status_pb2.Status.FromString(trailers.get(DETAILS_KEY, b""))
        self.info, self.bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in self.status.details:
            detail.Unpack(self.info) or detail.Unpack(self.bad)
        self.said = f"{error.details()} {self.status}"

    def __repr__(self) -> str:
        return f"{self.code.name} {self.info.reason} {[v.field for v in self.bad.field_violations]}"


@pytest.fixture(scope="session")
def everything(world):
    """A token with every scope."""
    return world.stack.keys.token("everybody", sorted(scopes()))


@pytest.fixture(scope="session")
async def right(world):
    return await Right.of(world)


@pytest.fixture(scope="session")
async def channels(world):
    options = [("grpc.max_send_message_length", -1)]
    opened = {s: grpc.aio.insecure_channel(world.stack.grpc_address(s), options=options) for s in world.stack.services}
    yield opened
    for channel in opened.values():
        await channel.close()


async def call(channels, name: str, body: bytes, token: str | None, *, within_s: float = DEADLINE_S):
    """The error of a call; None for an answer."""
    channel = channels[SERVICES[name.partition("/")[0]]]
    metadata = [("authorization", f"Bearer {token}")] if token else []
    try:
        await channel.unary_unary(f"/{name}")(body, timeout=within_s, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return Refused(error)
    return None


def token(world, **claims) -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "e2e", "scope": " ".join(sorted(scopes()))}
    times = {"iat": now_ms() // 1000, "exp": now_ms() // 1000 + 600}
    key = read_private_key(world.stack.keys.issuer_key)
    return jwt.encode(said | times | claims, key, algorithm="EdDSA", headers={"kid": "issuer"})


async def test_reflection_and_stubs_know_the_same_methods(world):
    def reflected(service: str) -> dict[str, list[tuple[str, bool, bool]]]:
        with grpc.insecure_channel(world.stack.grpc_address(service)) as channel:
            known = ProtoReflectionDescriptorDatabase(channel)
            names = [name for name in known.get_services() if name.startswith("assent.")]
            files = [known.FindFileContainingSymbol(name) for name in names]
        return {
            f"{file.package}.{found.name}": [(m.name, m.client_streaming, m.server_streaming) for m in found.method]
            for file in files
            for found in file.service
        }

    found = {}
    for service in world.stack.services:
        found |= await asyncio.to_thread(reflected, service)
    known = {
        name: [(m.name, m.client_streaming, m.server_streaming) for m in bad_input.descriptor(name).methods]
        for name in SERVICES
    }
    assert found == known


MALFORMED = b"\xff\xff\xff\xff\xff\xff"
TEN_MB = b"\x00" * 10_000_000


@pytest.mark.parametrize("name", unary_methods())
async def test_a_bad_call_is_refused_for_what_it_is(world, channels, everything, name):
    elsewhere = token(world, aud="somebody-else")
    expired = token(world, exp=now_ms() // 1000 - 60)
    no_scope = world.stack.keys.token("nobody", ["some.other"])
    good = request_type(name)().SerializeToString()

    refused = {
        "malformed": await call(channels, name, MALFORMED, everything),
        "malformed behind no token": await call(channels, name, MALFORMED, None),
        "large": await call(channels, name, TEN_MB, everything),
        "no token": await call(channels, name, good, None),
        "no token at all": await call(channels, name, good, "not.a.token"),
        "another audience": await call(channels, name, good, elsewhere),
        "expired": await call(channels, name, good, expired),
        "no scope": await call(channels, name, good, no_scope),
    }

    assert {what: error.code.name if error else None for what, error in refused.items()} == {
        "malformed": "INVALID_ARGUMENT",
        "malformed behind no token": "UNAUTHENTICATED",
        "large": "RESOURCE_EXHAUSTED",
        "no token": "UNAUTHENTICATED",
        "no token at all": "UNAUTHENTICATED",
        "another audience": "UNAUTHENTICATED",
        "expired": "UNAUTHENTICATED",
        "no scope": "PERMISSION_DENIED",
    }
    assert [what for what, error in refused.items() if what != "large" and not error.info.reason] == []


@pytest.mark.parametrize("name", unary_methods())
async def test_a_deadline_that_has_passed_is_not_waited_for(channels, everything, right, name):
    request = await right.request(name)

    refused = await call(channels, name, request.SerializeToString(), everything, within_s=0.000_001)

    # A very fast answer is one too.
    assert refused is None or refused.code not in OURS - {grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.mark.parametrize("name", unary_methods())
async def test_an_empty_request_is_an_answer_or_a_refusal_with_its_field(channels, everything, name):
    refused = await call(channels, name, b"", everything)

    assert complaints({"": refused}) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", unary_methods())
async def test_hostile_fields_are_an_answer_or_a_refusal_that_repeats_nothing(channels, everything, right, name):
    correct = await right.request(name)
    room, found = asyncio.Semaphore(CALLERS), {}

    async def one(what: str, body: bytes) -> None:
        async with room:
            found[what] = await call(channels, name, body, everything)

    await asyncio.gather(*(one(what, body) for what, body in spoiled(name, correct)))

    assert complaints(found) == []


def complaints(found) -> list[str]:
    """Everything that is not as it should be."""
    return [
        f"{what!r}: {why}: {refused!r}"
        for what, refused in found.items()
        if refused is not None
        for why in _complaints(refused)
    ]


def _complaints(refused: Refused):
    if refused.code in OURS:
        yield "looks like our bug"
    if not (refused.info.reason and refused.info.domain):
        yield "no reason"
    if refused.code is grpc.StatusCode.UNAVAILABLE:
        yield "looks like our outage"
    if CANARY in refused.said:
        yield "repeats the value"


async def test_a_right_request_is_answered(channels, everything, right):
    answered = Counter()
    for name in unary_methods():
        refused = await call(channels, name, (await right.request(name)).SerializeToString(), everything)
        answered["answered" if refused is None else f"{name} {refused!r}"] += 1

    # Not built yet, or refused because of the state that the bundle is in: the rest shows that bad fields were all that was bad.
    expected = {"UNIMPLEMENTED", "FAILED_PRECONDITION", "PublishRegistry", "SAME_PERSON", "UNKNOWN_CASE"}
    assert [name for name in answered if name != "answered" and not any(word in name for word in expected)] == []
    assert answered["answered"] > 20


async def test_hostile_bank_events_are_each_refused_and_the_others_kept(world):
    good = list(mara.money(f"HB-{uuid4().hex}", now_ms()))
    bad = []
    for text in HOSTILE.values():
        for path in bad_input.paths(bank_pb2.BankEvent.DESCRIPTOR):
            if path.last.cpp_type == path.last.CPPTYPE_STRING:
                event = bank_pb2.BankEvent()
                event.CopyFrom(good[0])
                event.event_id = uuid4().hex
                path.set(event, text)
                bad.append(event)
    for at_ms in (0, -1, -(1 << 63), (1 << 63) - 1, now_ms() + 366 * 86_400_000):
        event = bank_pb2.BankEvent()
        event.CopyFrom(good[0])
        event.event_id, event.occurred_at_ms = uuid4().hex, at_ms
        bad.append(event)

    answer = await steps.ingest([*good, *bad], world.who, lambda _: None)

    assert answer.accepted >= len(good)
    assert answer.accepted + answer.duplicates + answer.rejected == len(good) + len(bad)
    assert not [result for result in answer.results if not result.reason]
    assert not [result for result in answer.results if CANARY in result.reason + result.field]


@pytest.mark.parametrize("hours", [-24 * 365, 24 * 365])
async def test_a_clock_that_is_far_off_is_refused_by_name(world, hours):
    off_us = (now_ms() + hours * 3_600_000) * 1000
    customer = await world.a_customer(())
    ledger = await world.who.app.consent()
    key = bad_input.types_pb2.Key(purpose="offers", channel="mobile", category=3)
    requests = {
        "at_us": ledger.CheckConsent(
            consent.CheckConsentRequest(subject_id=customer.subject_id, keys=[key], at_us=off_us), timeout=PATIENCE_S
        ),
        "at_us of a basis": ledger.EvaluateBasis(
            consent.EvaluateBasisRequest(subject_id=customer.subject_id, channel="mobile", at_us=off_us),
            timeout=PATIENCE_S,
        ),
    }
    for name, request in requests.items():
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await request
        assert Refused(refused.value).info.reason == "AT_NOT_NOW", name


@pytest.mark.parametrize(
    ("spoil", "code", "reason"),
    [
        (lambda r: setattr(r, "channel", "carrier_pigeon"), "NOT_FOUND", "UNKNOWN_CHANNEL"),
        (lambda r: setattr(r.placements[0], "id", "home.nowhere"), "NOT_FOUND", "UNKNOWN_PLACEMENT"),
        (lambda r: setattr(r.placements[0], "id", "email.weekly"), "NOT_FOUND", "UNKNOWN_PLACEMENT"),
        (lambda r: r.placements.add(id=HERO), "INVALID_ARGUMENT", "REPEATED"),
        (lambda r: r.ClearField("placements"), "INVALID_ARGUMENT", "BAD_COUNT"),
        (lambda r: setattr(r.subject, "type", "shoe_size"), "INVALID_ARGUMENT", "UNKNOWN_IDENTIFIER_TYPE"),
        (lambda r: setattr(r, "locale", "klingon"), "INVALID_ARGUMENT", "BAD_TEXT"),
        (lambda r: setattr(r, "request_id", "short"), "INVALID_ARGUMENT", "BAD_TEXT"),
        (lambda r: setattr(r.context, "time_zone", "Mars/Olympus"), "INVALID_ARGUMENT", "BAD_TEXT"),
    ],
)
async def test_a_decision_is_refused_with_reason_and_field(world, channels, everything, spoil, code, reason):
    request = steps.decide_request(steps.customer("HB-000001"), [HERO])
    spoil(request)

    refused = await call(
        channels, "assent.orchestration.v1.OrchestrationService/Decide", request.SerializeToString(), everything
    )

    assert (refused.code.name, refused.info.reason) == (code, reason)
    assert refused.bad.field_violations[0].field


async def test_a_request_id_of_a_choice_is_used_once(world):
    customer = await world.a_customer(())
    ledger = await world.who.app.consent()
    request = consent.WithdrawConsentRequest(request_id=uuid4().hex, subject_id=customer.subject_id, all=True)
    first = await ledger.WithdrawConsent(request, timeout=PATIENCE_S)
    again = await ledger.WithdrawConsent(request, timeout=PATIENCE_S)
    request.purposes.ids.append("offers")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ledger.WithdrawConsent(request, timeout=PATIENCE_S)

    assert again.result.position == first.result.position
    assert (refused.value.code().name, Refused(refused.value).info.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_none_of_it_is_in_a_log_a_dead_letter_or_telemetry(world, leaks):
    assert await leaks(CANARY) == []
