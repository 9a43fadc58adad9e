"""A record without what is personal: for those who may audit decisions and not read people's data."""

from __future__ import annotations

from assent.orchestration.v1.record_pb2 import DecisionRecord


def redacted(record: DecisionRecord) -> DecisionRecord:
    """Who it was, what was known of them and what was said to them are gone; stages, actions, reasons' codes and digests stay."""
    plain = DecisionRecord()
    plain.CopyFrom(record)
    plain.ClearField("subject_id")
    plain.ClearField("members")
    plain.ClearField("basis")
    plain.ClearField("view")
    plain.ClearField("signals")
    plain.ClearField("contact")
    plain.ClearField("reserved")
    plain.request.ClearField("subject")
    plain.request.ClearField("session_id")
    plain.request.ClearField("context")
    for rejected in plain.evaluated.rejected:
        for reason in rejected.reasons:
            reason.ClearField("seen")
    for item in plain.rendered.items:
        item.ClearField("content")
    for answer in plain.placements:
        for treatment in answer.treatments:
            treatment.ClearField("content")
            treatment.ClearField("tracking_token")
    return plain
