"""`assent ledger` for auditors: one command for each kind of question, asked of the service. docs/auditor.md has the questions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2 as consent_pb
from assent.consent.v1 import rights_service_pb2 as rights_pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub, RegistryServiceStub
from assent.consent.v1.rights_service_pb2_grpc import RightsServiceStub
from servicekit import grpc_client
from servicekit.errors import AssentError
from servicekit.status import translated

TIMEOUT_S: Final = 120.0
TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"])
FILE: Final = click.Path(path_type=Path, dir_okay=False)
Ask = Callable[[Any], Any]

RULES: Final = [name.removeprefix("VIOLATION_RULE_") for name, number in pb.ViolationRule.items() if number]
ACTORS: Final = [name.removeprefix("ACTOR_TYPE_").lower() for name, number in types_pb2.ActorType.items() if number]
CATEGORIES: Final = [name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items() if number]


class Asked:
    """The service, as the options name it."""

    def __init__(self, server: str, token: Path, ca: Path | None) -> None:
        self._server = server
        self._token = token
        self._ca = ca

    def one(self, stub: type[Any], ask: Ask) -> Any:
        """An answer."""
        return self._run(stub, ask)

    def lines(self, stub: type[Any], ask: Ask, out: Path) -> int:
        """Write what streams to a file; how many lines there are."""

        async def write(opened: Any) -> int:
            count = 0
            with out.open("wb") as file:
                async for part in _parts(ask(opened)):
                    count += part.lines.count(b"\n")
                    file.write(part.lines)
            return count

        return int(self._run(stub, write))

    def _run(self, stub: type[Any], ask: Callable[[Any], Awaitable[Any]]) -> Any:
        async def asking() -> Any:
            token = self._token.read_text().strip()
            async with grpc_client.channel(self._server, token=lambda: token, ca=self._ca) as channel:
                with translated():
                    return await ask(stub(channel))

        try:
            return asyncio.run(asking())
        except AssentError as error:
            raise click.ClickException(f"{error.code}: {error}") from error


def _parts(call: Any) -> AsyncIterator[Any]:
    parts: AsyncIterator[Any] = call.__aiter__()
    return parts


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say where the ledger is, and who asks; the command gets an `Asked`."""

    def asked(*, server: str, token: Path, ca: Path | None, **given: Any) -> None:
        command(asked=Asked(server, token, ca), **given)

    asked.__doc__ = command.__doc__
    asked.__name__ = command.__name__
    asked.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Callable[..., None] = asked
    for option in (
        click.option("--ca", type=FILE, help="The server's CA: use TLS."),
        click.option(
            "--token-file",
            "token",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            required=True,
            help="A file with your token. Tokens are no arguments: everybody can read a command line.",
        ),
        click.option("--server", default="127.0.0.1:50053", show_default=True, metavar="HOST:PORT", help="The ledger."),
    ):
        wrapped = option(wrapped)
    return wrapped


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
since = click.option("--from", "since", type=TIME, help="This time or later (UTC).")
until = click.option("--to", "until", type=TIME, help="Before this time (UTC).")


def us(moment: datetime | None) -> int | None:
    """Epoch microseconds."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000) if moment is not None else None


_WIDE: Final = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def said(message: Message) -> dict[str, Any]:
    """A message's fields; numbers of 64 bits are numbers, and times stay microseconds."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    wide = {field.name for field in message.DESCRIPTOR.fields if field.cpp_type in _WIDE}
    return {name: int(value) if name in wide and isinstance(value, str) else value for name, value in found.items()}


def show(rows: Iterable[Message], columns: tuple[str, ...], *, as_json: bool) -> None:
    """A table of these columns, or everything as JSON."""
    found = list(map(said, rows))
    if as_json:
        for row in found:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    table = Table(*columns)
    for row in found:
        table.add_row(*[_cell(column, row.get(column, "")) for column in columns])
    Console(width=None if Console().is_terminal else 200).print(table)


def _cell(column: str, value: Any) -> str:
    if column.endswith("_us") and isinstance(value, int) and value:
        return datetime.fromtimestamp(value / 1_000_000, UTC).isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command()
