"""The variables with which a development stack starts a service: its own prefix, and nothing that its settings do not know."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assent_cli.discovery import Service
from embedded.keys import Keys

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
"""What a service may know about the shell it was started from."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service finds the others, and where it is found."""

    dsn: str
    nats_url: str
    nats_password: str
    grpc_port: int
    ready_file: Path
    data: Path
    keys: Mapping[str, str] = field(default_factory=dict)
    """Where the roles of the keys' database find it; only the ledger has any."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Where the service's further roles find its database."""


def environment(service: Service, place: Place, keys: Keys, more: Mapping[str, str]) -> dict[str, str]:
    """Everything a service's process sees; `more` are further variables, prefix included."""
    settings = {**_common(service, place, keys), **_special(service, place, keys)}
    prefixed = {f"{service.prefix}_{name}": value for name, value in settings.items()}
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    given = {name: value for name, value in os.environ.items() if name.startswith(f"{service.prefix}_")}
    told = {name: value for name, value in {**given, **more}.items() if service.sees(name)}
    return {**inherited, "PYTHONUNBUFFERED": "1", **prefixed, **told}


def _common(service: Service, place: Place, keys: Keys) -> dict[str, str]:
    return {
        "DATABASE__DSN": place.dsn,
        "NATS__SERVERS": json.dumps([place.nats_url]),
        "NATS__USER": service.name,
        "NATS__PASSWORD": place.nats_password,
        "GRPC__PORT": str(place.grpc_port),
        "AUTH__JWKS": str(keys.jwks),
        "AUTH__ISSUER": keys.issuer,
        "AUTH__AUDIENCE": keys.audience,
        "AUTH__SERVICE_KEY": str(keys.service_key(service.name)),
        "AUTH__SERVICE_KEYS": str(keys.service_keys),
        "READY_FILE": str(place.ready_file),
    }


def _special(service: Service, place: Place, keys: Keys) -> dict[str, str]:
    """Settings that only some services have."""
    known = {
        "statement_key": str(keys.statement_key),
        "basis_keys": str(keys.basis_keys),
        "ledger": keys.ledger,
        "origin": keys.origin,
        "key": str(keys.checkpoint_key),
        "folder": str(place.data),
        "tracking_key": str(keys.tracking_key),
        "identifier_key": str(keys.identifier_key),
        "data_dir": str(place.data),
    }
    return {name.upper(): value for name, value in known.items() if name in service.settings} | {
        **_keys(service, place),
        **_roles(service, place),
    }


def _roles(service: Service, place: Place) -> dict[str, str]:
    """A DSN for each further role that the settings know by what it does: `consent_writer` is WRITER."""
    jobs = {role.removeprefix(f"{service.name}_"): dsn for role, dsn in place.roles.items()}
    return {f"{job.upper()}__DSN": dsn for job, dsn in jobs.items() if job in service.settings}


def _keys(service: Service, place: Place) -> dict[str, str]:
    if not place.keys or "keys" not in service.settings:
        return {}
    dsns = {"KEYS__DSN": place.keys["key_user"], "KEYS__SHREDDER_DSN": place.keys["key_shredder"]}
    return {**dsns, "KEYS__FOLDER": str(place.data / "keks")}
