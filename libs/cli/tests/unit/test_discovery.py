import pytest

from assent_cli.discovery import NoSuchService, discover


def test_a_service_that_is_not_installed_is_named():
    with pytest.raises(NoSuchService, match="nobody"):
        discover(["nobody"], {"consent": "consent_service"})


def test_a_package_without_code_is_left_out():
    assert discover(None, {"hollow": "assent_cli"}) == []


def test_the_signer_runs_beside_the_ledger_as_a_role_of_its_own():
    (consent,) = discover(["consent"])

    assert [process.name for process in consent.processes] == ["consent", "consent-signer"]
    assert consent.companions[0].role == "consent_signer"
    assert not consent.sees("CONSENT_SIGNER_KEY")
