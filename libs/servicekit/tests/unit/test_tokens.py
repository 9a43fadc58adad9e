"""Tokens of outside callers: what is believed, and the reason for everything that is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from servicekit.auth import Caller, FileKeys, TokenVerifier, UrlKeys, acting_as, caller, key_source, public_jwk
from servicekit.auth.keys import parse_jwks
from servicekit.auth.tokens import Remembered
from servicekit.clock import FixedClock
from servicekit.errors import Forbidden, Invalid, Unauthenticated, Unavailable

ED = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
JWKS = {
    "keys": [
        public_jwk(ED.public_key(), "ed"),
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "rsa"},
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "kid": "ec"},
    ]
}
KEYS = {"ed": (ED, "EdDSA"), "rsa": (RSA, "RS256"), "ec": (EC, "ES256")}
CLAIMS = {"iss": "bank", "aud": "assent", "sub": "app", "scope": "a.read a.write"}


def token(kid: str = "ed", *, headers: dict | None = None, **claims) -> str:
    key, algorithm = KEYS[kid]
    body = {**CLAIMS, "exp": int(time.time()) + 60, **claims}
    return jwt.encode(given_only(body), key, algorithm, given_only({"kid": kid, **(headers or {})}))


def given_only(values: dict) -> dict:
    return {name: value for name, value in values.items() if value is not None}


def encoded(value: dict | bytes) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def jwks(tmp_path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(JWKS))
    return file


@pytest.fixture
def verifier(jwks):
    return TokenVerifier(FileKeys(jwks), issuer="bank", audience="assent")


async def reason(verifier: TokenVerifier, presented: str | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.caller_of(presented)
    if presented:
        assert presented not in f"{caught.value} {caught.value.metadata}"
    return caught.value.code


@pytest.mark.parametrize("kid", ["ed", "rsa", "ec"])
async def test_each_kind_of_key_proves_its_caller(verifier, kid):
    assert await verifier.caller_of(token(kid)) == Caller("app", frozenset({"a.read", "a.write"}))


async def test_one_of_several_audiences_is_enough(verifier):
    assert (await verifier.caller_of(token(aud=["other", "assent"]))).subject == "app"


@pytest.mark.parametrize("nothing", [None, ""])
async def test_no_token_is_missing(verifier, nothing):
    assert await reason(verifier, nothing) == "TOKEN_MISSING"


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("TOKEN_EXPIRED", {"exp": int(time.time()) - 60}),
        ("TOKEN_NOT_YET", {"nbf": int(time.time()) + 600}),
        ("TOKEN_AUDIENCE", {"aud": "other"}),
        ("TOKEN_ISSUER", {"iss": "another bank"}),
        ("TOKEN_CLAIMS", {"exp": None}),
        ("TOKEN_CLAIMS", {"sub": None}),
        ("TOKEN_CLAIMS", {"iss": None}),
        ("TOKEN_CLAIMS", {"aud": None}),
        ("TOKEN_CLAIMS", {"scope": ["a.read"]}),
        ("TOKEN_KEY", {"headers": {"kid": "unknown"}}),
        ("TOKEN_KEY", {"headers": {"kid": None}}),
        ("TOKEN_SIGNATURE", {"kid": "rsa", "headers": {"kid": "rsa"}, "sign_with": "other"}),
    ],
)
async def test_every_flaw_has_its_reason(verifier, monkeypatch, code, changed):
    if changed.pop("sign_with", None):
        monkeypatch.setitem(KEYS, "rsa", (rsa.generate_private_key(65537, 2048), "RS256"))

    assert await reason(verifier, token(**changed)) == code


async def test_a_token_without_a_signature_is_refused(verifier):
    body = encoded({**CLAIMS, "exp": int(time.time()) + 60})

    for algorithm in ("none", "None", "NONE"):
        assert await reason(verifier, f"{encoded({'alg': algorithm, 'kid': 'ed'})}.{body}.") == "TOKEN_ALGORITHM"


@pytest.mark.parametrize("kid", ["ed", "rsa"])
async def test_a_public_key_is_not_taken_for_a_shared_secret(verifier, kid):
    public = KEYS[kid][0].public_key()
    secrets = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)]
    secrets += [public.public_bytes(Encoding.Raw, PublicFormat.Raw)] if kid == "ed" else []
    for secret in secrets:
        signed = f"{encoded({'alg': 'HS256', 'kid': kid})}.{encoded({**CLAIMS, 'exp': int(time.time()) + 60})}"
        signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()

        assert await reason(verifier, f"{signed}.{encoded(signature)}") == "TOKEN_ALGORITHM"


async def test_the_key_and_not_the_token_says_which_algorithm_is_right(verifier):
    assert await reason(verifier, token("ec", headers={"kid": "ed"})) == "TOKEN_ALGORITHM"


@given(st.text(max_size=200))
async def test_any_text_is_refused_in_good_order(text):
    verifier = TokenVerifier(Empty(), issuer="bank", audience="assent")

    with pytest.raises(Unauthenticated):
        await verifier.caller_of(text)


class Empty:
    async def key(self, kid: str) -> jwt.PyJWK:
        raise Unauthenticated(reason="TOKEN_KEY")


@given(st.integers(0, 10**6))
async def test_any_changed_character_is_refused(where):
    verifier = TokenVerifier(Fixed(), issuer="bank", audience="assent")
    given_token = token()
    head, _, signature = given_token.rpartition(".")
    # The last character of the signature carries unused bits, so only what is signed is changed.
    at = where % len(head)
    other = "A" if head[at] != "A" else "B"

    with pytest.raises(Unauthenticated):
        await verifier.caller_of(f"{head[:at]}{other}{head[at + 1 :]}.{signature}")


class Fixed:
    async def key(self, kid: str) -> jwt.PyJWK:
        if kid != "ed":
            raise Unauthenticated(reason="TOKEN_KEY")
        return jwt.PyJWK(JWKS["keys"][0])


async def test_a_key_that_leaves_the_file_is_not_known_any_more(verifier, jwks):
    await verifier.caller_of(token("ed"))
    jwks.write_text(json.dumps({"keys": JWKS["keys"][1:]}))
    os.utime(jwks, ns=(1, 1))

    assert await reason(verifier, token("ed", jti="another")) == "TOKEN_KEY"


@pytest.mark.parametrize("content", [None, b"", b"\xff", b'{"keys": []}'])
async def test_a_file_that_is_away_or_broken_is_unavailable(tmp_path, content):
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(Unavailable):
        await FileKeys(file).key("ed")


def test_keys_that_we_do_not_use_are_ignored():
    others = [
        {"kty": "oct", "k": "AAAA", "kid": "shared"},
        {"kty": "from the future", "kid": "future"},
        {**JWKS["keys"][1], "use": "enc", "kid": "encryption"},
        {**JWKS["keys"][1], "alg": "RS512", "kid": "other algorithm"},
        "no key at all",
    ]

    assert set(parse_jwks(json.dumps({"keys": [*others, *JWKS["keys"]]}))) == {"ed", "rsa", "ec"}


def test_a_source_is_an_address_or_a_file():
    assert isinstance(key_source("keys.json"), FileKeys)
    assert isinstance(key_source("https://bank.example/keys"), UrlKeys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"keys": 1}',
        '{"keys": [{}]}',
        '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]}',
        json.dumps({"keys": [{k: v for k, v in JWKS["keys"][0].items() if k != "kid"}]}),
    ],
)
def test_what_is_no_set_of_public_keys_is_invalid(text):
    with pytest.raises(Invalid):
        parse_jwks(text)


async def test_a_token_is_not_remembered_past_its_expiry():
    clock = FixedClock(1_000_000_000_000)
    known = Remembered(2, clock)
    known.put("t", 1_000_010, Caller("app"))
    clock.advance(9_999_999)
    assert known.get("t") == Caller("app")
    clock.advance(1)

    assert known.get("t") is None


async def test_a_token_that_lasts_long_is_looked_at_again_after_five_minutes():
    clock = FixedClock(1_000_000_000_000)
    known = Remembered(2, clock)
    known.put("t", 2_000_000, Caller("app"))
    clock.advance(300_000_000)

    assert known.get("t") is None


async def test_only_the_most_recently_used_are_remembered():
    known = Remembered(2, FixedClock(0))
    for name in ("a", "b"):
        known.put(name, 1000, Caller(name))
    known.get("a")
    known.put("c", 1000, Caller("c"))

    assert [known.get(name) is not None for name in "abc"] == [True, False, True]


async def test_a_known_token_costs_next_to_nothing(verifier):
    presented = token()
    await verifier.caller_of(presented)
    rounds = 2000
    best = min([await seconds_of(verifier, presented, rounds) for _ in range(5)])

    assert best / rounds < 10e-6


async def seconds_of(verifier: TokenVerifier, presented: str, rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        await verifier.caller_of(presented)
    return time.perf_counter() - started


def test_outside_of_a_call_nobody_calls():
    with pytest.raises(Unauthenticated):
        caller()


async def test_the_caller_belongs_to_its_own_task():
    async def who(name: str) -> str:
        with acting_as(Caller(name)):
            await asyncio.sleep(0)
            return caller().subject

    assert await asyncio.gather(who("a"), who("b")) == ["a", "b"]


def test_a_scope_is_held_or_not():
    Caller("app", frozenset({"a.read"})).require("a.read")

    for scope in ("a", "a.read.more", ""):
        with pytest.raises(Forbidden):
            Caller("app", frozenset({"a.read"})).require(scope)
