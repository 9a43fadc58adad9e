"""The figures as a page: docs/benchmarks-consent.md, from the files of results."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import ROOT, report
from benchmarks.consent import targets

PAGE: Final = ROOT / "docs" / "benchmarks-consent.md"
INTRO: Final = (
    "# Benchmarks of the consent ledger\n\nWritten by `python -m benchmarks consent`, which says with `--help` what each name measures. One machine"
    " does everything: callers, service, PostgreSQL with fsync on, NATS. Every row is judged by the figures of one run, which"
    " `benchmarks/results/consent-<name>.json` has in full; what is a ratio was measured in turns with its floor.\n\n"
    "Measured elsewhere: a CONSENT message after its COMMIT (metric of the relay), backups blind after 35 days (policy test of the keys)."
)


def page(folder: Path = report.RESULTS) -> str:
    """Of every result that there is."""
    found = {name: json.loads(path.read_text()) for name in targets.OF if (path := _file(name, folder)).exists()}
    if not found:
        return f"{INTRO}\n\nNothing is measured yet on the machine that releases are made on.\n"
    machines = dict.fromkeys(_machine(each["machine"]) for each in found.values())
    judged = [(name, row) for name, each in found.items() for row in each["targets"]]
    explained = "\n\n".join(f"**`{name}`** {how(name)}" for name in found)
    parts = (
        INTRO,
        f"{sum(row['met'] for _, row in judged)} of {len(judged)} met.",
        report.table(("name", "quantity", "target", "found", ""), map(_cells, judged)),
        f"## How each was measured\n\n{explained}",
        "## Runs",
        *machines,
        report.table(("name", "commit", "started", "load average before", "how long"), map(_run, found.items())),
    )
    return "\n\n".join(parts) + "\n"


def _cells(judged: tuple[str, Mapping[str, Any]]) -> tuple[str, ...]:
    name, row = judged
    return f"`{name}`", row["quantity"], row["target"], row["found"], "met" if row["met"] else "missed"


def _run(found: tuple[str, Mapping[str, Any]]) -> tuple[object, ...]:
    name, each = found
    facts, how_long = each["machine"], "a quick look" if each["quick"] else "whole"
    return f"`{name}`", facts["commit"][:12], facts["started"], facts["load_before"][0], how_long


def _file(name: str, folder: Path) -> Path:
    return folder / f"consent-{name}.json"


def how(name: str) -> str:
    """What the measure's module says of itself."""
    module = importlib.import_module(f"benchmarks.consent.bench_{'append' if name == 'growth' else name}")
    title, _, rest = (module.__doc__ or "").partition("\n\n")
    return f"{title.partition(':')[0]}. {' '.join(rest.split())}"


def _machine(facts: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return f"Machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory']}; Python {facts['python']}; {packages}."