@click.argument("subject")
@click.option("--purpose", required=True, help="The purpose.")
@click.option("--channel", required=True, help="The channel.")
@click.option("--category", required=True, type=click.Choice(CATEGORIES), help="The data category.")
@click.option("--recipient", default="", help="The recipient; default the bank itself.")
@click.option("--as-of", type=TIME, help="What held then (UTC); default now.")
@click.option("--as-known-at", type=TIME, help="As the ledger knew it then (UTC); default now.")
@click.option("--full", is_flag=True, help="Show every entry, so that it can be seen that none is missing.")
@click.option("--out", type=FILE, help="Write the proof there; `assent ledger verify --state` reads it.")
@asking
def prove(
    asked: Asked,
    subject: str,
    purpose: str,
    channel: str,
    category: str,
    recipient: str,
    as_of: datetime | None,
    as_known_at: datetime | None,
    *,
    full: bool,
    out: Path | None,
) -> None:
    """What held for SUBJECT, with a proof that anybody can check offline."""
    number = DataCategory.Value(f"DATA_CATEGORY_{category.upper()}")
    request = pb.ProveConsentStateRequest(
        subject_id=subject,
        key=types_pb2.Key(purpose=purpose, channel=channel, category=number, recipient=recipient),
        as_of_us=us(as_of),
        as_known_at_us=us(as_known_at),
        detail=pb.PROOF_DETAIL_FULL if full else pb.PROOF_DETAIL_PUBLIC,
    )
    answer = asked.one(AuditServiceStub, lambda stub: stub.ProveConsentState(request, timeout=TIMEOUT_S))
    if out is not None:
        out.write_bytes(answer.document)
    verdict = {**said(answer.verdict), "size": answer.size, "indices": list(answer.indices)}
    click.echo(json.dumps(verdict, ensure_ascii=False, indent=2))


@click.command()
@click.argument("subject")
@click.option("--as-of", type=TIME, help="What held then (UTC); default now.")
@click.option("--as-known-at", type=TIME, help="As the ledger knew it then (UTC); default now.")
@click.option("--ended", is_flag=True, help="Ended statements too.")
@asking
def state(asked: Asked, subject: str, as_of: datetime | None, as_known_at: datetime | None, *, ended: bool) -> None:
    """All that is on record about SUBJECT, with a verdict for each purpose, as JSON."""
    request = consent_pb.GetConsentStateRequest(
        subject_id=subject, as_of_us=us(as_of), as_known_at_us=us(as_known_at), include_ended=ended
    )
    answer = asked.one(ConsentServiceStub, lambda stub: stub.GetConsentState(request, timeout=TIMEOUT_S))
    click.echo(json.dumps(said(answer), ensure_ascii=False, indent=2))


@click.command()
@click.argument("subject")
@click.option("--evidence", is_flag=True, help="Also who acted, and how.")
@click.option("--proofs", is_flag=True, help="Also leaves and inclusion proofs.")
@as_json
@asking
def events(asked: Asked, subject: str, *, evidence: bool, proofs: bool, as_json: bool) -> None:
    """Every entry of SUBJECT, in order."""

    async def pages(stub: Any) -> list[Any]:
        found: list[Any] = []
        request = consent_pb.ListConsentEventsRequest(
            subject_id=subject, with_evidence=evidence, with_proofs=proofs, page_size=500
        )
        while True:
            answer = await stub.ListConsentEvents(request, timeout=TIMEOUT_S)
            found += answer.events
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                return found

    columns = ("position", "kind", "recorded_at_us", "event_time_us", "effective", "reason", "actor")
    show(asked.one(ConsentServiceStub, pages), columns, as_json=as_json)


@click.command()
@click.option("--notice", nargs=3, metavar="ID VERSION LOCALE", help="Also the exact words of this notice.")
@click.option("--digest", default="", help="The registry of this digest; default the latest.")
@click.option("--out", type=FILE, help="Write the words there, byte for byte; without --notice the document.")
@asking
def registry(asked: Asked, notice: tuple[str, str, str] | None, digest: str, out: Path | None) -> None:
    """The registry: purposes, notices, regimes; and the exact words of a notice."""
    request = consent_pb.GetRegistryRequest(digest=digest)
    if notice:
        request.notice.CopyFrom(types_pb2.NoticeRef(id=notice[0], version=int(notice[1]), locale=notice[2]))
    answer = asked.one(RegistryServiceStub, lambda stub: stub.GetRegistry(request, timeout=TIMEOUT_S))
    found = answer.notice.bytes if notice else answer.document
    if out is not None:
        out.write_bytes(found)
        click.echo(f"{answer.digest} at {answer.position.index}, {len(found)} bytes")
    else:
        click.echo(found.decode(errors="replace"))


