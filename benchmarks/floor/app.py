"""What a process of the floor is made of: the kit as a service uses it, and handlers that do nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.orchestration_service_pb2_grpc import (
    OrchestrationServiceServicer,
    add_OrchestrationServiceServicer_to_server,
)
from benchmarks.floor.hops import Hop, Prepared
from benchmarks.floor.settings import Settings
from servicekit import grpc_client, nats
from servicekit.app import App, Servicer
from servicekit.auth import ServiceIdentity
from servicekit.nats import Bus
from servicekit.streams import subject

OVER_GRPC = "grpc"
"""The session of a request whose hops go over gRPC."""
FRONT = "orchestration"

Calls = list[list[Callable[[], Awaitable[Any]]]]
"""The rows of hops, ready to be called."""


class Front(OrchestrationServiceServicer):
    """Makes the hops, records, and gives the prepared answer."""

    def __init__(self, prepared: Prepared, bus: Bus, over_nats: Calls, over_grpc: Calls) -> None:
        self._prepared = prepared
        self._answer = pb.DecideResponse.FromString(prepared.answer)
        self._bus = bus
        self._calls = {"": over_nats, OVER_GRPC: over_grpc}

    async def Decide(self, request: pb.DecideRequest, _context: object) -> pb.DecideResponse:
        """Every hop of the decision that the messages were taken from."""
        for row in self._calls[request.session_id]:
            await asyncio.gather(*(call() for call in row))
        await self._record()
        return self._answer

    async def _record(self) -> None:
        """One message in the stream, acknowledged."""
        record, name = self._prepared.record, uuid4().hex
        recorded = DecisionRecorded(decision_id=name, record=record, record_digest=hashlib.sha256(record).digest())
        envelope = Envelope(event_id=name, key=name, producer=FRONT, decision_recorded=recorded)
        await self._bus.publish(subject("decision", name), envelope)


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The front, or one of the siblings."""
    prepared = Prepared.read(settings.prepared)
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        if settings.service == FRONT:
            servicer = await _front(settings, prepared, bus, opened)
        else:
            servicer = _sibling(settings.service, prepared)
        yield App(servicers=[servicer], bus=bus)


async def _front(settings: Settings, prepared: Prepared, bus: Bus, opened: AsyncExitStack) -> Servicer:
    identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
    token = settings.token.read_text()
    over_nats, over_grpc = {}, {}
    for service, address in settings.addresses.items():
        import_module(_stubs(service))
        over_nats[service] = bus.channel(service, identity=identity)
        opening = grpc_client.channel(address, token=lambda: token)
        over_grpc[service] = await opened.enter_async_context(opening)
    front = Front(prepared, bus, _calls(prepared, over_nats), _calls(prepared, over_grpc))
    return Servicer(add_OrchestrationServiceServicer_to_server, front)


def _calls(prepared: Prepared, channels: dict[str, Any]) -> Calls:
    return [[_call(hop, channels[hop.service]) for hop in row] for row in prepared.rows]


def _call(hop: Hop, channel: Any) -> Callable[[], Awaitable[Message]]:
    """The hop as a generated stub makes it."""
    sent, received = hop.types()
    request = sent.FromString(hop.request)
    stub = channel.unary_unary(
        hop.path, request_serializer=sent.SerializeToString, response_deserializer=received.FromString
    )
    return lambda: stub(request, timeout=5)


def _stubs(service: str) -> str:
    return f"assent.{service}.v1.{service}_service_pb2_grpc"


def _sibling(service: str, prepared: Prepared) -> Servicer:
    stubs, name = import_module(_stubs(service)), f"{service.capitalize()}ServiceServicer"
    answers = {hop.method: _answering(hop) for hop in prepared.hops() if hop.service == service}
    return Servicer(getattr(stubs, f"add_{name}_to_server"), type("Empty", (getattr(stubs, name),), answers)())


def _answering(hop: Hop) -> Callable[..., Awaitable[Message]]:
    answer = hop.types()[1].FromString(hop.response)

    async def method(_self: object, _request: Message, _context: object) -> Message:
        return answer

    return method
