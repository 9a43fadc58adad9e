"""What a recorded decision rested on, and what is wrong with that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consent_fakes import DAY, KEY, LEDGER, NOW, VKEY, a_registry, grant, screen
from decision_samples import a_field, a_record, recorded

from consent_service.domain import basis as bases
from consent_service.domain import verdicts
from consent_service.domain.acceptance import accept
from consent_service.reliance.assessing import assess
from consent_service.reliance.decisions import decided
from servicekit import basis as kit
from servicekit.errors import Invalid

REGISTRY = a_registry()
AT = NOW + 5


def a_basis(*items, subject="anna", channel="mobile", at_us=AT, index=9, ledger=LEDGER, ttl_us=10_000_000):
    statements = accept(REGISTRY, screen(*items), first_index=4, now_us=NOW) if items else ()
    plan = bases.plan(REGISTRY, verdicts.applicable(REGISTRY), channel)
    body = bases.body(
        bases.evaluate(plan, statements, at_us),
        plan,
        ledger=ledger,
        epoch=1,
        index=index,
        subject=subject,
        members=[subject],
        at_us=at_us,
        ttl_us=ttl_us,
        kid=VKEY.key_id,
    )
    return kit.sign(body, KEY, VKEY.key_id)


def verifier():
    return kit.Verifier(kit.public_keys([VKEY]), ledger=LEDGER)


def judged(record):
    return assess(decided(recorded(record)), verifier(), REGISTRY)


def rules(record):
    return [finding.rule for finding in judged(record).findings]


OFFERS = (grant(categories=("transaction", "holding")),)


def test_each_purpose_that_was_used_is_a_row_with_what_it_rests_on():
    fields = [a_field(purposes=("offers", "advice")), a_field("holding", ("offers",)), a_field("holding", ("offers",))]
    found = judged(a_record("anna", a_basis(*OFFERS), at_us=AT, shown=["service"], fields=fields))

    assert [(r.purpose, r.support, r.categories) for r in found.reliances] == [
        ("advice", REGISTRY.index, ("transaction",)),
        ("offers", 4, ("holding", "transaction")),
        ("service", REGISTRY.index, ()),
    ]
    assert {(r.basis, r.at_us, r.channel, r.subject, r.regimes) for r in found.reliances} == {
        (9, AT, "mobile", "anna", ("gdpr",))
    }
    assert not found.findings


def test_a_purpose_that_rests_on_several_entries_names_the_one_of_the_data_used():
    both = (grant(), grant(categories=("holding",)))
    basis = a_basis(*both)

    def support(*fields):
        [row] = judged(a_record("anna", basis, at_us=AT, fields=fields)).reliances
        return row.support

    assert support(a_field()) == 4
    assert support(a_field("holding")) == 5
    assert support(a_field(), a_field("holding")) == 5


def test_without_personal_data_no_basis_is_missed():
    assert judged(a_record("", at_us=AT, shown=["fraud", "service"])).findings == ()
    assert judged(a_record("anna", at_us=AT)).findings == ()


@pytest.mark.parametrize("changed", [{"fields": [a_field()]}, {"signals": 1}])
def test_personal_data_without_a_basis_is_found(changed):
    assert rules(a_record("anna", at_us=AT, **changed)) == ["WITHOUT_BASIS"]


def test_data_of_a_category_that_the_basis_does_not_allow_is_found_by_name():
    [finding] = judged(a_record("anna", a_basis(*OFFERS), at_us=AT, fields=[a_field("behaviour")])).findings

    assert (finding.rule, finding.detail) == ("WITHOUT_BASIS", "not allowed: offers/behaviour")


def test_data_with_no_purpose_at_all_is_found():
    assert rules(a_record("anna", a_basis(*OFFERS), at_us=AT, fields=[a_field(purposes=())])) == ["WITHOUT_BASIS"]


@pytest.mark.parametrize("shown", ["offers", "unheard.of"])
def test_a_purpose_shown_that_nothing_allows_is_found(shown):
    assert rules(a_record("anna", a_basis(), at_us=AT, shown=[shown])) == ["NO_LAWFUL_BASIS"]
    assert rules(a_record("anna", None, at_us=AT, shown=[shown])) == ["NO_LAWFUL_BASIS"]


def forged(basis):
    return replace(basis, body=basis.body.replace(b'"offers"', b'"advice"'))


@pytest.mark.parametrize(
    ("rule", "basis"),
    [
        ("BAD_SIGNATURE", forged(a_basis(*OFFERS))),
        ("BAD_SIGNATURE", replace(a_basis(*OFFERS), key_id="harbour+00000000")),
        ("BAD_SIGNATURE", a_basis(*OFFERS, ledger="0" * 32)),
        ("STALE_BASIS", a_basis(*OFFERS, ttl_us=9_000)),
        ("WITHOUT_BASIS", a_basis(*OFFERS, at_us=AT + DAY)),
        ("WITHOUT_BASIS", a_basis(*OFFERS, subject="bela")),
        ("WITHOUT_BASIS", a_basis(*OFFERS, channel="web")),
    ],
)
def test_a_basis_that_does_not_serve_is_found(rule, basis):
    found = judged(a_record("anna", basis, at_us=AT + 10_000, fields=[a_field()]))

    assert [finding.rule for finding in found.findings] == [rule]
    assert bool(found.reliances) is (rule == "STALE_BASIS")
    assert "anna" not in str(found.findings)


def test_a_record_that_is_not_what_its_digest_says_is_refused():
    message = recorded(a_record("anna", at_us=AT))
    for changed in ({"record": message.record + b"\x08\x01"}, {"record_digest": b""}):
        with pytest.raises(Invalid):
            decided(type(message)(**{"record": message.record, "record_digest": message.record_digest, **changed}))
    with pytest.raises(Invalid):
        decided(recorded(a_record("anna", at_us=AT, format=2)))
