from importlib import import_module
from pkgutil import iter_modules

import pytest

from assent.auth.v1.scope_pb2 import scope
from embedded.scopes import ROLES

IN_PART = {"consent.evidence"}
"""Scopes that no method asks of every caller: they open more of an answer."""
SERVICES = ("consent", "content", "eligibility", "orchestration", "profile", "ranking", "signals")


@pytest.fixture(scope="module")
def declared():
    """Every scope that some method asks for, by service."""
    found = {}
    for name in SERVICES:
        package = import_module(f"assent.{name}.v1")
        stubs = [each.name for each in iter_modules(package.__path__) if each.name.endswith("_service_pb2")]
        modules = [import_module(f"{package.__name__}.{stub}") for stub in stubs]
        services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
        found[name] = {method.GetOptions().Extensions[scope] for service in services for method in service.methods}
    return found


def test_roles_hold_only_scopes_that_some_service_asks_for(declared):
    known = IN_PART.union(*declared.values())

    assert set().union(*ROLES.values()) - known == set()


def test_nobody_both_proposes_and_approves():
    assert not [role for role, scopes in ROLES.items() if {"content.propose", "content.approve"} <= set(scopes)]


def test_a_case_can_be_asked_for_and_approved_by_three():
    """Two approvers beside whoever asks: a development stack can run a whole case."""
    approvers = [role for role, scopes in ROLES.items() if "consent.rights.approve" in scopes]
    askers = [role for role, scopes in ROLES.items() if "consent.rights" in scopes and role not in approvers]

    assert len(approvers) >= 2
    assert askers
