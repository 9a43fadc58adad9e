"""Keys, tokens and passwords of a development deployment. Never use what it makes where real customers are.

    python keys.py compose /keys              one folder per service, as docker-compose.yml mounts them
    python keys.py token channel /keys        print the token of a role (channel, auditor, operator, approver)
    python keys.py kubernetes STATE           print every Secret and ConfigMap that the dev overlay names
                                              STATE keeps what was made: a repeat prints the same passwords and keys

In production each of these comes from the bank's own vault; docs/operating.md lists them.
"""
# ruff: noqa: INP001  # a program, in no package

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from embedded import files
from embedded.keys import Keys, write_tokens
from embedded.nats_accounts import ACCOUNTS
from embedded.scopes import ROLES
from servicekit.provision import COMPANIONS, DATABASE, KEPT_BY, KEYS, Companion, every_role, roles

PROCESSES: Final = tuple(sorted(ACCOUNTS.keys() - {"cli"}))
SERVICES: Final = tuple(name for name in PROCESSES if name not in {companion.name for companion in COMPANIONS})
OWN: Final[Mapping[str, str]] = {
    "consent": "statement.pem",
    "consent-signer": "checkpoint.pem",
    "orchestration": "tracking.key",
    "profile": "identifier.key",
}
"""The one process that has a file besides the key with which it calls its siblings."""
JOBS: Final = ("eraser", "reader", "writer")
"""The further roles as which the ledger itself works, by what they are for."""
TRUST: Final = ("jwks.json", "services.jwks.json", "basis.vkeys", "checkpoint.vkeys")
"""Public keys, the same for everybody."""

Document = dict[str, Any]


def own_files(keys: Keys, service: str) -> dict[str, Path]:
    """The secret files of one service, by the name that they have where it runs."""
    special = {name: keys.folder / name for owner, name in OWN.items() if owner == service}
    return {"service.pem": keys.service_key(service), **special}


def compose(target: Path) -> None:
    """Fill the folders below `target`; what is there stays."""
    keys = Keys(target / "state" / "keys")
    keys.create(PROCESSES)
    write_tokens(target / "state" / "tokens", keys, ROLES)
    for service in PROCESSES:
        folder = files.own_folder(target / service, mode=0o700)
        for name, path in own_files(keys, service).items():
            shutil.copy(path, folder / name)
    folder = files.own_folder(target / "trust")
    for name in TRUST:
        shutil.copy(keys.folder / name, folder / name)


def kubernetes(state: Path, namespace: str) -> Document:
    """Everything that the dev overlay names and does not carry, as one list."""
    files.own_folder(state, mode=0o700)
    keys = Keys(state / "keys")
    keys.create(PROCESSES)
    tokens = write_tokens(state / "tokens", keys, ROLES)
    items = [*_shared(state, keys, tokens), *(secret for name in SERVICES for secret in _of_service(state, keys, name))]
    items += [secret for companion in COMPANIONS for secret in _of_companion(state, keys, companion)]
    for item in items:
        item["metadata"]["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _shared(state: Path, keys: Keys, tokens: Mapping[str, Path]) -> Iterator[Document]:
    database, bus = _passwords(state)
    yield _object("ConfigMap", "assent-trust", data={name: (keys.folder / name).read_text() for name in TRUST})
    yield _secret("assent-tokens", {path.name: path.read_text() for path in tokens.values()})
    yield _secret("assent-bus-administrator", {"password": bus["cli"]})
    yield _secret("assent-bus-accounts", {variable(name): bus[name] for name in ACCOUNTS})
    yield _secret(
        "assent-database-administrator",
        {
            "password": database["postgres"],
            "dsn": f"postgresql://postgres:{database['postgres']}@postgres/postgres",
            "passwords.json": json.dumps(database),
        },
    )


def _of_service(state: Path, keys: Keys, service: str) -> Iterator[Document]:
    database, bus = _passwords(state)
    owner, runner = roles(service)
    migrating, running = _keys_of(service, database)
    yield _secret(f"{service}-owner", {"DATABASE__DSN": _dsn(owner, database), **migrating})
    run = {"DATABASE__DSN": _dsn(runner, database), "NATS__PASSWORD": bus[service], **running}
    yield _secret(f"{service}-runner", run)
    yield _secret(f"{service}-keys", {name: path.read_text() for name, path in own_files(keys, service).items()})


def _of_companion(state: Path, keys: Keys, companion: Companion) -> Iterator[Document]:
    """As a service that has no schema of its own, so that nothing migrates it."""
    database, bus = _passwords(state)
    run = {"DATABASE__DSN": _dsn(companion.role, database), "NATS__PASSWORD": bus[companion.name]}
    yield _secret(f"{companion.name}-runner", run)
    yield _secret(
        f"{companion.name}-keys", {name: path.read_text() for name, path in own_files(keys, companion.name).items()}
    )


def variable(account: str) -> str:
    """The variable that holds an account's password, as deploy/nats/accounts.conf names it."""
    return f"{account.upper().replace('-', '_')}_NATS_PASSWORD"


def _keys_of(service: str, passwords: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Where the ledger finds its subjects' keys: when it migrates, and when it runs. Then it also finds its own database in further roles."""
    if service != KEPT_BY:
        return {}, {}
    owner, user, shredder = (_dsn(role, passwords, KEYS.database) for role in KEYS.everybody)
    further = {f"{job.upper()}__DSN": _dsn(f"{service}_{job}", passwords) for job in JOBS}
    return {"KEYS__DSN": owner}, {"KEYS__DSN": user, "KEYS__SHREDDER_DSN": shredder, **further}


def _passwords(state: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Those of PostgreSQL by role, and those of NATS by account."""
    everybody = ["postgres", *every_role(SERVICES)]
    return files.passwords(state / "roles.secrets", everybody), _letter_first(
        files.passwords(state / "nats.secrets", ACCOUNTS)
    )


def _letter_first(passwords: Mapping[str, str]) -> dict[str, str]:
    """NATS reads the value of a variable as it reads its configuration: what begins with a digit may be a number."""
    return {name: f"p{password}" for name, password in passwords.items()}


def _dsn(role: str, passwords: Mapping[str, str], database: str = DATABASE) -> str:
    return f"postgresql://{role}:{passwords[role]}@postgres/{database}"


def _secret(name: str, values: Mapping[str, str]) -> Document:
    return _object("Secret", name, type="Opaque", stringData=dict(values))


def _object(kind: str, name: str, **content: Any) -> Document:
    labels = {"app.kubernetes.io/part-of": "assent", "assent/use": "development-only"}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, **content}


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python keys.py", description="Keys of a development deployment.")
    commands = parser.add_subparsers(dest="command", required=True)
    to_compose = commands.add_parser("compose")
    to_compose.add_argument("target", type=Path)
    token = commands.add_parser("token")
    token.add_argument("role", choices=sorted(ROLES))
    token.add_argument("target", type=Path, nargs="?", default=Path("/keys"))
    to_kubernetes = commands.add_parser("kubernetes")
    to_kubernetes.add_argument("state", type=Path)
    to_kubernetes.add_argument("--namespace", default="assent-dev")
    given = parser.parse_args(argv)
    if given.command == "compose":
        compose(given.target)
    elif given.command == "token":
        sys.stdout.write((given.target / "state" / "tokens" / f"{given.role}.jwt").read_text().strip() + "\n")
    else:
        sys.stdout.write(json.dumps(kubernetes(given.state, given.namespace), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
