"""The catalog holds for a bank in another currency."""

import json

import pytest

from catalog.checks import check
from catalog.digest import bundle_digest, bundle_to_json
from catalog.loading import load_bundle
from harbour_bank import CATALOG
from harbour_bank.bundles import in_currency

BUNDLE = load_bundle(CATALOG)


def currencies(value) -> set[str]:
    if isinstance(value, dict):
        here = {value["currency"]} if isinstance(value.get("currency"), str) and value["currency"] else set()
        return here.union(*map(currencies, value.values()))
    return set().union(*map(currencies, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("currency", ["CZK", "GBP", "JPY"])
def test_a_catalog_in_another_currency_passes_the_checks(currency):
    errors = [finding for finding in check(in_currency(BUNDLE, currency)) if finding.level == "error"]

    assert errors == []


def test_no_amount_stays_behind():
    assert currencies(json.loads(bundle_to_json(in_currency(BUNDLE, "CZK")))) == {"CZK"}


def test_there_and_back_is_the_same_bundle():
    assert bundle_digest(in_currency(in_currency(BUNDLE, "CZK"), "EUR")) == bundle_digest(BUNDLE)
