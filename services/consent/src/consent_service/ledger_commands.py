"""`assent ledger verify`: anybody with the log's key checks the ledger, offline and without asking its service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from consent_service import verifying
from consent_service.auditing import commands as auditing_commands
from consent_service.auditing.state_proof import StateProof, decode
from consent_service.auditing.verifying_state import complete, verify_state
from consent_service.domain.verification import Refused
from consent_service.rights.commands import erasure
from consent_service.signing import commands as signing_commands
from consent_service.verifying import Report, Trust, entries_of, verify_bundle, verify_export
from consent_service.verifying_database import verify_database
from servicekit.errors import AssentError
from tlog import ProofError, parse_vkey

file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def ledger() -> None:
    """The ledger of consent, for those who check it, the key of its checkpoints, and erasure cases."""


ledger.add_command(erasure)
for command in auditing_commands.COMMANDS:
    ledger.add_command(command)
ledger.add_command(signing_commands.vkey)
ledger.add_command(signing_commands.rotate_key)


@ledger.command()
@click.option("--export", "export", type=file, metavar="FILE", help="Verify an export (JSON Lines).")
@click.option("--database", "dsn", metavar="DSN", help="Verify a ledger where it lives, as a role that may read it.")
@click.option(
    "--state",
    "proof",
    type=file,
    metavar="FILE",
    help="Verify the proof of a state; with --export, that it is complete.",
)
@click.option("--bundle", type=file, metavar="FILE", help="Verify one leaf by its tlog-proof; with --leaf.")
@click.option("--leaf", type=file, metavar="FILE", help="The leaf's 162 bytes; with --bundle.")
@click.option(
    "--vkey",
    "vkeys",
    required=True,
    multiple=True,
    metavar="VKEY",
    help="The log's key, as a C2SP verifier key; repeat it where the key was rotated.",
)
@click.option("--origin", required=True, metavar="NAME", help="The log's name.")
@click.option("--known", "known", type=file, multiple=True, metavar="NOTE", help="A note kept from before; repeat it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--processes", type=click.IntRange(min=1), metavar="N", help="How many processes; default: one per core.")
def verify(
    export: Path | None,
    dsn: str | None,
    proof: Path | None,
    bundle: Path | None,
    leaf: Path | None,
    vkeys: tuple[str, ...],
    origin: str,
    known: tuple[Path, ...],
    *,
    as_json: bool,
    processes: int | None,
) -> None:
    """Recompute everything: indices, leaves, epochs and times, roots, signatures, bodies, notices and chains.

    Prints one line, OK or FAIL with a code; exit code 0 or 1.

    \b
    Examples:
      assent ledger verify --export ledger.jsonl --vkey "$VKEY" --origin bank.example/consent/harbour --known last-year.note
      assent ledger verify --state state.json --export ledger.jsonl --vkey "$VKEY" --origin bank.example/consent/harbour
      assent ledger verify --bundle proof.txt --leaf leaf.bin --vkey "$VKEY" --origin bank.example/consent/harbour
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    try:
        ways = (proof or export, dsn, bundle)
        if (bundle is None) is not (leaf is None) or sum(way is not None for way in ways) != 1:
            raise Refused("BAD_INPUT", "give --export, --database, --state, or --bundle with --leaf")  # noqa: TRY301
        first, *others = [_key(vkey) for vkey in dict.fromkeys(vkeys)]
        trust = Trust(first, origin, tuple(_read(path) for path in known), tuple(others))
        shown = decode(_read(proof)) if proof is not None else None
        if shown is not None:
            verify_state(shown, trust)
            trust = replace(trust, known=(*trust.known, shown.note))
            if export is None:
                return _tell_state(shown, as_json=as_json)
        with _shown() as progress:
            if export is not None:
                report = verify_export(export, trust, progress=progress, processes=processes)
                if shown is not None:
                    complete(shown, entries_of(export))
            elif dsn is not None:
                report = verify_database(dsn, trust, progress=progress, processes=processes)
            else:
                assert bundle is not None
                assert leaf is not None
                report = verify_bundle(_text(bundle), _read(leaf), trust)
    except Refused as refused:
        _fail(refused.code, refused.text, as_json=as_json)
    except AssentError as error:
        _fail(error.code, error.text, as_json=as_json)
    if shown is not None:
        return _tell_state(shown, as_json=as_json, complete=True)
    click.echo(json.dumps({"ok": True, **asdict(report)}) if as_json else f"OK {_line(report)}")
    return None


def _tell_state(shown: StateProof, *, as_json: bool, complete: bool = False) -> None:
    claim = shown.claim
    found = {"reason": claim.verdict.reason.value, "allowed": claim.verdict.allowed, "size": claim.size}
    if as_json:
        click.echo(json.dumps({"ok": True, **found, "entries": len(shown.entries), "complete": complete}))
        return
    whole = "nothing is missing" if complete else "whether something is missing is not shown"
    verdict = f"{'allowed' if claim.verdict.allowed else 'denied'}, {claim.verdict.reason.value}"
    click.echo(f"OK state {verdict}, by {len(shown.entries)} entries of {claim.size}; {whole}")


def _key(vkey: str) -> str:
    try:
        parse_vkey(vkey)
    except ProofError as error:
        raise Refused(error.code, error.text) from None
    return vkey


def _line(report: Report) -> str:
    entries = report.end - report.first
    unsigned = f", {report.end - report.signed} not signed yet" if report.end != report.signed else ""
    return (
        f"{entries} entries from {report.first}{unsigned}, {report.checkpoints} checkpoints, {report.known} known notes, "
        f"{report.opened} bodies, {report.notices} notices, {report.chains} chains, root {report.root}"
    )


def _fail(code: str, text: str, *, as_json: bool) -> None:
    click.echo(json.dumps({"ok": False, "code": code, "text": text}) if as_json else f"FAIL {code} {text}")
    raise SystemExit(1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Refused("BAD_INPUT", "a file cannot be read") from None


def _text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError:
        raise Refused("BAD_BUNDLE", "the bundle is not UTF-8") from None


@contextmanager
def _shown() -> Iterator[verifying.Progress]:
    """A bar on standard error, when a terminal is there to see it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield verifying.quiet
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("entries", total=None)
        yield lambda done, everything: bar.update(task, completed=done, total=everything)
