"""Where something that must stay inside could come out: logs, subjects, dead letters, and what telemetry sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from assent_cli.stack import Stack
from servicekit import nats
from servicekit.ordered import Ordered, last_sequence
from servicekit.pull import Delivered
from servicekit.streams import STREAMS


class Collector:
    """Takes whatever OpenTelemetry exports, and keeps the bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.received = bytearray()
        self.endpoint = ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Every method is an export."""
        del details
        return grpc.unary_unary_rpc_method_handler(self._take)

    def _take(self, body: bytes, _context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.received += body
        return b""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens, in threads of its own: exporters must not wait for the tests' loop."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[collector], options=[("grpc.max_receive_message_length", -1)])
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


async def leaks(stack: Stack, collector: Collector, secrets: tuple[str, ...]) -> list[str]:
    """Where one of these texts is found: a log, a subject, a dead letter, telemetry."""
    wanted = [text.encode() for text in secrets]

    def has(data: bytes) -> bool:
        return any(text in data for text in wanted)

    logs = [path for path in (*stack.logs.glob("*.log"), stack.nats.log, stack.postgres.log) if has(path.read_bytes())]
    telemetry = ["telemetry"] if has(bytes(collector.received)) else []
    return [*map(str, logs), *telemetry, *await _on_the_bus(stack, has)]


async def _on_the_bus(stack: Stack, has: Callable[[bytes], bool]) -> list[str]:
    """Subjects of every stream, and all of a dead letter."""
    found = []
    async with nats.connect(stack.nats_settings(), "cli") as bus:
        for stream in STREAMS:
            for message in await on_stream(bus, stream.name):
                dead = stream.name == "DEAD_LETTERS" and has(message.data)
                if dead or has(message.raw_subject):
                    found.append(f"{stream.name}/{message.sequence} on {message.subject}")
    return found


async def on_stream(bus: nats.Bus, stream: str) -> list[Delivered]:
    """Everything that is on a stream."""
    last, found, reader = await last_sequence(bus, stream), [], Ordered(bus, stream, [">"])
    held = (await bus.js.stream_info(stream)).state.messages
    while held and (not found or found[-1].sequence < last):
        found += await reader.take()
    await reader.close()
    return found


async def messages(stack: Stack) -> list[tuple[str, bytes]]:
    """The stream and the bytes of every message."""
    async with nats.connect(stack.nats_settings(), "cli") as bus:
        return [(stream.name, each.data) for stream in STREAMS for each in await on_stream(bus, stream.name)]
