"""Paper is checked like code: links lead somewhere, commands exist, a service has its files, and nothing names a machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from assent_cli.main import GROUP, OWN

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1 << 20
"""Bigger files are data."""


def listed(*patterns: str) -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in found.stdout.decode().split("\0") if name]
    return sorted(path for path in paths if path.is_file())


@cache
def texts() -> dict[Path, str]:
    """Every file of the repository that is text."""
    found = {}
    for path in listed():
        if path.stat().st_size <= LARGEST and b"\0" not in (data := path.read_bytes()):
            found[path] = data.decode(errors="replace")
    return found


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def where(pattern: re.Pattern[str]) -> list[str]:
    """Lines that match, as file:line."""
    return [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path, text in texts().items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


PAGES = listed("*.md")
SERVICES = sorted(path for path in (ROOT / "services").iterdir() if path.is_dir())
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z0-9-]+):(?:.*?)(?:## (.*))?$", MAKEFILE, re.MULTILINE)


# Links


def prose(text: str) -> str:
    """A page without its code: what is in backticks links nowhere."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def links(text: str) -> Iterator[str]:
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text)):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    return found.exists() and (not anchor or (found.suffix == ".md" and anchor in anchors(found)))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page):
    dead = [target for target in links(page.read_text()) if not leads_somewhere(page, target)]

    assert dead == []


# The front page


def test_the_front_page_is_at_most_120_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_folder_map_names_folders_that_exist():
    section = (ROOT / "README.md").read_text().partition("\n## Folders\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_folder_map_leaves_no_folder_out():
    section = (ROOT / "README.md").read_text().partition("\n## Folders\n")[2].partition("\n## ")[0]
    named = {path.rstrip("/") for path in re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)}
    tops = {name(path).split("/")[0] for path in texts() if "/" in name(path) and not name(path).startswith(".")}
    covered = {path.split("/")[0] for path in named}

    assert tops - covered == set()
    assert {name(path) for path in (ROOT / "libs").iterdir() if path.is_dir()} - named == set()


# Commands


def mentioned(page: Path, command: str) -> Iterator[str]:
    """What follows a command in code: in backticks or in an indented or fenced line."""
    for line in page.read_text().splitlines():
        code = re.findall(r"`([^`]+)`", line)
        if line.startswith(("    ", "\t")):
            code.append(line)
        for piece in code:
            for found in re.findall(rf"(?:^|[\s/;&(]){command}\s+([^`]*)", piece):
                yield found.partition("#")[0].strip()


def make_targets(page: Path) -> set[str]:
    words = (text.split() for text in mentioned(page, "make"))
    return {text[0] for text in words if text and re.fullmatch(r"[a-z][a-z-]*", text[0])}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_is_mentioned_exists(page):
    assert make_targets(page) - {target for target, _ in TARGETS} == set()


@cache
def commands() -> dict[str, str]:
    """Where each command is: ours, and those that members of the workspace register, installed or not."""
    known = dict(OWN)
    for project in listed("libs/*/pyproject.toml", "services/*/pyproject.toml", "examples/*/pyproject.toml"):
        known |= tomllib.loads(project.read_text())["project"].get("entry-points", {}).get(GROUP, {})
    return known


@cache
def loaded(command: str) -> click.Command:
    module, _, attribute = commands()[command].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, click.Command)
    return found


def problem_with(words: list[str]) -> str | None:
    """What is wrong with `assent <words>`: a command, a subcommand or an option that is not there."""
    words = [word for word in words if word not in {"|", "..."}]
    if not words or not re.fullmatch(r"[a-z][a-z-]*,?", words[0]):
        return None
    first = words[0].rstrip(",")
    if first not in commands():
        return f"no command {first}"
    command, rest = loaded(first), words[1:]
    while isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]*,?", rest[0]):
        following = command.commands.get(rest[0].rstrip(","))
        if following is None:
            return f"{first} has no {rest[0]}"
        command, rest = following, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    wrong = [word for word in re.findall(r"--[a-z-]+", " ".join(rest)) if word not in known]
    return f"{first} has no {', '.join(wrong)}" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_module_that_is_run_by_name_exists(page):
    modules = set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", page.read_text()))

    assert [module for module in modules if find_spec(module) is None and not (ROOT / module).is_dir()] == []


PLANNED = ROOT / "docs/decisions/0016-foundation.md"
"""Names commands that the design has and we have not."""


@pytest.mark.parametrize("page", [page for page in PAGES if page != PLANNED], ids=name)
def test_every_assent_command_that_is_mentioned_exists(page):
    problems = [problem_with(text.split()) for text in mentioned(page, "assent")]

    assert [problem for problem in problems if problem] == []


def test_the_makefile_has_at_most_twelve_targets_and_each_says_what_it_does():
    assert 0 < len(TARGETS) <= 12
    assert [target for target, text in TARGETS if not text] == []


# Services


