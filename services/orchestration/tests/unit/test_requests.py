"""What a request must be: every refusal names the field, and never repeats the value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestration_fakes import Identifier, a_request, bundle, pb

from assent.catalog.v1.value_pb2 import Attribute, IdSet, Money, Value
from orchestration_service.requests import check_decide, check_watch
from servicekit.errors import AssentError, Invalid, NotFound

CANARY = "canary-4711"


def with_attribute(name="context.offer_code", **value):
    request = a_request()
    request.context.attributes.add(name=name, value=Value(**value))
    return request


@pytest.fixture
def declared():
    """The bundle with context attributes of several types."""
    like = next(a for a in bundle().attributes if a.id == "context.screen")
    more = [
        like.model_copy(update={"id": "context.tries", "type": "int"}),
        like.model_copy(update={"id": "context.offer_code", "type": "string"}),
        like.model_copy(update={"id": "context.mood", "type": "enum", "values": ("calm", "cross")}),
        like.model_copy(update={"id": "context.tags", "type": "set"}),
        like.model_copy(update={"id": "context.amount", "type": "money", "currency": "EUR"}),
    ]
    return bundle().model_copy(update={"attributes": (*bundle().attributes, *more)})


def field_of(request, known=None) -> str | None:
    with pytest.raises(AssentError) as caught:
        check_decide(request, known or bundle())
    assert CANARY not in str(caught.value)
    return caught.value.field


def test_a_right_request_passes():
    check_decide(a_request(), bundle())


@pytest.mark.parametrize(
    "request_id", ["", "short", "a" * 15, "a" * 65, "a" * 15 + "\n", "ä" * 16, "x" * 20 + "; DROP"]
)
def test_a_request_id_is_sixteen_to_sixty_four_plain_characters(request_id):
    request = a_request()
    request.request_id = request_id

    assert field_of(request) == "request_id"


@pytest.mark.parametrize("channel", ["", "fax", CANARY, "mobile\x00", "m" * 100_000])
def test_an_unknown_channel_is_not_found(channel):
    request = a_request()
    request.channel = channel
    with pytest.raises(NotFound) as caught:
        check_decide(request, bundle())

    assert (caught.value.code, caught.value.field) == ("UNKNOWN_CHANNEL", "channel")


@pytest.mark.parametrize("locale", ["", "english", "en_GB", "EN-gb", "en-GB\n", "{{locale}}", "e" * 100_000])
def test_a_bad_locale_is_named(locale):
    request = a_request()
    request.locale = locale

    assert field_of(request) == "locale"


@pytest.mark.parametrize("name", ["", "no.such", "push", CANARY, "home.hero\x00", "h" * 100_000])
def test_a_placement_that_the_channel_does_not_have_is_not_found(name):
    request = a_request("home.hero")
    request.placements.add(id=name)
    with pytest.raises(NotFound) as caught:
        check_decide(request, bundle())

    assert (caught.value.code, caught.value.field) == ("UNKNOWN_PLACEMENT", "placements[1].id")


def test_a_placement_is_asked_for_once():
    assert field_of(a_request("home.hero", "home.list", "home.hero")) == "placements[2].id"


@pytest.mark.parametrize("count", [0, 17])
def test_there_are_one_to_sixteen_placements(count):
    request = a_request()
    del request.placements[:]
    request.placements.extend([pb.PlacementRequest(id="home.hero")] * count)

    assert field_of(request) == "placements"


@pytest.mark.parametrize("kind", ["", "passport", CANARY])
def test_an_unknown_type_of_identifier_is_named(kind):
    request = a_request()
    request.subject.type = kind
    assert field_of(request) == "subject.type"


@pytest.mark.parametrize("value", ["", "a\x00b", "line\nfeed", "\u202eevil", "v" * 257])
def test_an_identifier_is_printable_and_not_too_long(value):
    request = a_request()
    request.subject.value = value

    assert field_of(request) == "subject.value"


@pytest.mark.parametrize("name", ["screen", "flow", "step", "device_class"])
@pytest.mark.parametrize("value", ["two words", "a\x00", "'; DROP TABLE decision; --", "{{7*7}}", "x" * 65, "ü"])
def test_hostile_context_is_named(name, value):
    request = a_request()
    setattr(request.context, name, value)

    assert field_of(request) == f"context.{name}"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe/", "x" * 65, "a b"])
def test_a_time_zone_that_there_is_not_is_named(zone):
    request = a_request()
    request.context.time_zone = zone

    assert field_of(request) == "context.time_zone"


def test_a_time_zone_that_there_is_passes():
    request = a_request()
    request.context.time_zone = "Europe/Berlin"

    check_decide(request, bundle())


@pytest.mark.parametrize("name", ["context.no_such", "view.balance", "", CANARY, "context.", "c" * 100_000])
def test_an_attribute_that_the_bundle_does_not_declare_is_named(name):
    assert field_of(with_attribute(name, text="x")) == "context.attributes[0].name"


@pytest.mark.parametrize("name", ["channel", "jurisdictions", "screen", "flow", "step", "device_class", "time_zone"])
def test_what_has_a_field_of_its_own_or_is_ours_is_no_attribute(name):
    assert field_of(with_attribute(f"context.{name}", text="web")) == "context.attributes[0].name"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tries", {"text": "three"}),
        ("tries", {"boolean": True}),
        ("tries", {}),
        ("offer_code", {"integer": 3}),
        ("offer_code", {"text": "two words"}),
        ("offer_code", {"text": "x" * 65}),
        ("mood", {"text": "furious"}),
        ("tags", {"text": "abc"}),
        ("tags", {"set": IdSet(ids=["bad one"])}),
        ("tags", {"set": IdSet(ids=[f"t{n}" for n in range(65)])}),
        ("amount", {"money": Money(amount_minor=5, currency="USD")}),
    ],
)
def test_a_value_of_another_type_is_named(declared, name, value):
    assert field_of(with_attribute(f"context.{name}", **value), declared) == "context.attributes[0].value"


def test_values_of_the_declared_types_pass(declared):
    request = with_attribute("context.tries", integer=3)
    request.context.attributes.add(name="context.mood", value=Value(text="cross"))
    request.context.attributes.add(name="context.tags", value=Value(set=IdSet(ids=["a", "b"])))
    request.context.attributes.add(name="context.amount", value=Value(money=Money(amount_minor=5, currency="EUR")))

    check_decide(request, declared)


def test_an_attribute_is_given_once(declared):
    request = with_attribute("context.tries", integer=3)
    request.context.attributes.add(name="context.tries", value=Value(integer=4))

    assert field_of(request, declared) == "context.attributes[1].name"


def test_there_are_at_most_thirty_two_attributes(declared):
    request = a_request()
    request.context.attributes.extend([Attribute(name="context.tries", value=Value(integer=3))] * 33)

    assert field_of(request, declared) == "context.attributes"


@pytest.mark.parametrize("session", ["", "a b", "s" * 65])
def test_a_stream_belongs_to_a_session(session):
    request = pb.WatchDecisionsRequest(session_id=session)
    with pytest.raises(Invalid) as caught:
        check_watch(request, bundle())

    assert caught.value.field == "session_id"


def test_nobody_watches_a_channel_that_goes_out():
    request = pb.WatchDecisionsRequest(session_id="session-1", channel="push", locale="en-GB")
    request.subject.CopyFrom(Identifier(type="visitor", value="v"))
    request.placements.add(id="push")
    with pytest.raises(Invalid) as caught:
        check_watch(request, bundle())

    assert caught.value.field == "channel"


@given(st.text(max_size=80))
def test_whatever_the_text_it_passes_or_a_field_is_named(text):
    for change in ("session_id", "locale", "channel", "request_id"):
        request = a_request()
        setattr(request, change, text)
        fault = fault_of(request)
        assert fault is None or fault.field == change
        assert fault is None or len(text) < 4 or text not in str(fault)


def fault_of(request) -> AssentError | None:
    try:
        check_decide(request, bundle())
    except AssentError as error:
        return error
    return None
