"""Bases are reused while they hold, and never beyond."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from servicekit.basis import SignedBasis, Verifier, ledger_id, public_keys, sign
from servicekit.clock import FixedClock
from servicekit.errors import Forbidden, Unavailable
from servicekit.vkeys import verifier_key
from signals_service.bases import CachedBases

KEY = Ed25519PrivateKey.generate()
NAMED = verifier_key("harbour", KEY.public_key())
START_US = 1_800_000_000_000_000


class MemoryLedger:
    """Signs what is asked; `meanwhile` runs while an answer is on its way."""

    def __init__(self, clock: FixedClock, key: Ed25519PrivateKey = KEY) -> None:
        self.asked = 0
        self.down = False
        self.meanwhile = lambda: None
        self._clock = clock
        self._key = key

    async def evaluate(self, subject: str, channel: str, *, ttl_ms: int) -> SignedBasis:
        self.asked += 1
        if self.down:
            raise Unavailable(reason="CONSENT_UNAVAILABLE")
        self.meanwhile()
        now = self._clock.now_us()
        body = {
            "v": 1, "ledger": ledger_id("harbour"), "epoch": 1, "index": self.asked, "subject": subject,
            "members": [subject, "absorbed"], "channel": channel, "registry": "r", "at": now,
            "not_after": now + ttl_ms * 1000, "kid": NAMED.key_id, "allowed": [],
        }  # fmt: skip
        return sign(body, self._key, NAMED.key_id)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START_US)


@pytest.fixture
def ledger(clock) -> MemoryLedger:
    return MemoryLedger(clock)


@pytest.fixture
def bases(ledger, clock) -> CachedBases:
    return CachedBases(ledger, Verifier(public_keys([NAMED]), ledger=ledger_id("harbour")), clock)


async def test_a_basis_is_asked_for_once_per_channel(bases, ledger):
    await bases.of("u", "mobile")
    await bases.of("u", "mobile")
    await bases.of("u", "web")

    assert ledger.asked == 2


async def test_a_basis_that_ends_is_asked_for_again(bases, ledger, clock):
    await bases.of("u", "mobile")
    clock.advance(29_900_000)

    await bases.of("u", "mobile")

    assert ledger.asked == 2


@pytest.mark.parametrize("named", ["u", "absorbed"])
async def test_a_change_of_the_subject_or_a_linked_one_asks_again(bases, ledger, named):
    await bases.of("u", "mobile")

    bases.invalidate(named)
    await bases.of("u", "mobile")

    assert ledger.asked == 2


async def test_a_change_while_the_answer_is_on_its_way_is_not_overlooked(bases, ledger):
    ledger.meanwhile = lambda: bases.invalidate("u")
    await bases.of("u", "mobile")

    await bases.of("u", "mobile")

    assert ledger.asked == 2


async def test_the_ledger_being_away_is_said_even_if_it_answered_before(bases, ledger, clock):
    await bases.of("u", "mobile")
    clock.advance(30_000_000)
    ledger.down = True

    with pytest.raises(Unavailable):
        await bases.of("u", "mobile")


async def test_a_basis_of_another_key_is_refused(clock):
    forger = MemoryLedger(clock, Ed25519PrivateKey.generate())
    bases = CachedBases(forger, Verifier(public_keys([NAMED]), ledger=ledger_id("harbour")), clock)

    with pytest.raises(Forbidden):
        await bases.of("u", "mobile")
