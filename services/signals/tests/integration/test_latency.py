"""From a batch received to its live signal."""

from __future__ import annotations

import asyncio
import time

import pytest

from assent.events.v1.envelope_pb2 import Envelope
from testkit.waiting import until

from .conftest import App

pytestmark = pytest.mark.integration

ROUNDS = 200
GENEROUS_S = 0.5
"""A shared machine: the target of 20 ms at p99 is the benchmark's to hold, this finds what is broken."""


async def test_a_live_signal_follows_its_batch_at_once(stub, ledger, bus, record_property):
    apps = [App() for _ in range(ROUNDS)]
    heard: dict[str, float] = {}

    async def hear(message) -> None:
        heard[Envelope.FromString(message.data).signal_changed.subject_id] = time.perf_counter()

    nc = (await bus("orchestration")).nc
    await nc.subscribe("live.signal.>", cb=hear)
    await nc.flush()
    for app in apps:
        ledger.grant(app.subject)
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))

    waits = []
    for app in apps:
        started = time.perf_counter()
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))
        await until(lambda app=app: app.subject in heard, every=0.001)
        waits.append(heard[app.subject] - started)
        await asyncio.sleep(0)

    waits.sort()
    figures = {f"p{part}": round(waits[ROUNDS * part // 100] * 1000, 1) for part in (50, 90, 99)}
    record_property("live_signal_ms", str(figures))
    print(figures)  # noqa: T201  shown by pytest -s
    assert waits[ROUNDS * 99 // 100] < GENEROUS_S
