"""Signals that reach this replica over core NATS, before JetStream has them for everybody: `live.signal.<subject>`."""

from __future__ import annotations

import asyncio
import logging

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from assent.events.v1.envelope_pb2 import Envelope
from orchestration_service.subscribers import wake_on_signal
from orchestration_service.watching import Watches
from servicekit.nats import Bus

logger = logging.getLogger(__name__)

SUBJECT = "live.signal.>"


async def follow_live_signals(bus: Bus, watches: Watches) -> None:
    """Wake streams as signals come in; a lost message is made up for by the stream SIGNALS. A task of the service's App."""

    async def receive(message: Msg) -> None:
        try:
            wake_on_signal(Envelope.FromString(message.data), watches)
        except DecodeError:
            logger.warning("a live signal could not be read")

    subscription = await bus.nc.subscribe(SUBJECT, cb=receive)
    try:
        await asyncio.Event().wait()
    finally:
        await subscription.unsubscribe()
