import pytest

from assent_cli.discovery import NoSuchService, discover


def test_a_service_that_is_not_installed_is_named():
    with pytest.raises(NoSuchService, match="nobody"):
        discover(["nobody"], {"consent": "consent_service"})


def test_a_package_without_code_is_left_out():
    assert discover(None, {"hollow": "assent_cli"}) == []
