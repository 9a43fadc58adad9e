"""What is looked up: states, entries, the registry, and what decisions relied on and did."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2 as consent_pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub, RegistryServiceStub
from consent_service.asking import FILE, TIMEOUT_S, Asked, asking
from consent_service.auditing.commands.options import RULES, TIME, as_json, since, until, us
from consent_service.auditing.commands.printing import said, show


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
