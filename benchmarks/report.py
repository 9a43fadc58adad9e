"""The figures as files: `benchmarks/results/<name>.json` and the pages under `docs/`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.deciding import ALONE, FLOOR, MANY, ONE, TARGETS
from benchmarks.profiling import TOP, Profile, decision, is_ours, stage_rows

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PROFILE = ROOT / "docs" / "profile" / "decide.md"

Row = Mapping[str, Any]


def write(name: str, machine: Row, found: Mapping[str, Any], folder: Path = RESULTS) -> None:
    """One file of results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"name": name, "machine": machine, **found}, indent=2) + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; numbers to the right."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---", *["---:"] * (len(header) - 1)]) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def decide_table(rows: Sequence[Row]) -> str:
    """The floor and Decide."""
    header = ("", "callers", "calls/s", "p50 ms", "p99 ms", "p50 x floor", "p99 x floor", "throughput x floor", "CPU ms",
              "CPU x floor", "calls", "shown", "degraded", "errors")  # fmt: skip
    return table(header, map(_cells, rows))


def _cells(row: Row) -> tuple[object, ...]:
    figures = tuple(row[name] for name in ("what", "callers", "calls_per_s", "p50_ms", "p99_ms"))
    ratios = tuple(row[name] for name in ("p50_x_floor", "p99_x_floor", "throughput_x_floor"))
    cpu = round(sum(ms for process, ms in row["cpu_ms_per_call"].items() if process != "client"), 2)
    wrong = (sum(row["degradations"].values()), sum(row["errors"].values()))
    return (*figures, *ratios, cpu, row["cpu_x_floor"], row["calls"], row["shown_per_call"], *wrong)


def cpu_table(rows: Sequence[Row]) -> str:
    """Processor time per call with sixteen callers, by process."""
    by = {row["what"]: row["cpu_ms_per_call"] for row in rows if row["callers"] == MANY}
    names = sorted(by[ONE], key=lambda name: -by[ONE][name])
    return table(
        ("CPU ms per call, 16 callers", *by), ([name, *(each.get(name, 0) for each in by.values())] for name in names)
    )


def judged(rows: Sequence[Row]) -> list[Row]:
    """The targets of this release and what was found."""
    found = {(row["what"], row["callers"]): row for row in rows}
    p50, throughput = found[ONE, ALONE]["p50_x_floor"], found[ONE, MANY]["throughput_x_floor"]
    return [
        {"target": f"p50 <= {TARGETS['p50']} x floor, 1 caller", "found": p50, "met": p50 <= TARGETS["p50"]},
        {
            "target": f"throughput >= {TARGETS['throughput']} x floor, 16 callers",
            "found": throughput,
            "met": throughput >= TARGETS["throughput"],
        },
    ]


def page(machine: Row, floor: Row | None, decide: Row | None, ingest: Row | None) -> str:
    """The page of all figures of one run."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    intro = (
        "# Benchmarks\n\nWritten by `make bench`; every figure is from one run. Ratios are medians over rounds in which the floor and the"
        " suite take turns, so that other work on the machine slows both.\n\n"
        "**Floor**: seven processes with empty handlers make the hops of a recorded decision, with its messages, over the same kit"
        " (tokens, deadlines, uvloop), and publish one acknowledged record. **CPU**: processor time of all processes but the client,"
        " background work (archiving, folding) included."
        "\n\nThe consent ledger has [a page of its own](benchmarks-consent.md)."
    )
    where = (
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory']}; Python {machine['python']}; {packages}."
        f"\nCommit {machine['commit'][:12]}, {machine['started']}; load average before {machine['load_before']}, after"
        f" {machine['load_after']}."
    )
    parts = [
        intro,
        where,
        *_decide_parts(decide or floor),
        *(_ingest_parts(ingest) if ingest else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _decide_parts(decide: Row | None) -> list[str]:
    if decide is None:
        return []
    parts = ["## Decide and its floor\n\n" + decide_table(decide["rows"])]
    if "targets" in decide:
        rows = ((t["target"], t["found"], "met" if t["met"] else "missed") for t in decide["targets"])
        parts += [table(("target of this release", "found", ""), rows), cpu_table(decide["rows"])]
    hops = table(("hop", "service", "request bytes", "response bytes"), (tuple(hop.values()) for hop in decide["hops"]))
    return [*parts, hops]


def _ingest_parts(ingest: Row) -> list[str]:
    header = ("", "events", "accepted/s", "visible/s")
    names = ("what", "events", "accepted_per_s", "visible_per_s")
    many = table(header, (tuple(row[name] for name in names) for row in ingest["throughput"]))
    names = ("what", "samples", "p50_ms", "p99_ms")
    one = table(("", "samples", "p50 ms", "p99 ms"), (tuple(row[name] for name in names) for row in ingest["latency"]))
    return ["## Events\n\nVisible: folded, so that the next decision knows it.", many, one]


def profile_page(machine: Row, found: Profile) -> str:
    """Where the time goes."""
    intro = (
        "# Where the time of a decision goes\n\nWritten by `python -m benchmarks decide --profile` at commit"
        f" {machine['commit'][:12]}. Durations are those that the services measure themselves, as means; exporting them costs"
        " some time that `docs/benchmarks.md` does not have. *Inside* is the sibling's own time for the call; the rest is the way"
        " there and back, waiting for a processor, and orchestration's own work for the stage."
        " Samples are of time on a processor under 16 callers; `Runner.run` is uvloop itself: polling, reading, timers."
    )
    parts = [
        intro,
        _stage_table("1 caller", found.alone),
        _stage_table("16 callers", found.many),
        *(_function_table(name, samples) for name, samples in found.samples.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _stage_table(title: str, totals: Mapping[Any, Any]) -> str:
    whole = decision(totals)
    rows = [
        (
            stage,
            f"{seen:.2f}",
            "" if inside is None else f"{inside:.2f}",
            f"{share:.0%}",
            f"{seen * share / whole.mean_ms:.0%}",
        )
        for stage, seen, inside, share in stage_rows(totals)
    ]
    rows.append(("decision", f"{whole.mean_ms:.2f}", "", f"{whole.count}", "100%"))
    header = ("stage", "ms", "inside ms", "decisions with it", "of a decision's time")
    return f"## Stages, {title}\n\n" + table(header, rows)


def _function_table(service: str, samples: Any) -> str:
    total = max(sum(samples.innermost.values()), 1)
    own = ((f"`{name}`", f"{count / total:.1%}") for name, count in samples.innermost.most_common(TOP))
    ours = [(name, count) for name, count in samples.anywhere.most_common() if is_ours(name)][:TOP]
    below = ((f"`{name}`", f"{count / total:.1%}") for name, count in ours)
    parts = (
        f"## {service}",
        table((f"self time of {total} samples", "share"), own),
        table(("ours, with all it calls", "share"), below),
    )
    return "\n\n".join(parts)


__all__ = ["ALONE", "FLOOR", "PAGE", "PROFILE", "RESULTS", "decide_table", "judged", "page", "profile_page", "write"]
