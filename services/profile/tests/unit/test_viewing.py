"""What is remembered of a view, and for how long."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from profile_service.catalogue import Plan
from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Reading
from profile_service.domain.fold import REGISTERS
from profile_service.domain.view import Declared, View
from profile_service.ports import Held
from profile_service.viewing import Asked, Question, Shelf, Shown, get_view
from servicekit import basis
from servicekit.basis import SignedBasis, Verifier
from servicekit.clock import FixedClock
from servicekit.vkeys import verifier_key

NOW = 20_000 * DAY_MS
KEY = Ed25519PrivateKey.generate()
VKEY = verifier_key("harbour", KEY.public_key())
LEDGER = basis.ledger_id("harbour")


class CountedRows:
    """One subject, which was said to be called something; remembers whether whole rows were asked for."""

    def __init__(self) -> None:
        self.name = "Mara"
        self.position = 1
        self.read = 0

    async def held(self, subject: str, _first: int, _last: int, *, seen: Mapping[str, int] | None = None) -> Held:
        if seen == {subject: self.position}:
            return Held(self.position, seen, None)
        self.read += 1
        return Held(self.position, {subject: self.position}, {subject: {REGISTERS: {"trait\tname": [1, 1, self.name]}}})


class OnePlan:
    """A bundle that declares a name, which is identity."""

    def __init__(self) -> None:
        self.made = Plan({"view.name": Declared("view.name", "string", None, "identity", None, _name)})

    async def plan(self, _digest: str) -> Plan:
        return self.made


def _name(history, _now_ms):
    found = history.register("trait", "name")
    return found and Reading(found[1], found[0])


def write(view: View) -> bytes:
    return repr([[one.value for one in view.given], [why.value for _, why in view.withheld]]).encode()


def signed(*categories: str, at_us: int = NOW * 1000) -> SignedBasis:
    allowed = [{"purpose": "offers", "categories": list(categories), "basis": "consent", "support": 1}]
    body = {
        "v": 1, "ledger": LEDGER, "epoch": 1, "index": 1, "subject": "s", "members": ["s"], "channel": "app",
        "recipient": "self", "regimes": [], "registry": "sha256:0", "at": at_us, "not_after": at_us + 10**7,
        "kid": VKEY.key_id, "denied": [], "allowed": allowed,
    }  # fmt: skip
    return basis.sign(body, KEY, VKEY.key_id)


@pytest.fixture
def rows() -> CountedRows:
    return CountedRows()


@pytest.fixture
def ask(rows):
    verifier, catalog, shelf = Verifier(basis.public_keys([VKEY]), ledger=LEDGER), OnePlan(), Shelf()

    async def asked(given: SignedBasis, now_ms: int = NOW) -> tuple[bytes, int]:
        return await get_view(
            Asked(given, "s", "app"),
            verifier=verifier,
            profiles=rows,
            catalog=catalog,
            shelf=shelf,
            clock=FixedClock(now_ms * 1000),
            write=write,
        )

    return asked


async def test_the_same_question_is_answered_from_memory_with_the_position_of_now(ask, rows):
    first = await ask(signed("identity"))
    again = await ask(signed("identity", at_us=NOW * 1000 - 1), NOW + 1)

    assert first == again == (b"[['Mara'], []]", 1)
    assert rows.read == 1


async def test_what_was_folded_since_is_seen(ask, rows):
    await ask(signed("identity"))
    rows.name, rows.position = "Maria", 2

    assert await ask(signed("identity")) == (b"[['Maria'], []]", 2)


async def test_a_basis_that_allows_less_gets_less(ask):
    await ask(signed("identity"))

    assert await ask(signed("holding")) == (b"[[], ['no_consent']]", 1)


async def test_another_day_is_another_view(ask, rows):
    await ask(signed("identity"))
    tomorrow = NOW + DAY_MS

    await ask(signed("identity", at_us=tomorrow * 1000), tomorrow)

    assert rows.read == 2


def shown(until: int) -> Shown:
    return Shown(Question(Plan({}), (), frozenset(), {}), range(until), {}, b"")


def test_the_shelf_forgets_the_subject_that_was_not_asked_for_longest():
    shelf, question = Shelf(2), shown(10).question
    first, second, third = (shown(10)._replace(question=question) for _ in range(3))
    shelf.keep("a", first, 0)
    shelf.keep("b", second, 0)
    shelf.get("a", question, 5)
    shelf.keep("c", third, 0)

    assert [shelf.get(name, question, 5) for name in ("a", "b", "c")] == [first, None, third]


def test_what_ran_out_is_gone_when_the_next_view_comes():
    shelf, old = Shelf(), shown(10)
    shelf.keep("a", old, 0)
    shelf.keep("b", shown(100), 50)

    assert shelf.get("a", old.question, 5) is None
