"""Siblings prove who they are; what they may is the receiver's data."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from servicekit.auth import Caller, FileKeys, ServiceIdentity, ServiceTokenVerifier, public_jwk
from servicekit.clock import FixedClock, SystemClock
from servicekit.errors import Invalid, Unauthenticated

OLD, NEW, OTHER = (Ed25519PrivateKey.generate() for _ in range(3))


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "services.json"
    named = {"orchestration.1": OLD, "orchestration": NEW, "ranking": OTHER}
    file.write_text(json.dumps({"keys": [public_jwk(key.public_key(), kid) for kid, key in named.items()]}))
    return FileKeys(file)


@pytest.fixture
def verifier(keys):
    return ServiceTokenVerifier(keys, service="consent", callers={"orchestration": ["consent.check"]})


async def reason(verifier: ServiceTokenVerifier, presented: str | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.caller_of(presented)
    return caught.value.code


@pytest.mark.parametrize("key", [OLD, NEW])
async def test_a_sibling_has_the_scopes_that_the_receiver_lists(verifier, key):
    who = await verifier.caller_of(ServiceIdentity("orchestration", key).token("consent"))

    assert who == Caller("orchestration", frozenset({"consent.check"}), "orchestration")


async def test_a_sibling_that_is_not_listed_has_no_scopes(verifier):
    who = await verifier.caller_of(ServiceIdentity("ranking", OTHER).token("consent"))

    assert who.scopes == frozenset()


async def test_a_sibling_cannot_speak_for_another(verifier):
    assert await reason(verifier, ServiceIdentity("orchestration", OTHER).token("consent")) == "TOKEN_SIGNATURE"


async def test_a_stranger_is_refused(verifier):
    assert await reason(verifier, ServiceIdentity("stranger", OTHER).token("consent")) == "TOKEN_KEY"


async def test_a_token_for_one_service_does_not_open_another(verifier):
    assert await reason(verifier, ServiceIdentity("orchestration", NEW).token("profile")) == "TOKEN_AUDIENCE"


async def test_an_old_token_is_refused(verifier):
    past = FixedClock(SystemClock().now_us() - 600_000_000)

    assert await reason(verifier, ServiceIdentity("orchestration", NEW, clock=past).token("consent")) == "TOKEN_EXPIRED"


async def test_no_token_is_missing(verifier):
    assert await reason(verifier, None) == "TOKEN_MISSING"


async def test_a_verified_token_is_remembered_until_it_ends(keys):
    clock = FixedClock(SystemClock().now_us())
    verifier = ServiceTokenVerifier(keys, service="consent", callers={}, clock=clock)
    presented = ServiceIdentity("ranking", OTHER, clock=clock).token("consent")
    first = await verifier.caller_of(presented)

    assert await verifier.caller_of(presented) is first
    clock.advance(300_000_000)
    assert await verifier.caller_of(presented) is not first  # verified again, by the machine's clock


def test_a_token_is_kept_for_four_fifths_of_its_life():
    clock = FixedClock(1_000_000_000_000)
    me = ServiceIdentity("ranking", OTHER, clock=clock)
    first = me.token("consent")
    clock.advance(239_000_000)
    assert me.token("consent") == first
    clock.advance(1_000_000)

    assert me.token("consent") != first


def test_each_target_has_its_own_token():
    me = ServiceIdentity("ranking", OTHER)

    assert me.token("consent") != me.token("profile")


def test_an_identity_is_read_from_a_file(tmp_path):
    file = tmp_path / "key.pem"
    file.write_bytes(NEW.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    assert ServiceIdentity.read("ranking", file).service == "ranking"


@pytest.mark.parametrize("content", [None, b"", b"not a key", "another kind"])
def test_what_is_no_key_is_said_at_start(tmp_path, content):
    file = tmp_path / "key.pem"
    if content == "another kind":
        content = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(Invalid):
        ServiceIdentity.read("ranking", file)
