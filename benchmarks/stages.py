"""What orchestration and its siblings measure themselves: their own metrics, exported to a small collector in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as otlp
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as otlp_grpc

from servicekit import telemetry

EXPORT_MS = 500

Key = tuple[str, str, str]
"""Service, metric, and the stage or method."""


@dataclass(frozen=True, slots=True)
class Total:
    """How often, and how many seconds together."""

    count: int = 0
    seconds: float = 0.0

    def since(self, before: Total) -> Total:
        """What came after."""
        return Total(self.count - before.count, self.seconds - before.seconds)

    @property
    def mean_ms(self) -> float:
        """Milliseconds of each, on average."""
        return self.seconds * 1000 / self.count if self.count else 0.0


class Collector(otlp_grpc.MetricsServiceServicer):
    """Keeps the newest totals of each service."""

    def __init__(self) -> None:
        self.totals: dict[Key, Total] = {}

    async def Export(self, request: Any, _context: object) -> Any:
        """Take them."""
        for resource in request.resource_metrics:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            metrics = (metric for scope in resource.scope_metrics for metric in scope.metrics)
            self.totals.update(_totals(service, metrics))
        return otlp.ExportMetricsServiceResponse()

    async def settled(self) -> dict[Key, Total]:
        """The totals once everything so far was exported."""
        await asyncio.sleep(3 * EXPORT_MS / 1000)
        return dict(self.totals)


def _totals(service: str, metrics: Any) -> Iterator[tuple[Key, Total]]:
    """By stage or method; a stage that was left out or had nothing to do is not one."""
    for metric in metrics:
        if metric.HasField("histogram"):
            sums: dict[str, Total] = {}
            for point in filter(_is_done, metric.histogram.data_points):
                name = _label(point.attributes)
                known = sums.get(name, Total())
                sums[name] = Total(known.count + point.count, known.seconds + point.sum)
            yield from (((service, metric.name, name), total) for name, total in sums.items())


def _is_done(point: Any) -> bool:
    return all(a.key != telemetry.STAGE_OUTCOME or a.value.string_value == "ok" for a in point.attributes)


def _label(attributes: Any) -> str:
    wanted = (telemetry.STAGE, telemetry.RPC_METHOD)
    return next((a.value.string_value.rpartition("/")[2] for a in attributes if a.key in wanted), "")


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """A collector, and where it listens."""
    server, collector = grpc.aio.server(), Collector()
    otlp_grpc.add_MetricsServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(1)


def environment(services: dict[str, str], endpoint: str) -> dict[str, str]:
    """The variables with which services export their metrics and no traces; `services` are prefixes by name."""
    return {
        f"{prefix}_TELEMETRY__{name}": value
        for prefix in services.values()
        for name, value in (
            ("OTLP_ENDPOINT", endpoint),
            ("EXPORT_INTERVAL_MS", str(EXPORT_MS)),
            ("SAMPLE_RATIO", "0"),
        )
    }


def after(now: dict[Key, Total], before: dict[Key, Total]) -> dict[Key, Total]:
    """What was added in between."""
    found = {key: total.since(before.get(key, Total())) for key, total in now.items()}
    return {key: total for key, total in found.items() if total.count}
