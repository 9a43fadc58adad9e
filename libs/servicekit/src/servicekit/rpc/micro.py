"""Discovery and statistics as the NATS services protocol has them: `nats micro ls`, `info` and `stats` see our services.

The message types are nats-py's; its service loop is not used because it would carry the calls themselves.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.msg import Msg
from nats.micro.service import (
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
    ServiceVerb,
    control_subject,
)

from servicekit.wire import Wire


@dataclass(slots=True)
class Endpoint:
    """What one method has been doing; times are nanoseconds."""

    name: str
    subject: str
    queue_group: str
    requests: int = 0
    errors: int = 0
    nanoseconds: int = 0
    last_error: str = ""

    def count(self, nanoseconds: int, error: str = "") -> None:
        """Add one call; `error` is the stable reason, empty for success."""
        self.requests += 1
        self.nanoseconds += nanoseconds
        if error:
            self.errors += 1
            self.last_error = error

    def info(self) -> EndpointInfo:
        """Where it listens."""
        return EndpointInfo(name=self.name, subject=self.subject, queue_group=self.queue_group)

    def stats(self) -> EndpointStats:
        """What it has done."""
        return EndpointStats(
            name=self.name,
            subject=self.subject,
            queue_group=self.queue_group,
            num_requests=self.requests,
            num_errors=self.errors,
            processing_time=self.nanoseconds,
            average_processing_time=self.nanoseconds // max(1, self.requests),
            last_error=self.last_error,
        )


class Discovery:
    """One replica's answers."""

    def __init__(self, service: str, instance: str, version: str, endpoints: Sequence[Endpoint]) -> None:
        self._who: dict[str, Any] = {"id": instance, "name": service, "version": version, "metadata": {}}
        self._endpoints = endpoints
        self._started = datetime.now(UTC)

    def answers(self) -> Mapping[ServiceVerb, Callable[[], dict[str, Any]]]:
        """What each verb is answered with."""
        return {ServiceVerb.PING: self.ping, ServiceVerb.INFO: self.info, ServiceVerb.STATS: self.stats}

    def ping(self) -> dict[str, Any]:
        """A replica that is here."""
        return ServicePing(**self._who).to_dict()

    def info(self) -> dict[str, Any]:
        """And what it serves."""
        endpoints = [endpoint.info() for endpoint in self._endpoints]
        return ServiceInfo(**self._who, description="", endpoints=endpoints).to_dict()

    def stats(self) -> dict[str, Any]:
        """And how that goes."""
        endpoints = [endpoint.stats() for endpoint in self._endpoints]
        return ServiceStats(**self._who, started=self._started, endpoints=endpoints).to_dict()


@asynccontextmanager
async def answering(
    nc: Wire, *, service: str, instance: str, version: str, endpoints: Sequence[Endpoint]
) -> AsyncIterator[None]:
    """Answer `$SRV.{PING,INFO,STATS}[.name[.id]]` while the block runs."""
    discovery = Discovery(service, instance, version, endpoints)
    async with AsyncExitStack() as subscribed:
        for verb, answer in discovery.answers().items():
            for name, id_ in ((None, None), (service, None), (service, instance)):
                subject = control_subject(verb, name=name, id=id_)
                subscription = await nc.subscribe(subject, cb=_answer_with(nc, answer))
                subscribed.push_async_callback(_leave, nc, subscription)
        yield


def _answer_with(nc: Wire, answer: Callable[[], dict[str, Any]]) -> Callable[[Msg], Any]:
    async def reply(message: Msg) -> None:
        if message.reply:
            await nc.publish(message.reply, json.dumps(answer()).encode())

    return reply


async def _leave(nc: Wire, subscription: Any) -> None:
    if not (nc.is_closed or nc.is_draining):
        await subscription.unsubscribe()
