from catalog.definitions import definition_hash, parse_match
from catalog.expression import Predicate
from catalog.needs import references
from catalog.values import BOOL, INT, STRING
from catalog.vocabulary import BANK_EVENTS, SESSION_FIELDS, SESSION_TYPES

FIELDS = {"role": STRING, "valid": BOOL, "ms": INT}


def test_a_match_comes_apart_into_types_and_a_predicate():
    match = parse_match({"type": ("tap", "click"), "role": "submit"}, FIELDS)

    assert match.types == ("tap", "click")
    assert match.where == Predicate("role", "eq", "submit", STRING)
    assert match.fields == {"role"}


def test_a_match_without_fields_takes_every_fact_of_its_type():
    assert parse_match({"type": "tap"}, FIELDS).where is None
    assert parse_match({"signal": "rage_click"}, FIELDS).signal == "rage_click"


def test_needs_follow_from_what_is_read(harbour):
    assert harbour.needs["rage_click"] == {"behaviour"}
    assert harbour.needs["kyc_upload_frustration"] == {"interaction"}
    assert harbour.needs["hesitation"] == {"behaviour", "interaction"}


def test_needs_flow_through_referenced_signals(harbour):
    assert references(harbour.signal["rage_on_validation_error"]) == ("rage_click",)
    assert harbour.needs["rage_on_validation_error"] == {"behaviour", "interaction"}


def test_intents_also_need_the_category_inferred(harbour):
    assert harbour.needs["dispute_intent"] == {"behaviour", "interaction", "inferred"}


def test_friction_of_a_session_warrants_a_decision_unless_it_says_otherwise(harbour):
    assert harbour.signal["rage_click"].warrants_decision
    assert not harbour.signal["home_loan_reading"].warrants_decision
    assert harbour.signal["dispute_intent"].warrants_decision


def test_the_hash_ignores_prose_and_sees_everything_else(harbour):
    definition = harbour.signal["rage_click"]
    prose = definition.model_copy(update={"title": "Other", "why": "Other", "owner": "other", "examples": ()})
    other = definition.model_copy(update={"cooldown": 6_000})

    assert definition_hash(prose) == definition_hash(definition)
    assert definition_hash(other) != definition_hash(definition)


def test_every_session_type_and_field_has_one_category():
    assert {
        "screen_view": "behaviour",
        "upload_failed": "interaction",
        "flow_left": "interaction",
    }.items() <= SESSION_TYPES.items()
    assert SESSION_FIELDS["step"].category == "interaction"
    assert SESSION_FIELDS["screen"].category == "behaviour"


def test_optional_fields_of_bank_events_are_not_required():
    transaction = BANK_EVENTS["transaction"]

    assert {"merchant", "merchant_category", "counterparty", "country"} == set(
        transaction.fields
    ) - transaction.required
    assert transaction.fields["country"].category == "location"
