"""What a service is made of, as values: `build` in its `app.py` returns one `App`, `servicekit.run` serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assent.events.v1.envelope_pb2 import Envelope
from servicekit.gates import Gate

if TYPE_CHECKING:
    from servicekit.nats import Bus

EventHandler = Callable[[Envelope], Awaitable[None]]
"""Handles one event; a kit error says what becomes of the message (see `servicekit.status`)."""

Task = Callable[[], Awaitable[None]]
"""A loop that runs as long as the service does, such as an outbox relay or a fold."""

Check = Callable[[], Awaitable[None]]
"""Raises while the service must not receive traffic."""

Drain = Callable[[], None]
"""Ends what would otherwise go on for ever, such as open streams; called once, when readiness is withdrawn."""


@dataclass(frozen=True, slots=True)
class Servicer:
    """A servicer and the generated function that adds it: `Servicer(add_ConsentServiceServicer_to_server, impl)`.

    Over NATS the methods in `gates` are served only while their gate is open: where only one replica can do them, a call finds it.
    """

    add: Callable[[Any, Any], None]
    implementation: object
    gates: Mapping[str, Gate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A durable pull consumer: events of `stream` whose body is of type `body` go to `handle`.

    `body` is the name of the envelope's oneof field, such as "consent_changed"; events of other bodies are skipped and acknowledged.
    `durable` names the consumer; replicas of a service share it. With `every_replica` each replica gets its own ephemeral
    consumer that starts at new messages: for in-process caches and open streams. `gather_s`: how long a message may wait
    for others, where handling many at once is much cheaper and nobody is in a hurry.
    """

    stream: str
    durable: str
    handlers: Mapping[str, EventHandler]
    every_replica: bool = False
    gather_s: float = 0


@dataclass(frozen=True, slots=True)
class App:
    """Everything that `servicekit.run` serves. Without a bus it is served over gRPC only and subscribes to nothing."""

    servicers: Sequence[Servicer]
    subscriptions: Sequence[Subscription] = ()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    on_drain: Sequence[Drain] = ()
    bus: Bus | None = None