@pytest.mark.parametrize("service", SERVICES, ids=name)
def test_a_service_has_the_files_of_every_service(service):
    package = service / f"src/{service.name}_service"
    modules = ("__init__", "__main__", "settings", "app", "ports", "rpc", "store")
    wanted = [service / "README.md", service / "pyproject.toml", package / "py.typed"]
    wanted += [package / f"{module}.py" for module in modules]
    wanted += [package / "sql/queries.sql", package / "sql/schema.sql"]
    wanted += [service / "tests/unit", service / "tests/integration"]

    assert [name(path) for path in wanted if not path.exists()] == []
    assert (package / "domain.py").exists() != (package / "domain").is_dir()
    assert list(package.glob("sql/migrations/pre/0001_*.sql"))


@pytest.mark.parametrize("service", SERVICES, ids=name)
def test_a_service_starts_from_a_recipe_under_twenty_lines(service):
    lines = (service / f"src/{service.name}_service/__main__.py").read_text().splitlines()

    assert len(lines) < 20
    assert "    run(build, Settings)" in lines


@pytest.mark.parametrize("service", SERVICES, ids=name)
def test_migrations_are_numbered_once_over_both_phases_and_go_forward_only(service):
    files = sorted((service / f"src/{service.name}_service/sql/migrations").glob("*/*.sql"))
    numbers = [path.name.partition("_")[0] for path in files]

    assert all(path.parent.name in {"pre", "post"} for path in files)
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", path.name) for path in files)
    assert len(set(numbers)) == len(numbers)
    assert [name(path) for path in files if path.read_text().partition("-- migrate:down")[2].strip()] == []


@pytest.mark.parametrize("library", sorted((ROOT / "libs").glob("*/pyproject.toml")), ids=name)
def test_a_library_has_a_page(library):
    assert (library.parent / "README.md").exists()


# Decisions


@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_a_decision_has_context_decision_rejected_and_consequences(page):
    headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)

    assert ["Context", "Decision", "Rejected", "Consequences"] == headings
    assert re.match(rf"# {page.name[:4]} \S", page.read_text())


def test_decisions_are_numbered_without_gaps_and_listed():
    index = (ROOT / "docs/decisions/README.md").read_text()

    assert [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)] == [page.name[:4] for page in DECISIONS]
    assert [page.name for page in DECISIONS if f"({page.name})" not in index] == []


def declared() -> set[str]:
    """Every third-party package that a member or dev.in declares."""
    found: set[str] = set()
    for project in listed("libs/*/pyproject.toml", "services/*/pyproject.toml", "examples/*/pyproject.toml"):
        found |= set(tomllib.loads(project.read_text())["project"]["dependencies"])
    for source in listed("requirements/*.in"):
        found |= {line for line in source.read_text().split("\n") if line and not line.startswith("#")}
    names = {re.match(r"[A-Za-z0-9_.-]+", text).group() for text in found}  # type: ignore[union-attr]
    return {text for text in names if not text.startswith("assent-")}


def test_every_dependency_has_a_row_with_its_reason():
    page = (ROOT / "docs/decisions/0015-dependencies.md").read_text()
    cells = " , ".join(re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE))
    cells = cells.replace(
        "opentelemetry-api, -sdk, -exporter", "opentelemetry-api, opentelemetry-sdk, opentelemetry-exporter"
    )
    told = set(re.split(r"[,\s]+", cells))

    assert declared() - told == set()


def test_the_glossary_is_alphabetical():
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)[2:]

    assert sorted(words, key=str.lower) == words
    assert len(set(words)) == len(words)


# What no file may hold

# Put together here, so that this file does not name them either.
REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("registry.npmjs", "org"),
    ("registry.yarnpkg", "com"),
    ("deb.debian", "org"),
    ("security.debian", "org"),
    ("archive.ubuntu", "com"),
    ("dl-cdn.alpinelinux", "org"),
    ("proxy.golang", "org"),
    ("static.crates", "io"),
)
HOMES = ("work", "Users")


def test_no_file_names_the_host_of_a_package_registry():
    assert where(re.compile("|".join(re.escape(".".join(host)) for host in REGISTRIES))) == []


def test_no_file_names_a_path_of_somebodys_machine():
    assert where(re.compile(rf"(?<![\w.}}\])*$-])/(?:{'|'.join(HOMES)})/")) == []


def test_no_file_holds_a_private_key():
    assert where(re.compile(r"-----BEGIN [A-Z ]*" + "PRIVATE KEY")) == []
    assert [name(path) for path in listed() if path.suffix in {".pem", ".key", ".p12", ".jwt"}] == []


def test_a_todo_has_an_issue_number():
    marks = re.compile(r"\b(?:TODO|FIX" + r"ME|XXX)\b(?!\(#\d+\))")
    allowed = {"CONTRIBUTING.md", name(Path(__file__))}
    found = [line for line in where(marks) if line.partition(":")[0] not in allowed]

    assert found == []


def test_generated_locks_carry_hashes_and_no_address():
    locks = listed("requirements/*.lock")

    assert locks
    assert [name(lock) for lock in locks if "--hash=sha256:" not in lock.read_text()] == []
    assert [name(lock) for lock in locks if "://" in lock.read_text()] == []
