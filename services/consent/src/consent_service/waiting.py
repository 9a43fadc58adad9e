"""What a write waits for beyond its COMMIT."""

from __future__ import annotations

import asyncio
from typing import Final

from assent.consent.v1 import types_pb2
from consent_service.ports import Ledger, Result
from servicekit import deadline
from servicekit.errors import Unavailable

POLL_S: Final = 0.1
LONGEST_S: Final = 10.0
SPARE_S: Final = 0.1
"""What is left of the caller's time for the answer."""


async def reached(result: Result, wait_for: types_pb2.WaitFor.ValueType, ledger: Ledger) -> types_pb2.WaitFor.ValueType:
    """CHECKPOINTED once a checkpoint covers the result, if that was asked for and comes within the caller's time; else COMMITTED."""
    if wait_for != types_pb2.WAIT_FOR_CHECKPOINTED:
        return types_pb2.WAIT_FOR_COMMITTED
    try:
        async with asyncio.timeout(max(0.0, deadline.remaining_s(LONGEST_S) - SPARE_S)):
            while await ledger.checkpointed() <= result.position.index:  # noqa: ASYNC110  another process says it, in PostgreSQL
                await asyncio.sleep(POLL_S)
    except (TimeoutError, Unavailable):  # it is stored all the same
        return types_pb2.WAIT_FOR_COMMITTED
    return types_pb2.WAIT_FOR_CHECKPOINTED
