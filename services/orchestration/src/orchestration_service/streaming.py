"""WatchDecisions: the first decision at once, the next ones when they are due, the end with its reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.profile.v1.profile_service_pb2 import ResolveSubjectRequest
from orchestration_service.deciding import Decider
from orchestration_service.pipeline.gather import ANONYMOUS
from orchestration_service.ports import Profiles
from orchestration_service.watching import CONSENT, Watches


async def watch_decisions(
    request: pb.WatchDecisionsRequest, *, caller: str, decider: Decider, profiles: Profiles, watches: Watches
) -> AsyncIterator[pb.WatchDecisionsResponse]:
    """Decisions until the stream ends. Raises NotFound for a subject that nobody knows, and what Decide raises."""
    create = request.subject.type in ANONYMOUS
    found = await profiles.resolve(ResolveSubjectRequest(identifier=request.subject, create=create))
    stream, number = uuid4().hex, count()
    with watches.open(found.subject_id) as watch:
        watch.wake("stream")
        async for cause in watch.due():
            asked = _decide_request(request, f"{stream}.{next(number)}")
            decision = await decider.decide(asked, caller=caller, cause=cause)
            yield pb.WatchDecisionsResponse(decision=decision, cause=cause)
            if cause == CONSENT and not decision.consent.personal:
                yield pb.WatchDecisionsResponse(end=pb.END_REASON_CONSENT_WITHDRAWN)
                return
        yield pb.WatchDecisionsResponse(end=watch.end)


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
