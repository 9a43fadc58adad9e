"""docker-compose.yml runs what is installed, in an order that works, with settings that each service accepts."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from assent_cli.discovery import discover
from embedded.nats_accounts import ACCOUNTS
from embedded.nats_config import MAX_PAYLOAD
from servicekit.provision import KEPT_BY, KEYS, every_role, roles
from servicekit.settings import parse_env_file

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
RUN = COMPOSE["services"]
SERVICES = {service.name: service for service in discover()}
COMPANIONS = {process.name: process for service in SERVICES.values() for process in service.companions}
PROCESSES = SERVICES | COMPANIONS
SERVERS, ONE_SHOT = {"postgres", "nats"}, {"keys", "provision", "streams"}

services = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=lambda process: process.name)


def interpolated(text: str) -> str:
    """As compose does it with nothing in the environment: defaults, and `$$` for a dollar."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in RUN[name].get("env_file", ()):
        found |= parse_env_file((ROOT / file).read_text())
    return found | {key: interpolated(value) for key, value in RUN[name].get("environment", {}).items()}


def read(name: str, service):
    return importlib.import_module(f"{service.package}.settings").Settings.read(environment(name))


def before(name: str) -> dict[str, str]:
    return {other: given["condition"] for other, given in RUN[name].get("depends_on", {}).items()}


def test_it_runs_exactly_the_services_that_are_installed_and_what_they_need():
    assert set(RUN) == SERVERS | ONE_SHOT | set(PROCESSES) | {f"migrate-{name}" for name in SERVICES}


@processes
def test_a_processes_settings_load(process):
    settings = read(process.name, process)

    dsn = urlsplit(settings.database.dsn)
    assert (dsn.username, dsn.hostname, dsn.path) == (process.role, "postgres", "/assent")
    assert (settings.nats.user, settings.nats.servers) == (process.name, ("nats://nats:4222",))
    assert settings.nats.password.get_secret_value() == environment("nats")[f"{process.prefix}_NATS_PASSWORD"]
    assert (settings.grpc.host, settings.grpc.port) == ("0.0.0.0", 50051)


@services
def test_a_migrations_settings_load_and_are_the_owners(service):
    dsn = urlsplit(read(f"migrate-{service.name}", service).database.dsn)

    assert dsn.username == roles(service.name)[0]
    assert RUN[f"migrate-{service.name}"]["command"] == ["migrate", "--phase", "post"]


def test_passwords_of_roles_are_those_that_services_connect_with():
    passwords = json.loads(environment("provision")["PASSWORDS"])

    used = {}
    for name in PROCESSES:
        for run in {name, f"migrate-{name}"} & set(RUN):
            for dsn in (urlsplit(value) for variable, value in environment(run).items() if variable.endswith("DSN")):
                used[dsn.username] = dsn.password
    assert used.items() <= passwords.items()
    assert passwords.keys() == set(every_role(SERVICES))


def test_the_keys_are_found_by_the_roles_that_may():
    run, migration = (read(name, SERVICES[KEPT_BY]).keys for name in (KEPT_BY, f"migrate-{KEPT_BY}"))

    asked = [urlsplit(dsn) for dsn in (migration.dsn, run.dsn, run.shredder_dsn)]
    assert [dsn.username for dsn in asked] == list(KEYS.everybody)
    assert {(dsn.hostname, dsn.path) for dsn in asked} == {("postgres", f"/{KEYS.database}")}
    assert f"keks:{run.folder}" in RUN[KEPT_BY]["volumes"]
    assert "keks:/keys/keks" in RUN["keys"]["volumes"]  # which makes the folder ours
    assert sorted(SERVICES) == RUN["provision"]["command"][0].split("passwords.json \\\n")[-1].split()


@services
def test_a_service_starts_after_its_keys_its_streams_and_its_schema(service):
    done = "service_completed_successfully"

    assert before(service.name) == {"keys": done, "streams": done, f"migrate-{service.name}": done}
    assert before(f"migrate-{service.name}") == {"provision": done}
    assert (before("provision"), before("streams")) == ({"postgres": "service_healthy"}, {"nats": "service_healthy"})


