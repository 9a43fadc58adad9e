"""A record without what is personal: for those who may audit decisions and not read people's data."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from assent.orchestration.v1.record_pb2 import DecisionRecord

KEPT: Final = (
    *("format", "decision_id", "now_ms", "seed", "request", "bundle_digest", "killed", "snapshot_version", "arms"),
    *("evaluated", "ranked", "rendered", "placements", "degradations", "stages", "slate", "consent"),
)
REQUEST_KEPT: Final = ("request_id", "channel", "locale", "placements", "explain")
"""What stays, so that a field that joins the contract is not shown before somebody says that it may be."""


def redacted(record: DecisionRecord) -> DecisionRecord:
    """Who it was, what was known of them and what was said to them are gone; stages, actions, reasons' codes and digests stay."""
    plain = DecisionRecord()
    plain.CopyFrom(record)
    _keep_only(plain, KEPT)
    _keep_only(plain.request, REQUEST_KEPT)
    for rejected in plain.evaluated.rejected:
        for reason in rejected.reasons:
            reason.ClearField("seen")
    for item in plain.rendered.items:
        item.ClearField("content")
    for answer in plain.placements:
        for treatment in answer.treatments:
            treatment.ClearField("content")
            treatment.ClearField("tracking_token")
            treatment.ClearField("reason")
    plain.DiscardUnknownFields()
    return plain


def _keep_only(message: Message, names: tuple[str, ...]) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.name not in names:
            message.ClearField(field.name)
