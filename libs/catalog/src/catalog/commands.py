"""`assent catalog`: what a catalog author runs. Exit 0 ok, 1 findings or failed cases, 2 the catalog cannot be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from catalog.checks import Report, lint
from catalog.digest import bundle_digest, bundle_to_json
from catalog.findings import CatalogInvalid
from catalog.golden import run_cases
from catalog.loading import load_bundle
from catalog.model import Bundle
from catalog.reference import evaluate_reference

OK, FINDINGS, BAD_INPUT = 0, 1, 2

_folder = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def catalog() -> None:
    """Check and identify a catalog."""


@catalog.command("lint")
@_folder
@_json
def lint_command(folder: Path, *, as_json: bool) -> None:
    """Check everything that can be checked without running it."""
    report = lint(folder)
    click.echo(json.dumps(report.as_json(), ensure_ascii=False) if as_json else _text(report))
    if report.digest is None:
        sys.exit(BAD_INPUT)
    sys.exit(FINDINGS if report.findings else OK)


@catalog.command("digest")
@_folder
@_json
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write its canonical JSON there.")
def digest_command(folder: Path, *, as_json: bool, out: Path | None) -> None:
    """Print the digest that names the bundle."""
    bundle = _bundle(folder, as_json=as_json)
    data = bundle_to_json(bundle)
    if out is not None:
        out.write_bytes(data)
    digest = bundle_digest(bundle)
    click.echo(json.dumps({"bundle": digest, "bytes": len(data)}) if as_json else digest)


@catalog.command("test")
@_folder
@_json
def test_command(folder: Path, *, as_json: bool) -> None:
    """Run the golden cases through the reference evaluator (eligibility only; slates need ranking)."""
    results = run_cases(_bundle(folder, as_json=as_json), evaluate_reference)
    failed = [result for result in results if not result.passed]
    if as_json:
        cases = [{"name": result.name, "passed": result.passed, "diff": list(result.differences)} for result in results]
        click.echo(json.dumps({"cases": cases, "failed": len(failed)}, ensure_ascii=False))
    else:
        for result in failed:
            click.echo(f"{result.name}\n  " + "\n  ".join(result.differences))
        click.echo(f"{len(results) - len(failed)} of {len(results)} cases passed")
    sys.exit(FINDINGS if failed else OK)


def _bundle(folder: Path, *, as_json: bool) -> Bundle:
    try:
        return load_bundle(folder)
    except CatalogInvalid as invalid:
        _refuse(invalid, as_json=as_json)


def _refuse(invalid: CatalogInvalid, *, as_json: bool) -> NoReturn:
    report = Report(None, invalid.findings)
    click.echo(json.dumps(report.as_json(), ensure_ascii=False) if as_json else _text(report))
    sys.exit(BAD_INPUT)


def _text(report: Report) -> str:
    lines = [str(finding) for finding in report.findings]
    summary = f"{report.count('error')} errors, {report.count('warning')} warnings"
    return "\n".join([*lines, f"{report.digest or 'no bundle'}: {summary}"])
