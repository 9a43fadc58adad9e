"""Real input: a Czech bank's transactions and recorded browser sessions. None of it is part of this repository."""

import asyncio
import gzip
import json
import os
import sys
from pathlib import Path

import pytest

from automaton import Fact, compile_bundle, refold
from catalog.loading import load_bundle
from harbour_bank import CATALOG, berka, rrweb

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("ASSENT_DATA") or REPOSITORY.parent / "shared" / "data")
PARTS = {"berka": berka.TRANSACTIONS, "web_sessions": "rrweb_player_checkout_demo_46s.json.gz"}
MISSING = [folder for folder, file in PARTS.items() if not (DATA / folder / file).exists()]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        bool(MISSING), reason=f"real data is not here ({', '.join(MISSING)}): name its folder in ASSENT_DATA"
    ),
]

CHECKOUT, REACT = "rrweb_player_checkout_demo_46s", "rrweb_player_demoit_react_81s"
PLAIN = {"id", "seq", "occurred_at_ms", "type", "attributes"}
NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="module")
def accounts():
    return berka.read(DATA / "berka")


@pytest.fixture(scope="module")
def recordings():
    return {name: rrweb.read(DATA / "web_sessions" / f"{name}.json.gz") for name in (CHECKOUT, REACT)}


def test_what_was_read_is_what_the_datas_own_page_says(accounts):
    counted = berka.facts(accounts)

    assert (counted.transactions, counted.penalty_interest, counted.negative_balance) == (79_302, 107, 178)
    assert (counted.pensions, counted.household) == (1_770, 5_911)


def test_every_row_becomes_a_transaction_and_a_balance_that_agree_to_the_heller(accounts):
    for account in accounts[::25]:
        found = list(berka.events(account, NOW_MS))
        amounts = [event.transaction.amount_minor for event in found if event.HasField("transaction")]
        balances = [event.balance.balance_minor for event in found if event.HasField("balance")]

        assert amounts == [round(row["amount"] * 100) for row in account.rows]
        assert balances == [round(row["balance"] * 100) for row in account.rows]
        assert len({event.event_id for event in found}) == len(found)


def test_every_owner_has_an_age_that_people_reach(accounts):
    ages = [berka.age(account.birth_number, account.last) for account in accounts]

    assert 8 <= min(ages) <= max(ages) <= 100


def test_both_recordings_become_session_events(recordings):
    told = {name: (each.raw, len(each.events), each.typed) for name, each in recordings.items()}

    assert told == {CHECKOUT: (279, 105, 64), REACT: (272, 23, 0)}


def test_nothing_that_was_typed_in_the_checkout_comes_out(recordings):
    with gzip.open(DATA / "web_sessions" / f"{CHECKOUT}.json.gz", "rt", encoding="utf-8") as file:
        raw = json.load(file)
    typed = {entry["data"]["text"] for entry in raw if entry["type"] == 3 and entry["data"].get("source") == 5}
    told = {v for event in recordings[CHECKOUT].events for f, v in event.ListFields() if isinstance(v, str)}

    assert len([text for text in typed if len(text) > 3]) > 10
    assert not [text for text in typed for value in told if len(text) > 3 and text in value]


def test_filling_in_the_checkout_is_not_rage(recordings):
    fired = {detection.definition for detection in detected(recordings[CHECKOUT])}

    assert "rage_click" not in fired


def detected(recording: rrweb.Recording):
    facts = [
        Fact("session", e.occurred_at_ms, e.id, e.type, {f.name: v for f, v in e.ListFields() if f.name not in PLAIN})
        for e in recording.events
    ]
    return refold(compile_bundle(load_bundle(CATALOG), only=["rage_click"]), facts, assumed=True)


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_the_demonstration_on_real_input_ends_by_itself_with_exit_code_0():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "assent_cli", "demo", "--real", str(DATA)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(280):
        output, _ = await process.communicate()
    said = output.decode()

    assert process.returncode == 0, said
    assert "79,302" in said
    assert "1,000 decisions" in said
    assert "0 rejected" in said
