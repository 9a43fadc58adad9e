"""What is proved: a state, a part of the log, and the proofs that are checked offline."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from consent_service.asking import FILE, TIMEOUT_S, Asked, asking
from consent_service.auditing.commands.options import CATEGORIES, TIME, us
from consent_service.auditing.commands.printing import said


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
