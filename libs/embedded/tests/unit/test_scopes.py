from importlib import import_module

import pytest

from assent.auth.v1.scope_pb2 import scope
from embedded.nats_accounts import ACCOUNTS
from embedded.scopes import CALLERS, ROLES


@pytest.fixture(scope="module")
def declared():
    """Every scope that some method asks for, by service."""
    found = {}
    for name in CALLERS:
        module = import_module(f"assent.{name}.v1.{name}_service_pb2")
        services = module.DESCRIPTOR.services_by_name.values()
        found[name] = {method.GetOptions().Extensions[scope] for service in services for method in service.methods}
    return found


def test_callers_hold_only_scopes_that_the_called_service_asks_for(declared):
    strangers = {
        (service, caller): set(scopes) - declared[service]
        for service, callers in CALLERS.items()
        for caller, scopes in callers.items()
        if set(scopes) - declared[service]
    }

    assert strangers == {}


def test_roles_hold_only_scopes_that_some_service_asks_for(declared):
    known = set().union(*declared.values())

    assert set().union(*ROLES.values()) - known == set()


def test_whoever_may_call_is_let_through_by_the_bus():
    closed = [
        (caller, service)
        for service, callers in CALLERS.items()
        for caller in callers
        if service not in ACCOUNTS[caller].calls
    ]

    assert closed == []


def test_nobody_both_proposes_and_approves():
    assert not [role for role, scopes in ROLES.items() if {"content.propose", "content.approve"} <= set(scopes)]
