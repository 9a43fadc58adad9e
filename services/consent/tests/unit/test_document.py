"""The registry document: everything is checked, and nothing that people agreed to is taken back."""

from __future__ import annotations

import copy

import pytest
from consent_fakes import a_document, a_notice, a_registry

from consent_service.domain import document
from consent_service.domain.publishing import refuse_change, refuse_personal
from servicekit.errors import FailedPrecondition, Invalid


def test_the_example_is_read():
    assert a_registry().purpose_ids == ("advice", "fraud", "offers", "offers.credit", "service", "sharing")


def paths(value, at=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield (*at, number)
            yield from paths(inner, (*at, number))


@pytest.mark.parametrize("path", list(paths(a_document())), ids=str)
def test_a_wrong_value_anywhere_is_refused(path):
    for wrong in (None, 1.5, -1, "NO WORD", [3], {"strange": 1}, ["z", "a"]):
        made = copy.deepcopy(a_document())
        inner = made
        for step in path[:-1]:
            inner = inner[step]
        if isinstance(wrong, str) and (path[-1] == "title" or "special_ground" in path):
            continue  # prose
        inner[path[-1]] = wrong

        with pytest.raises((Invalid, FailedPrecondition)):
            document.read(made, digest="", index=1)


@pytest.mark.parametrize("field", ["", "purposes", "regimes", "notices"])
def test_an_unknown_field_is_refused(field):
    made = copy.deepcopy(a_document())
    (made[field][0] if field else made)["strange"] = 1

    with pytest.raises(Invalid):
        document.read(made, digest="", index=1)


def test_a_purpose_without_its_parent_is_no_tree():
    purposes = [p for p in a_document()["purposes"] if p["id"] != "offers"]

    with pytest.raises(FailedPrecondition, match="parent"):
        a_registry(purposes=purposes, notices=[])


def test_a_purpose_that_needs_no_consent_has_no_basis_that_is_the_persons_choice():
    purposes = [{**p, "needs_consent": False} if p["id"] == "offers" else p for p in a_document()["purposes"]]

    with pytest.raises(Invalid, match="needs_consent"):
        a_registry(purposes=purposes)


def changed(name, **fields):
    return [{**p, **fields} if p["id"] == name else p for p in a_document()["purposes"]]


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("BASIS_CHANGED", {"purposes": changed("advice", bases={"gdpr": "CONSENT"})}),
        ("BASIS_CHANGED", {"purposes": changed("offers", bases={"gdpr": "CONSENT"})}),
        ("BASIS_CHANGED", {"purposes": changed("advice", special_ground={"gdpr": "9(2)(a)"})}),
        ("PURPOSE_REMOVED", {"purposes": [p for p in a_document()["purposes"] if p["id"] != "fraud"]}),
        ("NOTICE_CHANGED", {"notices": [a_notice("de"), a_notice("en", sha256="0" * 64)]}),
        ("NOTICE_CHANGED", {"notices": [a_notice("de"), a_notice("en", effective_from_us=1)]}),
        ("NOTICE_CHANGED", {"notices": [a_notice("de")]}),
        (
            "NOTICE_CHANGED",
            {"notices": [a_notice("de"), a_notice("en", covers={**a_notice()["covers"], "channels": ["web"]})]},
        ),
    ],
)
def test_a_successor_takes_nothing_back(reason, fields):
    with pytest.raises(FailedPrecondition) as caught:
        refuse_change(a_registry(), a_registry(**fields))

    assert caught.value.code == reason


def test_a_void_notice_and_a_retired_purpose_do_not_come_back():
    void = a_registry(notices=[a_notice("de"), a_notice("en", status="VOID")])
    retired = a_registry(purposes=changed("offers", retired=True))

    refuse_change(a_registry(), void)
    refuse_change(a_registry(), retired)
    for old, reason in ((void, "NOTICE_CHANGED"), (retired, "PURPOSE_REMOVED")):
        with pytest.raises(FailedPrecondition) as caught:
            refuse_change(old, a_registry())
        assert caught.value.code == reason


def test_a_successor_may_add_purposes_notices_and_regimes_to_a_purpose():
    more = [a_notice("de"), a_notice("en"), a_notice("en", version=2)]

    refuse_change(a_registry(), a_registry(notices=more, purposes=changed("advice", retired=True)))


PERSONAL = {
    "a telephone number": "call_4915112345678",
    "a customer number": "customer_00482913",
    "a random id": "offers_9f86d081884c7d65",
    "a name at a host": "anna@example.org",
}


@pytest.mark.parametrize("personal", PERSONAL.values(), ids=PERSONAL)
@pytest.mark.parametrize(
    "change",
    [
        lambda made, text: made["purposes"].append({**made["purposes"][0], "id": text}),
        lambda made, text: made["notices"][0].update(id=text),
        lambda made, text: made["channels"].append(text),
        lambda made, text: made["recipients"].append(text),
        lambda made, text: made["regimes"][0].update(signals={text: ["sale"]}),
        lambda made, text: made["regimes"][0].update(signals={"gpc": [text]}),
        lambda made, text: made["purposes"][0].update(controller=f"The bank, {text}"),
    ],
    ids=["purpose", "notice", "channel", "recipient", "signal", "tag", "text"],
)
def test_what_singles_out_a_person_is_not_published(change, personal):
    made = copy.deepcopy(a_document())
    change(made, personal)

    with pytest.raises(Invalid) as caught:
        refuse_personal(made)

    assert caught.value.code == "PERSON_SINGLED_OUT"
    assert personal not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://bank.example/notice",
        "https://bank.example/notice?c=4",
        "https://anna@bank.example/notice",
        "https://bank.example/notice#anna",
        "https://bank.example/customers/4915112345678",
        "javascript:alert(1)",
        "https://[broken",
        "notice",
    ],
)
def test_an_address_that_differs_by_person_is_not_published(url):
    with pytest.raises(Invalid):
        refuse_personal(a_document(notices=[a_notice("de", url=url)]))


def test_public_addresses_and_versions_are_published():
    made = a_document(
        notices=[a_notice("de", url="https://bank.example/notices/choices/v2_2026")],
        purposes=changed("offers", dpv_iri="https://w3id.org/dpv#ServicePersonalisation", retention="24 months"),
    )

    refuse_personal(made)
    assert a_registry(**made).purpose("offers") is not None
