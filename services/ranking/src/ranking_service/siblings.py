"""What ranking asks of others: the consent ledger, and bundles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1.consent_service_pb2 import CheckConsentRequest
from assent.consent.v1.types_pb2 import Key
from catalog.model.bundle import Bundle
from ranking_service.domain.learning import LEARNED_FROM, LEARNING
from ranking_service.domain.specification import Specification
from ranking_service.ports import Consent, Specifications
from ranking_service.specifications import specification
from servicekit.bundles import Bundles
from servicekit.errors import NotFound

if TYPE_CHECKING:
    from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceAsyncStub

KEPT: Final = 8
CATEGORY: Final = DataCategory.Value(f"DATA_CATEGORY_{LEARNED_FROM.upper()}")


class LedgerConsent:
    """The consent service."""

    def __init__(self, stub: ConsentServiceAsyncStub) -> None:
        self._stub = stub

    async def may_learn(self, subject_id: str, channels: Sequence[str]) -> Mapping[str, bool]:
        """Whether learning is allowed now; a subject that the ledger does not know allowed nothing."""
        keys = [Key(purpose=LEARNING, channel=channel, category=CATEGORY) for channel in channels]
        try:
            answer = await self._stub.CheckConsent(CheckConsentRequest(subject_id=subject_id, keys=keys))
        except NotFound:
            return {}
        return {verdict.key.channel: verdict.allowed for verdict in answer.verdicts}


class BundleSpecifications:
    """Ranking's part of the bundles used last."""

    def __init__(self, bundles: Bundles[Bundle]) -> None:
        self._bundles = bundles
        self._kept: OrderedDict[str, Specification] = OrderedDict()

    async def get(self, digest: str) -> Specification:
        """Of that bundle."""
        found = self._kept.get(digest)
        if found is None:
            found = self._kept[digest] = specification(digest, await self._bundles.get(digest))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found


_consent: type[Consent] = LedgerConsent
_specifications: type[Specifications] = BundleSpecifications
