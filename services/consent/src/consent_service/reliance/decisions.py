"""From a decision on the bus to what the ledger keeps of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError

from assent.catalog.v1.value_pb2 import DataCategory
from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.profile.v1.profile_service_pb2 import ViewField
from consent_service.reliance.assessing import Decided, Labelled
from servicekit.basis import SignedBasis
from servicekit.errors import Invalid

FORMAT: Final = 1
LONGEST_ID: Final = 256
_CATEGORY: Final = {number: name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items()}


def decided(recorded: DecisionRecorded) -> Decided:
    """What matters of the record. Raises Invalid when it cannot be read, or is not the one that its digest is of."""
    record = _record(recorded)
    basis = record.basis if record.HasField("basis") else None
    return Decided(
        id=record.decision_id,
        at_us=record.now_ms * 1000,
        subject=record.subject_id,
        channel=record.request.channel,
        basis=SignedBasis(basis.body, basis.key_id, basis.signature) if basis is not None else None,
        shown=tuple(record.consent.purposes),
        data=_labelled(record.view.fields),
        signals=len(record.signals.signals),
    )


def _record(recorded: DecisionRecorded) -> DecisionRecord:
    if hashlib.sha256(recorded.record).digest() != recorded.record_digest:
        raise Invalid("The record is not what its digest says.", reason="DIGEST_MISMATCH", field="record")
    try:
        record = DecisionRecord.FromString(recorded.record)
    except DecodeError:
        raise Invalid("The record cannot be read.", reason="RECORD_UNREADABLE", field="record") from None
    if record.format != FORMAT:
        raise Invalid("The record is of another format.", reason="RECORD_FORMAT", field="record.format")
    if not 0 < len(record.decision_id) <= LONGEST_ID or "\x00" in record.decision_id + record.subject_id:
        raise Invalid(
            "The decision has no id that can be kept.", reason="RECORD_UNREADABLE", field="record.decision_id"
        )
    return record


def _labelled(fields: Iterable[ViewField]) -> tuple[Labelled, ...]:
    """Each different label once."""
    found = dict.fromkeys((field.category, tuple(field.purposes)) for field in fields)
    return tuple(Labelled(_CATEGORY.get(category, "unknown"), purposes) for category, purposes in found)
