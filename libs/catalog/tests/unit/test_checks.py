"""Each rule of the catalog, broken once in an otherwise clean bundle."""

import shutil

import pytest

from catalog.checks import lint


@pytest.fixture
def folder(harbour_folder, tmp_path):
    return shutil.copytree(harbour_folder, tmp_path / "catalog")


def change(folder, file, old, new):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def line_of(folder, file, needle):
    return next(n for n, line in enumerate((folder / file).read_text().splitlines(), 1) if needle in line)


def codes(folder):
    return {finding.code for finding in lint(folder).findings}


def test_the_example_bank_is_clean(harbour_folder):
    assert lint(harbour_folder).findings == ()


ACTIONS = "actions/help.yaml"
OFFERS = "actions/offers.yaml"
RULES = "policies/rules.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        (ACTIONS, "warranted_by: [hesitation]", "warranted_by: [hesitating]", "UNKNOWN_REFERENCE"),
        (ACTIONS, "placements: [kyc.upload.inline]", "placements: [kyc.upload]", "UNKNOWN_REFERENCE"),
        (ACTIONS, "purpose: assistance", "purpose: assist", "UNKNOWN_REFERENCE"),
        (ACTIONS, "message: kyc-time-left", "message: kyc-time-gone", "TEXT_MISSING"),
        (ACTIONS, 'fallback: {en-GB: "Almost done: this takes about two more minutes.", de-DE', "fallback: {de-DE", "FALLBACK_MISSING"),
        (ACTIONS, "  - {id: terms_live_chat.opening, channels: [chat]", "  - {id: terms_live_chat.opening, channels: [push]", "TREATMENT_MISSING"),
        (ACTIONS, "warranted_by: [hesitation]", "warranted_by: [marketing_application_pinball]\n  sells: true", "SELLS"),
        (ACTIONS, "id: kyc_time_left\n", "id: kyc_photo_help\n", "DUPLICATE_ID"),
        (OFFERS, "purpose: offers\n", "purpose: servicing\n", "CONSENT_BYPASS"),
        (OFFERS, "purpose: offers\n", "purpose: advice\n", "CATEGORY"),
        (OFFERS, "contact_class: marketing", "contact_class: service", "CONTACT_CLASS"),
        (OFFERS, "  validity: {from: 2026-01-01}", "  validity: {from: 2026-01-01, until: 2025-01-01}", "VALIDITY"),
        (OFFERS, "model: offers", "model: bigger", "UNKNOWN_REFERENCE"),
        (OFFERS, "  model: offers", "  model: offers\n  mandatory: true", "MANDATORY"),
        ("ranking.yaml", "{sales: 0,", "{sales: 900,", "LEVER"),
        ("messages/en-GB/offers.ftl", "    .title-without = Your cash could earn interest\n", "", "ALTERNATIVE_MISSING"),
        ("messages/en-GB/offers.ftl", "$view-idle_cash } could", "$view-idle } could", "UNKNOWN_REFERENCE"),
        ("messages/en-GB/offers.ftl", "$view-idle_cash } could", "$view-holdings } could", "TYPE"),
        ("messages/en-GB/offers.ftl", "$view-idle_cash } could", "$view-age_years } could", "PROHIBITED_ATTRIBUTE"),
        ("messages/en-GB/offers.ftl", "Your cash could earn interest", "Interest! " * 12, "TEXT_TOO_LONG"),
        ("messages/en-GB/offers.ftl", "gold-card =", "gold card =", "FLUENT"),
        ("messages/en-GB/offers.ftl", "gold-card =", "spare-text = Nobody says this\ngold-card =", "TEXT_UNUSED"),
        (RULES, ", permission: eu.capacity", "", "PROHIBITED_ATTRIBUTE"),
        (RULES, "stage: eligibility, scope: {issue: sales}, permission", "stage: suitability, scope: {issue: sales}, permission", "PROHIBITED_ATTRIBUTE"),
        (RULES, "scope: {issue: sales}, permission", "scope: all, permission", "PROHIBITED_ATTRIBUTE"),
        (RULES, "view.age_years: {gte: 18}", "view.age: {gte: 18}", "UNKNOWN_ATTRIBUTE"),
        (RULES, "view.age_years: {gte: 18}", "view.age_years: old", "TYPE"),
        (RULES, "view.age_years: {gte: 18}", "all: []", "EMPTY"),
        (RULES, "scope: {group: wealth}", "scope: {group: welth}", "UNKNOWN_REFERENCE"),
        (RULES, "stage: suppression,", "stage: suppression, missing: pass,", "MISSING_ON_PROTECTIVE"),
        (RULES, "{not: {view.kyc_state: {in: [in_review, expiring]}}}", "{view.kyc_state: {present: true}}", "MISSING_ON_PROTECTIVE"),
        (RULES, "id: sales.adult", "id: builtin.adult", "PROTECTED"),
        (RULES, "strength: 1", "strength: 3", "HELP_FIRST"),
        (RULES, "reason-min-age", "reason-min-wage", "TEXT_MISSING"),
        (RULES, "require: {context.flow: kyc}", "require: {view.risk_appetite: bold}", "CATEGORY"),
        ("policies/contact.yaml", "pause: 60d", "pause: 0d", "BAD_VALUE"),
        ("policies/contact.yaml", "channels: [email], classes: [marketing]", "channels: [email], classes: [fraud]", "LIMIT_CLASS"),
        ("policies/contact.yaml", "pause: 60d, ", "", "MISSING_FIELD"),
        ("packs/EU@1.yaml", "    tag: age", "    tag: wealth", "UNKNOWN_REFERENCE"),
        ("purposes.yaml", "- id: contact_control", "- id: contact_rules", "PROTECTION_MISSING"),
        ("purposes.yaml", "- id: offers\n", "- id: offer\n", "UNKNOWN_REFERENCE"),
        ("purposes.yaml", "  notices: [personal_help]\n", "", "NOTICE"),
        ("purposes.yaml", '  special_ground: {gdpr: "9(2)(g)", uk_ob: "9(2)(g)"}\n', "", "SPECIAL_GROUND"),
        ("purposes.yaml", "lawful_basis: {gdpr: consent, cpra: opt_out", "lawful_basis: {gdpr: opt_out, cpra: opt_out", "BASIS"),
        ("purposes.yaml", "uk_ob: consent}\n  notices: [personal_offers]", "uk_ob: consent}\n  needs_consent: false\n  notices: [personal_offers]", "NEEDS_CONSENT"),
        ("purposes.yaml", "categories: [behaviour, interaction, transaction, inferred]\n  channels", "categories: [interaction]\n  channels", "NOTICE_SCOPE"),
        ("purposes.yaml", "  recipients: [self, advisor_network]\n  texts", "  recipients: [everyone]\n  texts", "UNKNOWN_REFERENCE"),
        ("bank.yaml", "regimes: [gdpr]", "regimes: [hipaa]", "UNKNOWN_REFERENCE"),
        ("bank.yaml", "Europe/Berlin", "Europe/Bonn", "TIME_ZONE"),
        ("bank.yaml", "packs: [EU@1]", "packs: [EU@2]", "UNKNOWN_REFERENCE"),
        ("channels.yaml", 'channels: [push], from: "21:30"', 'channels: [mobile], from: "21:30"', "QUIET_HOURS"),
        ("channels.yaml", "max_items: 3, formats: [card]", "max_items: 0, formats: [card]", "SIZE"),
        ("data.yaml", "type: enum, values: [DE, AT, NL, FR, IE, OTHER]", "type: enum", "TYPE"),
        ("data.yaml", "type: money, currency: EUR, category: holding", "type: money, category: holding", "CURRENCY"),
        ("data.yaml", "purpose: offers, from: transaction, of: amount_minor", "purpose: assistance, from: transaction, of: amount", "UNKNOWN_REFERENCE"),
        ("data.yaml", "detector: idle_cash", "detector: idle_crash", "UNKNOWN_REFERENCE"),
        ("data.yaml", "category: location, owner: cards, purpose: money_insights", "category: location, owner: cards, purpose: offers", "CATEGORY"),
        ("data.yaml", "of: [view.card_balance, view.card_limit]", "of: [view.card_balance, view.spend_trend]", "TYPE"),
        ("data.yaml", "when: {view.travel_spend_90d: {gte: 60000}}", "when: {view.travel_spend_90d: many}", "TYPE"),
        ("signals/friction.yaml", "{type: upload_failed, reason: $unusable_photo}", "{type: upload_fails, reason: $unusable_photo}", "UNKNOWN_REFERENCE"),
        ("signals/friction.yaml", "{signal: rage_click}], within: 20s", "{signal: rage_on_validation_error}], within: 20s", "CYCLE"),
        ("signals/friction.yaml", "at_least: 3, gap: 1s", "at_least: 3, gap: 20ms", "NEVER_FIRES"),
        ("signals/friction.yaml", "direction: back}, at_least", "direction: backwards}, at_least", "UNKNOWN_VALUE"),
        ("signals/friction.yaml", "for: 10s", "for: 9h", "WINDOW"),
        ("signals/friction.yaml", "  - {fires: 0, edge: true, events: [{at: 0s, type: tap, target: pay}, {at: 2001ms, type: error, reason: server}]}\n", "", "EXAMPLE_MISSING"),
        ("signals/intent.yaml", "  purpose: assistance", "  purpose: security", "CATEGORY"),
        ("ranking.yaml", "from: view.balance,", "from: view.age_years,", "PROHIBITED_ATTRIBUTE"),
        ("ranking.yaml", "from: view.balance,", "from: view.holdings,", "TYPE"),
        ("ranking.yaml", "{hash: 4}", "{hash: 40}", "SIZE"),
        ("ranking.yaml", "base_rate: 0.02", "base_rate: 2", "SIZE"),
        ("ranking.yaml", "context.screen: {in: [card_overview, card_detail]}", "view.sex: female", "PROHIBITED_ATTRIBUTE"),
        ("ranking.yaml", "  - wealth_plan\n", "", "STATIC_ORDER"),
        ("experiments.yaml", "kyc_photo_help: warm", "kyc_photo_help: cold", "UNKNOWN_REFERENCE"),
        ("experiments.yaml", "share: 9300", "share: 9000", "BAD_VALUE"),
        ("experiments.yaml", "{context.channel: {in: [mobile, web]}}", "{view.nationality: Austrian}", "PROHIBITED_ATTRIBUTE"),
        ("tests/help.yaml", "channel: mobile", "channel: moblie", "UNKNOWN_REFERENCE"),
        ("tests/money.yaml", "view.age_years: 34", "view.age_years: middle", "TYPE"),
        ("journeys/card_activation.yaml", "abandoned_after: 10m", "abandoned_after: 10s", "SIZE"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found(folder, file, old, new, code):
    change(folder, file, old, new)

    assert code in codes(folder)


def test_a_finding_names_the_line_and_the_fix(folder):
    change(folder, ACTIONS, "warranted_by: [hesitation]", "warranted_by: [hesitating]")

    [finding] = lint(folder).findings

    assert (finding.position.file, finding.position.line) == (ACTIONS, line_of(folder, ACTIONS, "hesitating"))
    assert finding.level == "error"
    assert "hesitating" in finding.message
    assert finding.fix


def test_a_prohibited_tag_flows_through_derived_attributes_and_segments(folder):
    change(
        folder,
        "data.yaml",
        "derived:\n",
        "derived:\n- {id: derived.years, title: Y, owner: o, op: add, of: [view.age_years, view.age_years], type: int}\n",
    )
    change(folder, "data.yaml", "when: {view.travel_spend_90d: {gte: 60000}}", "when: {derived.years: {gte: 60}}")

    assert "PROHIBITED_ATTRIBUTE" in codes(folder)


def test_a_signal_that_is_never_returned_cannot_warrant(folder):
    change(
        folder,
        "signals/friction.yaml",
        "  title: Stands still on a critical step",
        "  mode: shadow\n  title: Stands still on a critical step",
    )

    assert "SIGNAL_HIDDEN" in codes(folder)


def test_offers_need_friction_signals(folder):
    (folder / "signals/friction.yaml").unlink()

    assert "HELP_FIRST" in codes(folder)
