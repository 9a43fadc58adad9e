"""Who may call whom: said by the service that is called, and let through by the bus, no more and no less."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from assent.auth.v1.scope_pb2 import scope
from assent_cli.discovery import discover, installed
from embedded.nats_accounts import ACCOUNTS, Account


def callers() -> dict[str, dict[str, tuple[str, ...]]]:
    """Scopes by called service and calling service, from the services' own settings."""
    found = {}
    for name, package in installed().items():
        auth = import_module(f"{package}.settings").Settings.model_fields["auth"].annotation
        found[name] = dict(auth.model_fields["callers"].get_default(call_default_factory=True))
    return found


def declared(service: str) -> set[str]:
    """Every scope that a method of the service asks for."""
    package = import_module(f"assent.{service}.v1")
    names = [found.name for found in iter_modules(package.__path__) if found.name.endswith("_service_pb2")]
    modules = [import_module(f"{package.__name__}.{name}") for name in names]
    services = [found for module in modules for found in module.DESCRIPTOR.services_by_name.values()]
    return {method.GetOptions().Extensions[scope] for found in services for method in found.methods}


@pytest.mark.parametrize("service", sorted(installed()))
def test_callers_hold_only_scopes_that_the_service_asks_for(service):
    assert {held for scopes in callers()[service].values() for held in scopes} <= declared(service)


@pytest.mark.parametrize("service", sorted(installed()))
def test_the_bus_lets_through_whom_the_called_service_lists_and_nobody_else(service):
    listed = set(callers()[service])
    let_through = {name for name, account in ACCOUNTS.items() if service in account.calls and not account.administers}

    assert let_through == listed - {service}  # everybody reaches the methods of its own service


def test_deployments_grant_nothing_beside_the_services_own_tables():
    root = Path(__file__).resolve().parents[2]
    files = [root / "docker-compose.yml", *(path for path in (root / "deploy").rglob("*") if path.is_file())]

    assert [path.name for path in files if path.suffix != ".pyc" and "AUTH__CALLERS" in path.read_text()] == []


def test_the_signer_is_asked_by_its_own_service_alone_and_hears_nothing_else():
    (signer,) = next(service.companions for service in discover() if service.name == "consent")
    auth = import_module(f"{signer.package}.settings").Settings.model_fields["auth"].annotation
    service = import_module("assent.consent.v1.signer_service_pb2").DESCRIPTOR.services_by_name["SignerService"]
    asked = {method.GetOptions().Extensions[scope] for method in service.methods}

    assert auth.model_fields["callers"].get_default(call_default_factory=True) == {"consent": tuple(asked)}
    assert ACCOUNTS[signer.name] == Account(hears=(f"rpc.{service.full_name}.>",))
