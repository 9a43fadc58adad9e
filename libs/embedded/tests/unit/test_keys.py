import pytest

from embedded.keys import Keys
from servicekit.auth import FileKeys, ServiceTokenVerifier, TokenVerifier
from servicekit.vkeys import read_vkeys


@pytest.fixture
def keys(tmp_path):
    made = Keys(tmp_path / "keys")
    made.create(["consent", "profile"])
    return made


async def test_a_token_is_accepted_with_its_scopes(keys):
    verifier = TokenVerifier(FileKeys(keys.jwks), issuer=keys.issuer, audience=keys.audience)
    caller = await verifier.caller_of(keys.token("channel", ["orchestration.decide"]))

    assert (caller.subject, caller.scopes) == ("channel", {"orchestration.decide"})


async def test_a_service_proves_itself_to_its_sibling(keys):
    verifier = ServiceTokenVerifier(
        FileKeys(keys.service_keys), service="consent", callers={"profile": ["consent.link"]}
    )
    caller = await verifier.caller_of(keys.identity("profile").token("consent"))

    assert (caller.service, caller.scopes) == ("profile", {"consent.link"})


def test_keys_are_made_once(keys):
    before = keys.issuer_key.read_bytes(), keys.tracking_key.read_bytes()
    keys.create(["consent", "profile", "ranking"])

    assert (keys.issuer_key.read_bytes(), keys.tracking_key.read_bytes()) == before


def test_the_basis_key_is_named_like_the_ledger(keys):
    [key] = read_vkeys(keys.basis_keys)

    assert (key.name, key.public()) == ("harbour", keys.statement().public_key())
