"""Decisions as orchestration records them, as far as the ledger looks at them."""

from __future__ import annotations

import hashlib

from assent.catalog.v1 import value_pb2
from assent.consent.v1.basis_pb2 import SignedBasis
from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.profile.v1.profile_service_pb2 import ViewField
from testkit.builders import unique


def category(name):
    return value_pb2.DataCategory.Value(f"DATA_CATEGORY_{name.upper()}")


def a_field(name="transaction", purposes=("offers",)):
    return ViewField(attribute=f"an_{name}", category=category(name), purposes=purposes)


def a_record(subject, basis=None, *, at_us, shown=(), fields=(), channel="mobile", **changed):
    """A record; `basis` is a servicekit SignedBasis."""
    record = DecisionRecord(
        format=changed.pop("format", 1),
        decision_id=changed.pop("decision_id", "") or unique("decision"),
        now_ms=at_us // 1000,
        subject_id=subject,
        basis=SignedBasis(body=basis.body, key_id=basis.key_id, signature=basis.signature) if basis else None,
    )
    record.request.channel = channel
    record.consent.purposes.extend(shown)
    record.view.fields.extend(fields)
    for _ in range(changed.pop("signals", 0)):
        record.signals.signals.add(definition="a_signal")
    assert not changed
    return record


def recorded(record):
    data = record.SerializeToString()
    return DecisionRecorded(decision_id=record.decision_id, record=data, record_digest=hashlib.sha256(data).digest())


def an_envelope(record):
    return Envelope(
        event_id=record.decision_id,
        key=record.subject_id or record.decision_id,
        producer="orchestration",
        decision_recorded=recorded(record),
    )
