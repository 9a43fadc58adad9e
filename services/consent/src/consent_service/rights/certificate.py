"""The certificate of an erasure: what was destroyed, when, by whose approval, and what remains and why. Pure.

The body is canonical JSON, signed with the statement key under `assent/certificate/v1`. It names nobody: with the case, the entries' places
in the log and their tags, anybody can find the ERASURE leaves and prove that they are there. It speaks for the ledger alone.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from consent_service.keys.epochs import LIVES
from consent_service.reading import StatementKey
from consent_service.rights.cases import Case, Signed
from servicekit.basis import canonical

CONTEXT: Final = b"assent/certificate/v1\x00"
BACKUPS_US: Final = int(LIVES.total_seconds()) * 1_000_000
"""A KEK lives no longer: after that nothing unwraps a key that a backup holds."""

REMAINS: Final = (
    ("approvals", "who approved, denied or held the case: accountability"),
    ("leaves", "index, time, class, random-looking commitments and tags: the log's proofs"),
    ("links", "ids of erased subjects in sealed bodies of subjects once linked to them: the others' record"),
    ("stream", "that the subject changed, never what: the stream CONSENT for at most 7 days"),
    ("tombstone", "the subject id and that it is erased: it shall not be used again"),
)
"""What survives, and why."""


def body(case: Case, *, ledger: str, kid: str, now_us: int) -> bytes:
    """What is signed. Times are epoch microseconds."""
    assert case.died_us is not None
    said: dict[str, Any] = {
        "v": 1,
        "ledger": ledger,
        "case": case.id,
        "ground": case.ground,
        "requested_at": case.requested_us,
        "subjects": case.people,
        "entries": [{"index": each.index, "tag": b64encode(each.tag).decode()} for each in case.erasures],
        "deleted": dict(case.deleted),
        "approvers": [decision.role for decision in case.approvals],
        "approved_at": max(decision.at_us for decision in case.approvals),
        "key_destroyed_at": case.died_us,
        "backups_blind_after": case.died_us + BACKUPS_US,
        "exports_handed_out": list(case.exports),
        "remains": [{"what": what, "why": why} for what, why in REMAINS],
        "certified_at": now_us,
        "kid": kid,
    }
    if case.retain_until_us is not None:
        said["retained_until"] = case.retain_until_us
    return canonical(said)


def sign(case: Case, key: StatementKey, *, ledger: str, now_us: int) -> Signed:
    """The certificate of a case whose keys are dead."""
    said = body(case, ledger=ledger, kid=key.key_id, now_us=now_us)
    return Signed(said, key.key_id, key.key.sign(CONTEXT + said))
