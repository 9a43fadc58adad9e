"""`make check`: every rule of the house that needs no server, each by name, all of them even when one fails."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import stubs

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUF = ROOT / "tools/buf"
PYTHON = ["libs", "services", "tests", "tools", "benchmarks", "examples", "deploy", "conftest.py"]
SKIPPED = "skipped"


def run(*command: str | Path, cwd: Path = ROOT) -> str | None:
    """The output of a command that failed, None when it passed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or f"exit {done.returncode}" if done.returncode else None


def lint() -> str | None:
    """Ruff's rules."""
    return run(BIN / "ruff", "check", "--quiet", *PYTHON)


def formatting() -> str | None:
    """Ruff's format."""
    return run(BIN / "ruff", "format", "--quiet", "--check", "--diff", *PYTHON)


def types() -> str | None:
    """Mypy, strict."""
    packages = sorted(
        path.name
        for kind in ("libs", "services", "examples")
        for path in (ROOT / kind).glob("*/src/*")
        if path.is_dir()
    )
    chosen = [part for name in packages if name != "assent" for part in ("-p", name)]
    return run(BIN / "mypy", "--no-error-summary", *chosen)


def imports() -> str | None:
    """Who may import whom."""
    return run(BIN / "lint-imports", "--no-cache")


def generated_stubs() -> str | None:
    """The committed stubs are what the contracts give."""
    with tempfile.TemporaryDirectory() as folder:
        stubs.generate(Path(folder))
        differing = sorted(differences(filecmp.dircmp(folder, stubs.STUBS, ignore=["__pycache__", "py.typed"])))
    return f"run `make generate`; these differ: {', '.join(differing)}" if differing else None


def differences(compared: filecmp.dircmp[str]) -> Iterator[str]:
    """Names of files that are not the same on both sides."""
    root = Path(compared.left)
    for name in (*compared.left_only, *compared.diff_files, *compared.funny_files):
        yield (root / name).name
    yield from (name for name in compared.right_only if name.endswith((".py", ".pyi")) and name != "__init__.py")
    for below in compared.subdirs.values():
        yield from differences(below)


def buf(*arguments: str) -> str | None:
    """Buf from npm, where node is installed."""
    if shutil.which("npm") is None:
        return f"{SKIPPED}: node is not installed"
    if not (BUF / "node_modules/.bin/buf").exists() and (
        failed := run("npm", "install", "--no-save", "--silent", cwd=BUF)
    ):
        return failed
    return run(BUF / "node_modules/.bin/buf", *arguments, cwd=ROOT / "proto")


def contracts() -> str | None:
    """Contracts are documented and well formed."""
    return buf("lint") or buf("format", "--exit-code", "--diff")


def compatibility() -> str | None:
    """No contract breaks its readers: against the newest release, or the last commit before the first release."""
    tags = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=-v:refname"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    reference = tags[0] if tags else "HEAD"
    if run("git", "cat-file", "-e", f"{reference}:proto/buf.yaml"):
        return f"{SKIPPED}: {reference} has no contracts to compare with"
    return buf("breaking", "--against", f"../.git#ref={reference},subdir=proto")


def rules() -> str | None:
    """The tests of the house: layout, settings of the deploy files, README, schemas."""
    return run(BIN / "pytest", "-q", "tests/architecture")


CHECKS: dict[str, Callable[[], str | None]] = {
    "ruff check": lint,
    "ruff format": formatting,
    "mypy strict": types,
    "import rules": imports,
    "stubs are generated": generated_stubs,
    "buf lint": contracts,
    "buf breaking": compatibility,
    "house rules": rules,
}


def report(name: str, check: Callable[[], str | None]) -> bool:
    """Run one check and say how it went."""
    started = time.monotonic()
    problem = check()
    seconds = time.monotonic() - started
    if problem and problem.startswith(SKIPPED):
        print(f"  skip  {name}: {problem.removeprefix(SKIPPED + ': ')}")
        return True
    print(f"  {'FAIL' if problem else 'ok  '}  {name} ({seconds:.1f} s)", flush=True)
    if problem:
        print("\n".join(f"        {line}" for line in problem.splitlines()[-80:]))
    return not problem


def main() -> int:
    """Run every check; 1 when any failed."""
    wanted = sys.argv[1:]
    chosen = {name: check for name, check in CHECKS.items() if not wanted or any(word in name for word in wanted)}
    passed = [report(name, check) for name, check in chosen.items()]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