@processes
def test_a_process_gets_its_own_keys_and_those_that_are_public(process):
    assert RUN[process.name]["volumes"][:2] == [
        f"keys-{process.name}:/run/assent/keys:ro",
        "keys-trust:/run/assent/trust:ro",
    ]
    assert RUN[process.name]["volumes"][2:] == OWN_VOLUMES.get(process.name, [])
    assert f"keys-{process.name}:/keys/{process.name}" in RUN["keys"]["volumes"]


OWN_VOLUMES = {
    KEPT_BY: ["keks:/var/lib/assent/keks"],
    "consent-signer": ["last-signed:/var/lib/assent/last-signed"],
}


def test_the_signer_runs_its_own_module_after_the_ledgers_schema_and_keeps_its_word_on_a_volume_of_its_own():
    run = RUN["consent-signer"]
    settings = read("consent-signer", COMPANIONS["consent-signer"])

    assert run["entrypoint"] == ["python", "-m", COMPANIONS["consent-signer"].package]
    assert run["depends_on"] == RUN["consent"]["depends_on"]
    assert f"last-signed:{settings.folder}" in run["volumes"]
    assert "last-signed:/keys/last-signed" in RUN["keys"]["volumes"]  # which makes the folder ours
    assert settings.ledger == read("consent", SERVICES["consent"]).ledger


def test_files_that_settings_name_are_made(tmp_path):
    command = [sys.executable, ROOT / "deploy/keys/keys.py", "compose", tmp_path]
    subprocess.run(command, check=True)

    for name in PROCESSES:
        for value in environment(name).values():
            if value.startswith("/run/assent/"):
                made = value.replace("/run/assent/keys", str(tmp_path / name)).replace("/run/assent", str(tmp_path))
                assert Path(made).is_file()
    token = subprocess.run([*command[:2], "token", "channel", tmp_path], check=True, capture_output=True, text=True)
    assert token.stdout.count(".") == 2


def test_what_is_ours_runs_confined():
    for name in set(RUN) - {"postgres"}:
        assert RUN[name]["read_only"] is True, name
        assert RUN[name]["cap_drop"] == ["ALL"], name
        assert RUN[name]["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in RUN[name], name


def test_images_are_built_here_or_have_a_version():
    for name, given in RUN.items():
        tag = interpolated(given["image"]).rpartition(":")[2]
        assert tag not in {"", "latest"}, name
    assert {RUN[name]["build"]["args"]["SERVICE"] for name in SERVICES} == set(SERVICES)
    assert RUN["postgres"]["image"] == "postgres:17"
    assert tuple(map(int, re.findall(r"nats:(\d+)\.(\d+)", RUN["nats"]["image"])[0])) >= (2, 11)


def test_servers_are_waited_for_and_ports_are_open_to_this_machine_alone():
    assert all(RUN[name]["healthcheck"]["test"] for name in SERVERS)
    published = [port for given in RUN.values() for port in given.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len(published) == len(set(published))


def test_every_volume_that_is_used_is_declared():
    used = {volume.split(":")[0] for given in RUN.values() for volume in given.get("volumes", ())}

    assert {volume for volume in used if not volume.startswith(".")} == set(COMPOSE["volumes"])


def test_rights_on_the_bus_are_those_of_the_table():
    rendered = subprocess.run(
        [sys.executable, ROOT / "deploy/nats/accounts.py"], check=True, capture_output=True, text=True
    ).stdout

    assert rendered == (ROOT / "deploy/nats/accounts.conf").read_text()


def test_every_account_has_a_password_and_messages_are_as_large_as_elsewhere():
    assert {f"{name.upper().replace('-', '_')}_NATS_PASSWORD" for name in ACCOUNTS} <= environment("nats").keys()
    assert f"max_payload: {MAX_PAYLOAD}" in (ROOT / "deploy/nats/nats.conf").read_text()


def test_nats_accepts_the_configuration():
    server = shutil.which("nats-server") or Path(sys.executable).with_name("nats-server")
    done = subprocess.run(
        [server, "-t", "-c", ROOT / "deploy/nats/nats.conf"],
        env=os.environ | environment("nats"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
