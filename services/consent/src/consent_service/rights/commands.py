"""`assent ledger erasure request | decide | show`: erasure cases, for privacy officers."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from assent.consent.v1 import rights_service_pb2 as pb
from assent.consent.v1.rights_service_pb2_grpc import RightsServiceStub
from consent_service.asking import FILE, TIMEOUT_S, Asked, asking

GROUNDS: Final = [
    name.removeprefix("ERASURE_GROUND_").lower().replace("_", "-") for name in pb.ErasureGround.keys()[1:]
]


@click.group()
def erasure() -> None:
    """Erasure cases: request, decide, show. Two people approve, neither of them the one who asked."""


@erasure.command()
@click.argument("subject")
@click.option("--ground", type=click.Choice(GROUNDS), required=True, help="Why the data has to go (GDPR 17(1)).")
@asking
def request(subject: str, ground: str, asked: Asked) -> None:
    """Ask for the erasure of SUBJECT and all ids that are one person with it. Every check denies from now on.

    Repeating it shows the open case.

    \b
    Example:
      assent ledger erasure request 7d1c... --ground consent-withdrawn --token-file .assent/tokens/clerk
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    wanted = pb.ErasureGround.Value(f"ERASURE_GROUND_{ground.upper().replace('-', '_')}")
    sent = pb.RequestErasureRequest(subject_id=subject, ground=wanted)
    _show(asked.one(RightsServiceStub, lambda stub: stub.RequestErasure(sent, timeout=TIMEOUT_S)).erasure_case)


@erasure.command()
@click.argument("case")
@click.option("--approve", "decision", flag_value="approve", help="Yes.")
@click.option("--deny", "decision", flag_value="deny", help="No: earlier choices count again.")
@click.option("--hold", "decision", flag_value="hold", help="Not before a date; with --until and --reason.")
@click.option("--role", default="", help='In which role you decide, such as "privacy officer"; needed to approve.')
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), help="Hold, or keep what proof needs, until this day (UTC)."
)
@click.option("--reason", default="", help="Of a hold: a reference such as a docket number, which names nobody.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@asking
def decide(
    case: str,
    decision: str | None,
    role: str,
    until: datetime | None,
    reason: str,
    asked: Asked,
    *,
    yes: bool,
) -> None:
    """Decide CASE. Once the second approved, and no date is awaited, the key is destroyed: nothing undoes that.

    \b
    Examples:
      assent ledger erasure decide 3f0a... --approve --role "privacy officer" --token-file .assent/tokens/privacy
      assent ledger erasure decide 3f0a... --hold --until 2027-01-31 --reason "docket 7/26" --token-file .assent/tokens/privacy
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    if decision is None:
        raise click.UsageError("one of --approve, --deny and --hold is needed")
    sent = pb.DecideErasureRequest(case_id=case, role=role)
    until_us = int(until.replace(tzinfo=UTC).timestamp()) * 1_000_000 if until is not None else None
    if decision == "approve":
        if not yes:
            click.confirm("This may destroy the key for ever. Approve?", abort=True)
        sent.approve.CopyFrom(pb.DecideErasureRequest.Approve(retain_until_us=until_us))
    elif decision == "deny":
        sent.deny.CopyFrom(pb.DecideErasureRequest.Deny())
    elif until_us is None or not reason:
        raise click.UsageError("--hold needs --until and --reason")
    else:
        sent.hold.CopyFrom(pb.DecideErasureRequest.Hold(until_us=until_us, reason=reason))
    _show(asked.one(RightsServiceStub, lambda stub: stub.DecideErasure(sent, timeout=TIMEOUT_S)).erasure_case)


@erasure.command()
@click.argument("case")
@click.option(
    "--certificate",
    type=FILE,
    help="Write the signed certificate there, as one JSON object.",
)
@asking
def show(case: str, certificate: Path | None, asked: Asked) -> None:
    """Show CASE: where it is, who decided what, and the certificate once it is over."""
    sent = pb.GetErasureRequest(case_id=case)
    found = asked.one(RightsServiceStub, lambda stub: stub.GetErasure(sent, timeout=TIMEOUT_S)).erasure_case
    if certificate is not None:
        if not found.HasField("certificate"):
            raise click.ClickException("there is no certificate yet")
        signed = found.certificate
        said = {
            "body": signed.body.decode(),
            "key_id": signed.key_id,
            "signature": base64.b64encode(signed.signature).decode(),
        }
        certificate.write_text(json.dumps(said, indent=2) + "\n")
    _show(found)


def _show(case: pb.ErasureCase) -> None:
    """One JSON object: officers read it, scripts too."""
    said: dict[str, Any] = {
        "case": case.case_id,
        "status": pb.ErasureStatus.Name(case.status).removeprefix("ERASURE_STATUS_"),
        "ground": pb.ErasureGround.Name(case.ground).removeprefix("ERASURE_GROUND_"),
        "requested_at": _day(case.requested_at_us),
        "requested_by": case.requested_by,
        "subjects": list(case.subject_ids),
        "decisions": [_decision(decision) for decision in case.decisions],
    }
    for name in ("hold_until_us", "retain_until_us", "key_destroyed_at_us"):
        if case.HasField(name):
            said[name.removesuffix("_us")] = _day(getattr(case, name))
    if case.HasField("certificate"):
        said["certificate"] = json.loads(case.certificate.body)
    click.echo(json.dumps(said, indent=2))


def _decision(decision: pb.ErasureDecision) -> dict[str, str]:
    said = {"verb": decision.verb, "by": decision.by, "role": decision.role, "reason": decision.reason}
    times = {"at": _day(decision.at_us)} | ({"until": _day(decision.until_us)} if decision.HasField("until_us") else {})
    return {name: value for name, value in {**said, **times}.items() if value}


def _day(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="seconds")