@click.command()
@click.option("--entry", type=click.IntRange(min=0), help="Those that rest on the entry of this index.")
@click.option("--subject", default="", help="Those about this subject.")
@since
@until
@as_json
@asking
def reliances(
    asked: Asked, entry: int | None, subject: str, since: datetime | None, until: datetime | None, *, as_json: bool
) -> None:
    """Which decisions relied on an entry, were about a subject, or were made in a time."""

    async def pages(stub: Any) -> list[Any]:
        found: list[Any] = []
        request = pb.ListReliancesRequest(
            entry=entry, subject_id=subject, from_us=us(since) or 0, to_us=us(until) or 0, page_size=1000
        )
        while True:
            answer = await stub.ListReliances(request, timeout=TIMEOUT_S)
            found += answer.reliances
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                return found

    columns = ("decision_id", "purpose", "support", "subject_id", "basis_index", "decided_us", "channel", "categories")
    show(asked.one(AuditServiceStub, pages), columns, as_json=as_json)


@click.command()
@click.option("--rule", "rules", multiple=True, type=click.Choice(RULES), help="Look for this; repeat it. Default all.")
@since
@until
@click.option("--margin-ms", type=click.IntRange(min=0), default=0, help="How far deciders' clocks may be ahead.")
@as_json
@asking
def violations(
    asked: Asked,
    rules: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    margin_ms: int,
    *,
    as_json: bool,
) -> None:
    """What decisions did and should not have. Exit code 1 when there is anything."""
    totals = {"reliances": 0, "decisions": 0, "subjects": 0, "erased": 0}

    async def pages(stub: Any) -> list[Any]:
        found: list[Any] = []
        request = pb.FindViolationsRequest(
            rules=[pb.ViolationRule.Value(f"VIOLATION_RULE_{rule}") for rule in rules],
            from_us=us(since) or 0,
            to_us=us(until) or 0,
            clock_margin_us=margin_ms * 1000,
        )
        while True:
            answer = await stub.FindViolations(request, timeout=TIMEOUT_S)
            found += answer.violations
            for name in totals:
                totals[name] += getattr(answer, name)
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                return found

    found = asked.one(AuditServiceStub, pages)
    columns = ("rule", "decision_id", "purpose", "basis_index", "support", "cause", "decided_us", "margin_us", "detail")
    show(found, columns, as_json=as_json)
    click.echo(
        f"{len(found)} violations; examined {totals['reliances']} reliances of {totals['decisions']} decisions; "
        f"{totals['erased']} of erased subjects could not be judged",
        err=as_json,
    )
    if found:
        raise SystemExit(1)


@click.command()
@click.option("--out", type=FILE, required=True, help="Where to; `assent ledger verify --export` reads it.")
@click.option("--first", type=click.IntRange(min=0), default=0, help="The first index.")
@click.option("--last", type=click.IntRange(min=0), default=0, help="The index after the last; default all.")
@click.option(
    "--class", "classes", multiple=True, type=click.IntRange(1, 4), help="A class: subject, registry, ledger, erasure."
)
@click.option("--kind", "kinds", multiple=True, help="A kind, such as GRANT.")
@click.option("--actor", type=click.Choice(ACTORS), help="Who acted.")
@click.option("--actor-id", default="", help="The actor's id; needs consent.evidence.")
@click.option("--method", default="", help="The method of the evidence; needs consent.evidence.")
@click.option("--notice", nargs=3, metavar="ID VERSION LOCALE", help="The words shown.")
@click.option("--purpose", default="", help="The purpose, with everything below.")
@click.option("--regime", default="", help="A regime that was named.")
@click.option("--ineffective", is_flag=True, help="Only what had no effect.")
@click.option("--happened-from", type=TIME, help="Happened then or later (UTC).")
@click.option("--happened-before", type=TIME, help="Happened before (UTC).")
@click.option("--ends-from", type=TIME, help="Ends then or later (UTC).")
@click.option("--ends-before", type=TIME, help="Ends before (UTC).")
@asking
def export(asked: Asked, out: Path, first: int, last: int, notice: tuple[str, str, str] | None, **given: Any) -> None:
    """The log as JSON Lines: whole, or what a filter lets through."""
    request = pb.ExportAuditRequest(
        to=last,
        classes=given["classes"],
        kinds=given["kinds"],
        actor=types_pb2.ActorType.Value(f"ACTOR_TYPE_{(given['actor'] or 'unspecified').upper()}"),
        actor_id=given["actor_id"],
        method=given["method"],
        purpose=given["purpose"],
        regime=given["regime"],
        effective=False if given["ineffective"] else None,
        event_from_us=us(given["happened_from"]),
        event_to_us=us(given["happened_before"]),
        valid_to_from_us=us(given["ends_from"]),
        valid_to_to_us=us(given["ends_before"]),
    )
    setattr(request, "from", first)
    if notice:
        request.notice.CopyFrom(types_pb2.NoticeRef(id=notice[0], version=int(notice[1]), locale=notice[2]))
    click.echo(f"{asked.lines(AuditServiceStub, lambda stub: stub.ExportAudit(request), out)} lines")


