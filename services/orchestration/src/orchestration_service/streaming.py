"""WatchDecisions: the first decision at once, the next ones when they are due, the end with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.profile.v1.profile_service_pb2 import ResolveSubjectRequest
from orchestration_service.deciding import Decider
from orchestration_service.pipeline import trust
from orchestration_service.pipeline.gather import ANONYMOUS, OURS
from orchestration_service.ports import Profiles
from orchestration_service.watching import CONSENT, STREAM, Watches
from servicekit.deadline import ending_in
from servicekit.errors import AssentError, NotFound

RESOLVE_S = 1.0
PUSH_S = 1.0
"""The budget of a push: nobody waits for it with a deadline, and whole and late is better than early and empty."""
AGAIN_S = 1.0
"""How long a change of consent waits for the next look at a ledger that did not answer."""


async def watch_decisions(
    request: pb.WatchDecisionsRequest, *, caller: str, decider: Decider, profiles: Profiles, watches: Watches
) -> AsyncIterator[pb.WatchDecisionsResponse]:
    """Decisions until the stream ends. Raises NotFound for a subject that nobody knows, and what Decide raises."""
    subject_id = await _subject(request, profiles)
    stream, number, personal = uuid4().hex, count(), False  # personal: perhaps, where nobody knows
    with watches.open(subject_id) as watch:
        watch.wake(STREAM)
        async for cause in watch.due():
            asked = _decide_request(request, f"{stream}.{next(number)}")
            decision = await decider.decide(asked, caller=caller, cause=cause, within_s=PUSH_S)
            yield pb.WatchDecisionsResponse(decision=decision, cause=cause)
            if cause == CONSENT and personal and not _knows_consent(decision):
                # The change is told once: ask until the ledger says what it was.
                asyncio.get_running_loop().call_later(AGAIN_S, watch.wake, CONSENT)
            elif cause == CONSENT and personal and not decision.consent.personal:
                yield pb.WatchDecisionsResponse(end=pb.END_REASON_CONSENT_WITHDRAWN)
                return
            personal = personal or decision.consent.personal or not _knows_consent(decision)
        yield pb.WatchDecisionsResponse(end=watch.end)


async def _subject(request: pb.WatchDecisionsRequest, profiles: Profiles) -> str:
    """The subject that answers; our own id does while profile is away."""
    asked = ResolveSubjectRequest(identifier=request.subject, create=request.subject.type in ANONYMOUS)
    try:
        with ending_in(RESOLVE_S):
            found = await profiles.resolve(asked)
        trust.check_subject(request.subject, found)
    except NotFound:
        raise
    except AssentError:
        if request.subject.type != OURS:
            raise
        return request.subject.value
    return found.subject_id


def _knows_consent(decision: pb.DecideResponse) -> bool:
    """Whether the ledger was read, and the decision that rests on it recorded."""
    return decision.HasField("receipt") and (decision.consent.epoch > 0 or decision.consent.index > 0)


def _decide_request(request: pb.WatchDecisionsRequest, request_id: str) -> pb.DecideRequest:
    return pb.DecideRequest(
        request_id=request_id,
        subject=request.subject,
        session_id=request.session_id,
        channel=request.channel,
        locale=request.locale,
        placements=request.placements,
        context=request.context,
    )
