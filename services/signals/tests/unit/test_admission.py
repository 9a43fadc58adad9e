"""What is taken, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.errors import Invalid
from servicekit.ids import uuid7
from signals_service.domain.admission import check_batch, gate, judge
from signals_service.domain.events import Batch, Event, Limits, Status, Vocabulary
from signals_service.domain.rates import Rates
from signals_service.domain.values import is_sensitive, is_token, luhn

WORDS = Vocabulary(
    {"tap": "behaviour", "upload_failed": "interaction", "loss": "interaction", "quiz": "interaction"},
    {"quiz": {"score": ("int", "interaction"), "topic": ("token", "behaviour"), "passed": ("bool", "interaction")}},
)
LIMITS = Limits()
DAY = 24 * 3_600_000
NOW = 1_800_000_000_000
BATCH = Batch(uuid7(NOW, bytes(10)), "session-0001", "visitor-0001", "", "mobile", "harbour", "1.2.3", NOW, [], 100)


def event(**changed) -> Event:
    return replace(Event(0, uuid7(NOW, bytes(10)), NOW, "upload_failed", {}), **changed)


def status(**changed) -> Status:
    return judge(event(**changed), BATCH, WORDS, LIMITS).status


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Status.ACCEPTED),
        ({"type": "dance"}, Status.UNKNOWN_TYPE),
        ({"size": 2048}, Status.ACCEPTED),
        ({"size": 2049}, Status.TOO_LARGE),
        ({"occurred_at_ms": NOW - DAY}, Status.ACCEPTED),
        ({"occurred_at_ms": NOW - DAY - 1}, Status.TOO_OLD),
        ({"occurred_at_ms": NOW + DAY + 1}, Status.BAD_FIELD),
        ({"id": "1"}, Status.BAD_FIELD),
        ({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, Status.ACCEPTED),
        ({"fields": {"screen": "Hello you"}}, Status.BAD_FIELD),
        ({"fields": {"screen": "a" * 64}}, Status.ACCEPTED),
        ({"fields": {"screen": "a" * 65}}, Status.BAD_FIELD),
        ({"fields": {"screen": ""}}, Status.BAD_FIELD),
        ({"fields": {"screen": "a123456"}}, Status.ACCEPTED),
        ({"fields": {"screen": "a1234567"}}, Status.SENSITIVE_VALUE),
        ({"fields": {"screen": "4111-1111-1111-1111"}}, Status.SENSITIVE_VALUE),
        ({"fields": {"ms": 4111111111111111}}, Status.SENSITIVE_VALUE),
        ({"fields": {"ms": DAY + 1}}, Status.BAD_FIELD),
        ({"fields": {"area": "kitchen"}}, Status.BAD_FIELD),
        ({"fields": {"length_bucket": "17+"}}, Status.ACCEPTED),
        ({"fields": {"length_bucket": "6"}}, Status.BAD_FIELD),
        ({"attributes": [("a", 1)] * 17}, Status.BAD_FIELD),
    ],
)
def test_the_status_of_an_event(changed, expected):
    assert status(**changed) is expected


def test_attributes_that_may_not_stay_are_named_and_removed():
    given_attributes = [
        ("score", 3),
        ("topic", "free text!"),
        ("mystery", 1),
        ("passed", "yes"),
        ("score", 4111111111111111),
    ]

    verdict = judge(event(type="quiz", attributes=given_attributes), BATCH, WORDS, LIMITS)

    assert verdict.status is Status.ACCEPTED_REDACTED
    assert verdict.names == ("topic", "attributes[2]", "passed", "score")
    assert verdict.event is not None
    assert verdict.event.attributes == (("score", 3),)


def test_an_event_of_a_category_that_is_not_granted_is_not_allowed():
    verdict = judge(event(type="tap"), BATCH, WORDS, LIMITS)

    assert gate(verdict, WORDS, frozenset({"interaction"})).status is Status.NOT_ALLOWED


def test_fields_and_attributes_of_other_categories_are_removed():
    verdict = judge(
        event(type="quiz", fields={"flow": "kyc", "screen": "a"}, attributes=[("score", 1), ("topic", "rates")]),
        BATCH, WORDS, LIMITS,
    )  # fmt: skip

    kept = gate(verdict, WORDS, frozenset({"interaction"})).event

    assert kept is not None
    assert (kept.fields, kept.attributes) == ({"flow": "kyc"}, (("score", 1),))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"batch_id": "x"}, "batch_id"),
        ({"session": "short"}, "session"),
        ({"session": "4111 1111 1111 1111"}, "session"),
        ({"visitor": ""}, "visitor"),
        ({"subject_id": "me"}, "subject_id"),
        ({"channel": "Mobile App"}, "channel"),
        ({"events": []}, "events"),
        ({"events": [event()] * 201}, "events"),
        ({"size": 65_537}, "events"),
        ({"sent_at_ms": 0}, "sent_at_ms"),
    ],
)
def test_a_batch_that_is_not_right_names_its_field(changed, field):
    with pytest.raises(Invalid) as error:
        check_batch(replace(replace(BATCH, events=[event()]), **changed), LIMITS)

    assert error.value.field == field


def test_a_batch_at_every_limit_is_right():
    check_batch(replace(BATCH, events=[event()] * 200, size=65_536), LIMITS)


def _card(digits: str) -> str:
    return next(digits + str(check) for check in range(10) if luhn(digits + str(check)))


@given(
    st.text("0123456789", min_size=14, max_size=15),
    st.sampled_from(["", "-", ".", ":", "_"]),
    st.sampled_from(["", "a", "pay."]),
)
def test_a_card_number_is_found_however_it_is_grouped(digits, separator, prefix):
    card = _card(digits)

    assert is_sensitive(prefix + separator.join(card[place : place + 4] for place in range(0, len(card), 4)))


@given(st.text(max_size=70))
def test_text_is_a_token_only_when_it_holds_nothing_else(text):
    if is_token(text):
        assert text.isascii()
        assert len(text) <= 64
        assert not set(text) & set(" <>'\"\n\x00")


def test_a_session_may_send_its_burst_and_then_its_rate():
    rates = Rates(LIMITS)
    rates.take("s", "b1", rates.allowance("s", "b1", 0), 0)

    assert rates.allowance("s", "b2", 0) == 0
    assert rates.wait_ms("s", 0) == 20
    assert rates.allowance("s", "b2", 1000) == 50
    assert rates.allowance("s", "b1", 0) == 200


def test_a_session_of_more_than_8_hours_is_over():
    rates = Rates(LIMITS)
    rates.take("s", "b1", 1, 0)

    assert rates.allowance("s", "b2", LIMITS.session_ms) > 0
    assert rates.allowance("s", "b3", LIMITS.session_ms + 1) == 0
