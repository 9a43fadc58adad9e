"""Compiled bundles by digest: compiling takes milliseconds, evaluating must not."""

from __future__ import annotations

from collections import OrderedDict

from catalog.model import Bundle
from eligibility_service.domain.policy import Policy
from eligibility_service.ports import Policies
from servicekit.bundles import Bundles

KEPT = 8


class CompiledPolicies:
    """The policies that were asked for last."""

    def __init__(self, bundles: Bundles[Bundle]) -> None:
        self._bundles = bundles
        self._compiled: OrderedDict[str, Policy] = OrderedDict()

    async def get(self, digest: str) -> Policy:
        """The policy of that bundle. Raises FailedPrecondition BUNDLE_UNKNOWN."""
        if digest not in self._compiled:
            self._compiled[digest] = Policy(await self._bundles.get(digest))
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(digest)
        return self._compiled[digest]


_: type[Policies] = CompiledPolicies
