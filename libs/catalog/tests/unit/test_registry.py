import hashlib
import json

from catalog.digest import canonical
from catalog.registry import registry_digest, registry_document, registry_notices


def document(bundle):
    return json.loads(registry_document(bundle))


def test_the_document_is_canonical_and_named_by_its_bytes(harbour):
    data = registry_document(harbour)

    assert canonical(json.loads(data)) == data
    assert registry_digest(data) == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_every_list_of_the_document_is_sorted(harbour):
    found = document(harbour)

    assert [purpose["id"] for purpose in found["purposes"]] == sorted(harbour.purpose)
    assert all(purpose["categories"] == sorted(purpose["categories"]) for purpose in found["purposes"])
    assert found["default_regimes"] == ["gdpr"]


def test_a_purpose_that_needs_no_consent_says_so_and_others_say_nothing(harbour):
    purposes = {purpose["id"]: purpose for purpose in document(harbour)["purposes"]}

    assert purposes["servicing"]["needs_consent"] is False
    assert "needs_consent" not in purposes["offers"]
    assert purposes["safeguarding"]["special_ground"]["gdpr"] == "9(2)(g)"


def test_each_notice_is_listed_per_locale_with_the_hash_of_its_bytes(harbour):
    texts = {(text.id, text.version, text.locale): text for text in registry_notices(harbour)}
    notices = document(harbour)["notices"]

    assert {(notice["id"], notice["version"], notice["locale"]) for notice in notices} == set(texts)
    assert all(
        notice["sha256"] == hashlib.sha256(texts[notice["id"], notice["version"], notice["locale"]].bytes).hexdigest()
        for notice in notices
    )


def test_without_regimes_of_the_bank_the_first_regime_applies(harbour):
    silent = harbour.model_copy(update={"bank": harbour.bank.model_copy(update={"regimes": ()})})

    assert silent.default_regimes == ("gdpr",)
