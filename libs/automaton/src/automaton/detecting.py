"""From a firing to a detection, and from a detection to the fact that other definitions read."""

from __future__ import annotations

from automaton.facts import Detection, Fact, Mark, Per, detection_id, signal_type
from automaton.primitives import Firing
from automaton.program import Compiled


def detection(
    key: str, definition: Compiled, per: Per, firing: Firing, *, known_at: int, moved_by: str | None
) -> Detection:
    """The detection of this firing; `moved_by` is the fact that revealed a wait."""
    first, last = firing.evidence[0], firing.evidence[-1]
    return Detection(
        id=detection_id((definition.signal, definition.hash), key, per, (first.id, last.id), firing.at),
        signal=definition.signal,
        version=definition.version,
        hash=definition.hash,
        kind=definition.kind,
        strength=definition.strength,
        warrants=definition.warrants,
        internal=definition.internal,
        shadow=definition.shadow,
        purpose=definition.purpose,
        needs=definition.needs,
        key=key,
        per=tuple(zip(definition.per, per, strict=True)),
        first_at=first.t,
        at=firing.at,
        expires_at=firing.at + definition.expires,
        known_at=known_at,
        evidence=tuple(Mark(*mark).id for mark in firing.evidence),
        fields=firing.fields,
        count=firing.count,
        measures=firing.measures,
        witness=firing.witness,
        moved_by=moved_by,
    )


def as_fact(found: Detection) -> Fact:
    """The detection as other definitions see it: its fields, `per`, measures and session."""
    fields = {**found.fields, **dict(found.per), **found.measures, "session": found.key}
    return Fact(found.key, found.at, found.id, signal_type(found.signal), fields)
