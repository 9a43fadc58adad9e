"""Bases for ingest: asked of the ledger, verified like anybody's, reused until they end or CONSENT names the subject."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from servicekit.basis import Basis, Verifier
from servicekit.clock import Clock
from signals_service.ports import Consent

TTL_MS: Final = 30_000
KEPT: Final = 20_000
MARGIN_US: Final = 100_000
"""A basis is not used in its last tenth of a second: the batch must be stored before it ends."""


class CachedBases:
    """The latest basis of each (subject, channel)."""

    def __init__(self, consent: Consent, verifier: Verifier, clock: Clock) -> None:
        self._consent = consent
        self._verifier = verifier
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], Basis] = OrderedDict()
        self._invalidations = 0

    async def of(self, subject: str, channel: str) -> Basis:
        """The basis of a subject on a channel; asked for when none is known. Raises Unavailable."""
        found = self._known.get((subject, channel))
        if found is not None and self._clock.now_us() < found.not_after_us - MARGIN_US:
            return found
        before = self._invalidations
        basis = await self._ask(subject, channel)
        if before == self._invalidations:
            self._keep((subject, channel), basis)
        return basis

    async def _ask(self, subject: str, channel: str) -> Basis:
        signed = await self._consent.evaluate(subject, channel, ttl_ms=TTL_MS)
        return self._verifier.verify(signed, now_us=self._clock.now_us(), subject=subject, channel=channel)

    def _keep(self, key: tuple[str, str], basis: Basis) -> None:
        self._known[key] = basis
        self._known.move_to_end(key)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    def invalidate(self, subject: str) -> None:
        """Something about this subject changed: what is known about it and those linked to it is asked again."""
        self._invalidations += 1
        stale = [key for key, basis in self._known.items() if key[0] == subject or subject in basis.members]
        for key in stale:
            del self._known[key]
