"""Parsed bundles and their texts by digest: parsing takes milliseconds, rendering must not."""

from __future__ import annotations

from collections import OrderedDict

from catalog.digest import bundle_from_json
from catalog.model import Bundle
from content_service.ports import Bundles
from content_service.rendering import Speaker
from servicekit.errors import FailedPrecondition, NotFound

KEPT = 8


class Library:
    """The bundles that were asked for last."""

    def __init__(self, bundles: Bundles) -> None:
        self._bundles = bundles
        self._parsed: OrderedDict[str, Speaker] = OrderedDict()

    async def speaker(self, digest: str) -> Speaker:
        """The bundle of that digest, ready to speak. Raises FailedPrecondition BUNDLE_UNKNOWN."""
        if digest not in self._parsed:
            self._keep(digest, await self._load(digest))
        self._parsed.move_to_end(digest)
        return self._parsed[digest]

    async def active(self) -> Bundle | None:
        """The bundle that counts, if any does."""
        digest = (await self._bundles.active()).digest
        return None if digest is None else (await self.speaker(digest)).bundle

    async def _load(self, digest: str) -> Speaker:
        try:
            return Speaker.of(bundle_from_json(await self._bundles.document(digest)))
        except NotFound as missing:
            raise FailedPrecondition(
                "This bundle is not stored", reason="BUNDLE_UNKNOWN", field="bundle_digest"
            ) from missing

    def _keep(self, digest: str, speaker: Speaker) -> None:
        self._parsed[digest] = speaker
        while len(self._parsed) > KEPT:
            self._parsed.popitem(last=False)
