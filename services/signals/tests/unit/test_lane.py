"""One partition in memory: stored batches in, signals out."""

from __future__ import annotations

from pathlib import Path

from assent.catalog.v1.value_pb2 import DATA_CATEGORY_BEHAVIOUR, DATA_CATEGORY_INTERACTION
from assent.events.v1.session_pb2 import AllowedPurpose, Grant, RefusedSequence, SessionBatch
from assent.signals.v1.session_event_pb2 import SessionEvent
from automaton import Detected, Ended, compile_bundle
from catalog.loading import load_bundle
from signals_service.lane import Lane

CATALOG = Path(__file__).parents[4] / "examples/harbour-bank/catalog"
PROGRAM = compile_bundle(load_bundle(CATALOG))


def grant(*categories: int, index: int = 1) -> Grant:
    return Grant(epoch=1, index=index, allowed=[AllowedPurpose(purpose="assistance", categories=categories)])  # type: ignore[arg-type]


WIDE = grant(DATA_CATEGORY_BEHAVIOUR, DATA_CATEGORY_INTERACTION)


def event(seq: int, t: int, kind: str, **fields) -> SessionEvent:
    return SessionEvent(id=f"e{seq}", seq=seq, occurred_at_ms=t, type=kind, **fields)


def failed(seq: int, t: int) -> SessionEvent:
    return event(seq, t, "upload_failed", step="document_upload", reason="blurry")


def batch(t: int, *events: SessionEvent, given: Grant = WIDE, refused: tuple[int, ...] = ()) -> SessionBatch:
    return SessionBatch(
        batch_id=f"b{t}",
        session="session-1",
        subject_id="u1",
        channel="mobile",
        sent_at_ms=t,
        received_at_ms=t,
        grant=given,
        events=events,
        refused=[RefusedSequence(seq=seq, status="BAD_FIELD") for seq in refused],
    )


def lane() -> Lane:
    return Lane(3, 1, 0, PROGRAM, "sha256:1")


def detected(changes) -> list[str]:
    return [change.detection.signal for change in changes if isinstance(change, Detected)]


def test_hesitation_is_known_at_the_second_ping():
    given = lane()

    given.take(batch(0, event(0, 0, "screen_view", step="document_upload")), 0)
    given.take(batch(5_000, event(1, 5_000, "ping")), 5_000)

    assert detected(given.take(batch(10_000, event(2, 10_000, "ping")), 10_000)) == ["hesitation"]


def test_hesitation_is_not_seen_when_the_pings_came_late():
    given = lane()

    given.take(batch(0, event(0, 0, "screen_view", step="document_upload")), 0)

    assert detected(given.take(batch(10_000, event(1, 5_000, "ping"), event(2, 10_000, "ping")), 10_000)) == []


def test_a_refused_event_is_no_gap():
    given = lane()

    assert detected(given.take(batch(0, failed(0, 0), failed(2, 5), refused=(1,)), 0)) == ["kyc_upload_frustration"]


def test_a_grant_message_deletes_state_and_ends_signals():
    given = lane()
    given.take(batch(0, failed(0, 0), failed(1, 5)), 0)

    (ended,) = given.take(batch(10, given=grant(DATA_CATEGORY_BEHAVIOUR, index=2)), 10)

    assert isinstance(ended, Ended)
    assert ended.reason == "CONSENT"


def test_a_message_without_subject_and_events_forgets_the_session():
    given = lane()
    given.take(batch(0, failed(0, 0)), 0)
    forget = SessionBatch(batch_id="f", session="session-1")

    given.take(forget, 5)

    assert given.dirty(["session-1"]) == ([], ["session-1"])
    assert given.take_erased() == ["session-1"]


def test_a_lane_restored_from_what_was_saved_goes_on():
    first, second = lane(), lane()
    first.take(batch(0, failed(0, 0), event(2, 4, "ping")), 0)
    saved, gone = first.dirty(["session-1"])

    second.restore(saved)

    assert gone == []
    assert second.wakes_at() == first.wakes_at() == 301
    assert detected(second.take(batch(10, failed(1, 3)), 10)) == ["kyc_upload_frustration"]


def test_a_session_that_is_long_over_is_removed():
    given = lane()
    given.take(batch(0, failed(0, 0)), 0)
    given.dirty(["session-1"])

    given.take(None, 31 * 60_000)
    assert given.dirty([])[1] == []
    given.take(None, 62 * 60_000)
    assert given.dirty([]) == ([], ["session-1"])
