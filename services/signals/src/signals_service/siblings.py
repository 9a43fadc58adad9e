"""The services that this one calls: profile says whose a visitor is, consent what is allowed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from assent.events.v1.bank_pb2 import Identifier
from assent.profile.v1.profile_service_pb2 import ResolveSubjectRequest
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from servicekit.basis import SignedBasis
from servicekit.clock import Clock
from signals_service.ports import Consent, Subjects

KEPT: Final = 20_000
KNOWN_FOR_US: Final = 30_000_000
"""After a login a visitor may be somebody else."""


class ProfileSubjects:
    """Asks profile, and remembers the answer for a while."""

    def __init__(self, channel: Any, clock: Clock) -> None:
        self._stub = ProfileServiceStub(channel)
        self._clock = clock
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()

    async def resolve(self, visitor: str) -> str:
        """The subject of this visitor; an unknown one gets a new subject. Raises Unavailable."""
        now_us = self._clock.now_us()
        subject, until_us = self._known.get(visitor, ("", 0))
        if now_us < until_us:
            return subject
        request = ResolveSubjectRequest(identifier=Identifier(type="visitor", value=visitor), create=True)
        found = await self._stub.ResolveSubject(request)
        self._known[visitor] = (found.subject_id, now_us + KNOWN_FOR_US)
        self._known.move_to_end(visitor)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return str(found.subject_id)

    def forget(self, subject: str) -> None:
        """A subject was linked to another, separated or erased: ask again for its visitors."""
        for visitor in [visitor for visitor, (known, _) in self._known.items() if known == subject]:
            del self._known[visitor]


class ConsentSibling:
    """Asks the ledger's service."""

    def __init__(self, channel: Any) -> None:
        self._stub = ConsentServiceStub(channel)

    async def evaluate(self, subject: str, channel: str, *, ttl_ms: int) -> SignedBasis:
        """A basis of now. Raises Unavailable."""
        answer = await self._stub.EvaluateBasis(
            EvaluateBasisRequest(subject_id=subject, channel=channel, ttl_ms=ttl_ms)
        )
        return SignedBasis(answer.basis.body, answer.basis.key_id, answer.basis.signature)


_subjects: type[Subjects] = ProfileSubjects
_consent: type[Consent] = ConsentSibling
