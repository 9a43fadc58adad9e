from importlib import import_module

import pytest

from assent.auth.v1.scope_pb2 import scope
from embedded.scopes import ROLES

SERVICES = ("consent", "content", "eligibility", "orchestration", "profile", "ranking", "signals")


@pytest.fixture(scope="module")
def declared():
    """Every scope that some method asks for, by service."""
    found = {}
    for name in SERVICES:
        module = import_module(f"assent.{name}.v1.{name}_service_pb2")
        services = module.DESCRIPTOR.services_by_name.values()
        found[name] = {method.GetOptions().Extensions[scope] for service in services for method in service.methods}
    return found


def test_roles_hold_only_scopes_that_some_service_asks_for(declared):
    known = set().union(*declared.values())

    assert set().union(*ROLES.values()) - known == set()


def test_nobody_both_proposes_and_approves():
    assert not [role for role, scopes in ROLES.items() if {"content.propose", "content.approve"} <= set(scopes)]
