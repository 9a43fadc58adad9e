"""What the stream CONSENT says of an entry: that something changed, never what."""

from __future__ import annotations

from assent.events.v1.consent_pb2 import ConsentNarrowed, ConsentWidened, LedgerChange
from assent.events.v1.envelope_pb2 import Envelope
from consent_service.domain.entries import Entry


def announced(entry: Entry) -> bool:
    """Whether anybody's verdict may differ after the entry."""
    return entry.subject is not None and entry.effective


def announcement(entry: Entry, ledger: str, previous: int | None) -> Envelope:
    """The message for an entry; its id is the ledger's and the index, so a repeat is dropped."""
    assert entry.subject is not None
    change = LedgerChange(
        ledger=ledger, epoch=entry.epoch, index=entry.index, previous_index=previous, subject_id=entry.subject
    )
    envelope = Envelope(
        event_id=f"{ledger}:{entry.index}",
        key=entry.subject,
        occurred_at_ms=entry.event_us // 1000,
        recorded_at_ms=entry.recorded_us // 1000,
        producer="consent",
    )
    if entry.narrows:
        envelope.consent_narrowed.CopyFrom(ConsentNarrowed(change=change))
    else:
        envelope.consent_widened.CopyFrom(ConsentWidened(change=change))
    return envelope
