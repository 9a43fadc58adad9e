"""What is written to a file: the log, and a subject's own copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import rights_service_pb2 as rights_pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from assent.consent.v1.rights_service_pb2_grpc import RightsServiceStub
from consent_service.asking import FILE, Asked, asking
from consent_service.auditing.commands.options import ACTORS, TIME, us


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


@click.command()
@click.argument("subject")
@click.option("--out", type=FILE, required=True, help="Where to.")
@asking
def copy(asked: Asked, subject: str, out: Path) -> None:
    """SUBJECT's own copy, opened and provable (GDPR 15, 20); needs the scope consent.rights."""
    request = rights_pb.ExportSubjectRequest(subject_id=subject)
    click.echo(f"{asked.lines(RightsServiceStub, lambda stub: stub.ExportSubject(request), out)} lines")