@click.command("range")
@click.option("--first", type=click.IntRange(min=0), default=0, help="The first index.")
@click.option("--last", type=click.IntRange(min=0), default=0, help="The index after the last; default the end.")
@asking
def range_(asked: Asked, first: int, last: int) -> None:
    """Let the service recompute a part of its log, at most a million entries. Exit code 1 when anything does not hold."""
    request = pb.VerifyRangeRequest(to=last)
    setattr(request, "from", first)
    answer = asked.one(AuditServiceStub, lambda stub: stub.VerifyRange(request, timeout=TIMEOUT_S * 5))
    click.echo(json.dumps({**said(answer), "root": answer.root.hex()}, indent=2))
    if answer.mismatched:
        raise SystemExit(1)


@click.command()
@click.option("--at-least", type=click.IntRange(min=0), default=0, help="The first that covers so many entries.")
@click.option("--at", type=TIME, help="The latest that had been published then (UTC).")
@click.option("--out", type=FILE, help="Write the note there, for --known next year.")
@asking
def checkpoint(asked: Asked, at_least: int, at: datetime | None, out: Path | None) -> None:
    """A signed checkpoint: the latest, by size, or by time."""
    request = pb.GetCheckpointRequest(at_least=at_least) if at is None else pb.GetCheckpointRequest(at_us=us(at) or 0)
    answer = asked.one(AuditServiceStub, lambda stub: stub.GetCheckpoint(request, timeout=TIMEOUT_S))
    if out is not None:
        out.write_bytes(answer.note)
    click.echo(answer.note.decode())


@click.command()
@click.option("--index", type=click.IntRange(min=0), help="That this entry is in the log.")
@click.option(
    "--sizes", nargs=2, type=click.IntRange(min=1), help="That the log of the first size is a prefix of the second."
)
@click.option("--out", type=FILE, help="Write the tlog-proof text of --index there.")
@asking
def proof(asked: Asked, index: int | None, sizes: tuple[int, int] | None, out: Path | None) -> None:
    """A proof of inclusion or consistency, which `assent tlog` checks."""
    if (index is None) is not bool(sizes):
        raise click.UsageError("one of --index and --sizes is needed")
    request = pb.GetProofRequest()
    if sizes:
        request.consistency.CopyFrom(pb.GetProofRequest.Consistency(size1=sizes[0], size2=sizes[1]))
    else:
        request.inclusion.CopyFrom(pb.GetProofRequest.Inclusion(index=index or 0))
    answer = asked.one(AuditServiceStub, lambda stub: stub.GetProof(request, timeout=TIMEOUT_S))
    if out is not None and answer.tlog_proof:
        out.write_text(answer.tlog_proof)
    hashes = [each.hex() for each in answer.hashes]
    click.echo(
        json.dumps(
            {"size": answer.size, "proof": hashes, "leaf_hash": answer.leaf_hash.hex(), "note": answer.note.decode()},
            indent=2,
        )
    )


@click.command()
@click.argument("subject")
@click.option("--out", type=FILE, required=True, help="Where to.")
@asking
def copy(asked: Asked, subject: str, out: Path) -> None:
    """SUBJECT's own copy, opened and provable (GDPR 15, 20); needs the scope consent.rights."""
    request = rights_pb.ExportSubjectRequest(subject_id=subject)
    click.echo(f"{asked.lines(RightsServiceStub, lambda stub: stub.ExportSubject(request), out)} lines")


COMMANDS: Final = (prove, state, events, registry, reliances, violations, export, range_, checkpoint, proof, copy)
