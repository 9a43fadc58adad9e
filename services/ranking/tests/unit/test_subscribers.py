"""What of a recorded decision is looked at."""

from __future__ import annotations

from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.orchestration.v1.record_pb2 import DecisionRecord
from ranking_service.subscribers import Learning
from servicekit.clock import FixedClock


class Unasked:
    """A verifier that nobody should need."""

    def verify_then(self, *_args, **_named):
        raise AssertionError


async def test_a_decision_that_placed_nothing_is_closed_without_a_look_at_its_basis(memory_learner):
    learner = memory_learner()
    learning = Learning(
        learner=learner,
        store=None,
        publication=None,
        specifications=None,
        consent=None,
        verifier=Unasked(),
        clock=FixedClock(1_800_000_000_000_000),
    )
    record = DecisionRecord(format=1, decision_id="d", subject_id="s")
    fact = Envelope(decision_recorded=DecisionRecorded(record=record.SerializeToString()))

    await learning.apply_decisions(0, 1, [(1, fact, 0)])

    assert learner.decisions == {"d": None}
