"""The ledger's registry over NATS."""

from __future__ import annotations

from collections.abc import Sequence

from grpc import aio

from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1.consent_service_pb2_grpc import RegistryServiceStub
from catalog.model import Bundle
from catalog.registry import registry_document, registry_notices
from content_service.ports import Registry
from servicekit.ids import new_id


class LedgerRegistry:
    """Publishes a bundle's registry to the consent service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = RegistryServiceStub(channel)

    async def publish(self, bundle: Bundle, approvers: Sequence[str]) -> None:
        """Publish; publishing the registry in force again changes nothing, so every attempt may have an id of its own."""
        document = registry_document(bundle)
        notices = [
            pb.Notice(id=text.id, version=text.version, locale=text.locale, bytes=text.bytes)
            for text in registry_notices(bundle)
        ]
        await self._stub.PublishRegistry(
            pb.PublishRegistryRequest(
                request_id=new_id(),
                document=document,
                notices=notices,
                approvers=approvers,
            )
        )


_: type[Registry] = LedgerRegistry
