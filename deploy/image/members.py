"""Which members of the workspace a service's image is made of: `python members.py consent` prints their folders, dependencies first.

Runs while an image is built, with nothing installed.
"""
# ruff: noqa: INP001  # a program, in no package

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path.cwd()


def projects(root: Path) -> dict[str, tuple[Path, list[str]]]:
    """The folder and the declared dependencies of each member, by its name."""
    found = {}
    for declared in sorted((*root.glob("libs/*/pyproject.toml"), *root.glob("services/*/pyproject.toml"))):
        project = tomllib.loads(declared.read_text())["project"]
        needed = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in project.get("dependencies", [])]
        found[project["name"]] = (declared.parent, needed)
    return found


def members(service: str, root: Path = ROOT) -> list[Path]:
    """The folders of the service and of every member that it needs, dependencies first."""
    known = projects(root)

    def walk(name: str) -> Iterator[Path]:
        folder, needed = known[name]
        for other in needed:
            if other in known:
                yield from walk(other)
        yield folder

    return list(dict.fromkeys(walk(f"assent-{service}")))


if __name__ == "__main__":
    sys.stdout.write("\n".join(str(folder.relative_to(ROOT)) for folder in members(sys.argv[1])) + "\n")
