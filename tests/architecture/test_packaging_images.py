"""One Dockerfile makes every service's image: only what that service declares, from locked packages, for a user without rights."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assent_cli.discovery import discover, installed

ROOT = Path(__file__).resolve().parents[2]
SERVICES = installed()
INSTRUCTIONS = {
    *(
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "RUN",
        "STOPSIGNAL",
        "USER",
        "WORKDIR",
    )
}

services = pytest.mark.parametrize("service", sorted(SERVICES))


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction with its arguments; lines that end in a backslash go on, and comments within them do not count."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield name, arguments.strip()


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, arguments in instructions():
        if name == "FROM":
            found[arguments.rpartition(" AS ")[2]] = [(name, arguments)]
        elif found:
            list(found.values())[-1].append((name, arguments))
    return found


def last(stage: str, name: str) -> str:
    return [arguments for given, arguments in stages()[stage] if given == name][-1]


def members(service: str) -> list[str]:
    spec = importlib.util.spec_from_file_location("deploy_members", ROOT / "deploy/image/members.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [str(folder.relative_to(ROOT)) for folder in module.members(service, ROOT)]


def test_the_dockerfile_is_made_of_instructions_and_ends_with_a_service():
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    assert list(stages()) == ["dbmate", "builder", "runtime", "keys-builder", "keys", "service"]


def test_what_runs_is_a_numbered_user_and_never_root():
    for stage in ("runtime", "keys"):
        assert int(last(stage, "USER").partition(":")[0]) > 0


def test_an_image_says_whether_it_lives_and_starts_in_the_form_that_gets_signals():
    assert json.loads(last("runtime", "HEALTHCHECK").partition("CMD ")[2])[:3] == [
        "python",
        "-m",
        "servicekit.healthcheck",
    ]
    assert json.loads(last("runtime", "ENTRYPOINT")) == ["/app/bin/serve"]
    assert any('exec /app/bin/python -m %s_service "$@"' in arguments for _, arguments in stages()["builder"])


def test_packages_are_installed_with_their_hashes_or_from_what_we_built():
    runs = " && ".join(arguments for name, arguments in instructions() if name == "RUN")
    installs = re.findall(r"pip (?:--python \S+ )?install [^&]*", runs)

    assert len(installs) == 4
    assert all("--require-hashes" in install or "--no-deps --no-index" in install for install in installs)


@services
def test_the_lock_of_an_image_holds_hashes_and_names_no_host(service):
    lock = (ROOT / f"requirements/{service}.lock").read_text()

    assert lock.count("--hash=sha256:") >= lock.count("==") > 0
    assert "://" not in lock


@services
def test_an_image_holds_the_service_and_what_it_declares_dependencies_first(service):
    found = members(service)

    assert found[0] == "libs/contracts"
    assert found[-1] == f"services/{service}"
    assert not {"libs/embedded", "libs/testkit", "libs/cli"} & set(found)
    assert [folder for folder in found if folder.startswith("services/")] == [f"services/{service}"]


@services
def test_a_services_command_is_the_module_that_the_image_starts(service):
    assert SERVICES[service] == f"{service}_service"
    assert (ROOT / f"services/{service}/src/{service}_service/__main__.py").is_file()


def test_the_builder_is_sent_what_it_copies_and_nothing_else():
    sent = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copied = [
        source
        for name, arguments in instructions()
        if name == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    ]
    needed = {"libs": "libs/*/src", "services": "services/*/src"}

    assert sent[0] == "*"
    for source in copied:
        wanted = "requirements/*.lock" if source.endswith(".lock") else needed.get(source, source)
        assert f"!{wanted}" in sent


def test_the_image_of_development_keys_has_a_folder_for_each_service():
    made = re.search(r"for folder in ([a-z -]+);", (ROOT / "Dockerfile").read_text()).group(1).split()

    running = {process.name for service in discover() for process in service.processes}
    assert set(made) == {"state", "trust", "keks", "last-signed", *running}
