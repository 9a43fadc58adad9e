"""The shipped regime profiles: the page's figures, versions that never change, and documents that choose them."""

from __future__ import annotations

import hashlib
import json

import pytest
from consent_fakes import DAY, a_document, a_regime

from consent_service.domain import document
from consent_service.ports import Published
from consent_service.profiles import shipped
from consent_service.registries import parse
from servicekit.basis import canonical
from servicekit.errors import Invalid

NEVER_CHANGES = {
    "au_cdr.1": "fd3e903abcc962170e0f1be60d7f49ea48284323f16e70f20083556d7ac6075e",
    "cpra.1": "99ee76250f044ccaf1c8a3cfcb26e5759b6fa2af5782f1079f0dd14439d0851e",
    "gdpr.1": "4ac16deb6eece830e601cac7e8cf8511df25d52b4d7c68e6d599ed0785c82500",
    "glba_fcra.1": "da30b8e19f87c4234e4ecd821b4644e772ced4721aebf97e4e4e2645e35d73df",
    "uk_ob.1": "0aa8d00c9152ea0d68b7ad2fc8981d156af01ebf418e1e98070a8138336cbf25",
    "uk_ob_eea.1": "45f16e605d2281966baa336c7e20f2e6f298d3d6d892433fbc260a640e9624c9",
}


def read(*regimes, **changed):
    """A registry with these regimes and no purpose."""
    made = a_document(regimes=list(regimes), purposes=[], notices=[], **changed)
    return document.read(made, digest="", index=1, profiles=shipped())


@pytest.mark.parametrize("name", sorted(NEVER_CHANGES))
def test_a_shipped_version_never_changes(name):
    assert hashlib.sha256(canonical(dict(shipped()[name]))).hexdigest() == NEVER_CHANGES[name]


def test_every_profile_is_pinned():
    assert sorted(shipped()) == sorted(NEVER_CHANGES)


@pytest.mark.parametrize(
    ("name", "bases", "max_days", "window_days", "signals"),
    [
        ("gdpr.1", {"CONSENT", "LEGITIMATE_INTEREST", "CONTRACT", "LEGAL_OBLIGATION"}, None, 0, {}),
        ("cpra.1", {"CONSENT", "OPT_OUT", "CONTRACT", "LEGAL_OBLIGATION"}, None, 0, {"gpc"}),
        ("glba_fcra.1", {"CONSENT", "OPT_OUT", "CONTRACT", "LEGAL_OBLIGATION"}, None, 30, {}),
        ("au_cdr.1", {"CONSENT"}, 365, 0, {}),
        ("uk_ob.1", {"CONSENT"}, 90, 0, {}),
        ("uk_ob_eea.1", {"CONSENT"}, 180, 0, {}),
    ],
)
def test_a_document_chooses_a_profile(name, bases, max_days, window_days, signals):
    regime = read({"id": "gdpr", "profile": name}).regime("gdpr")

    assert {basis.value for basis in regime.allowed_bases} == bases
    assert regime.max_validity_us == (None if max_days is None else max_days * DAY)
    assert regime.window_us == window_days * DAY
    assert regime.max_event_age_us == 7 * DAY
    assert set(regime.signals) == set(signals)
    assert regime.notice_required


def test_gpc_speaks_of_sale_sharing_and_profiling():
    assert shipped()["cpra.1"]["signals"] == {"gpc": ["profiling", "sale", "sharing"]}


def test_what_the_document_states_itself_counts_instead():
    regime = read({"id": "gdpr", "profile": "uk_ob.1", "max_validity_us": 5}).regime("gdpr")

    assert (regime.max_validity_us, {basis.value for basis in regime.allowed_bases}) == (5, {"CONSENT"})


@pytest.mark.parametrize("wrong", ["gdpr", "gdpr.2", "../gdpr.1", 1, None, []])
def test_an_unknown_profile_is_refused(wrong):
    with pytest.raises(Invalid) as caught:
        read({"id": "gdpr", "profile": wrong})

    assert caught.value.field == "document.regimes[0].profile"


def test_a_published_document_is_read_with_the_shipped_profiles():
    made = canonical(a_document(regimes=[{"id": "gdpr", "profile": "gdpr.1"}], purposes=[], notices=[]))

    assert parse(Published(1, 1, "", made)).regime("gdpr").absolute_objection == {"direct_marketing"}
    assert json.loads(made)["regimes"] == [{"id": "gdpr", "profile": "gdpr.1"}]


@pytest.mark.parametrize(
    "changed",
    [
        {"signals": {"gpc": ["b", "a"]}},
        {"signals": {"GPC": ["a"]}},
        {"signals": ["gpc"]},
        {"signals": {"gpc": "a"}},
        {"absolute_objection": "direct_marketing"},
        {"absolute_objection": [3]},
    ],
)
def test_wrong_signals_and_tags_are_refused(changed):
    with pytest.raises(Invalid):
        read(a_regime("gdpr", "CONSENT", **changed))
