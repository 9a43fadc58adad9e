"""Whether this replica takes traffic: every check passes, looked at each second, and said by the gRPC health service."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from servicekit import telemetry
from servicekit.app import Check
from servicekit.cancelling import ended
from servicekit.errors import AssentError

logger = logging.getLogger(__name__)

EVERY_S: Final = 1.0
PATIENCE_S: Final = 2.0

Say = Callable[[bool], Awaitable[None]]


async def failing(checks: Mapping[str, Check]) -> dict[str, str]:
    """The checks that do not pass within two seconds, each with its reason."""
    reasons = await asyncio.gather(*(_reason(check) for check in checks.values()))
    return {name: reason for name, reason in zip(checks, reasons, strict=True) if reason}


async def _reason(check: Check) -> str:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await check()
    except AssentError as error:
        return error.code
    except Exception as error:  # noqa: BLE001  # whatever it is, the replica is not ready
        return type(error).__name__
    return ""


class Readiness:
    """Looks at the checks again and again, and says what changed."""

    def __init__(self, checks: Mapping[str, Check], say: Say) -> None:
        self._checks = checks
        self._say = say
        self._serving = False

    async def watch(self, every_s: float = EVERY_S) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look once."""
        found = await failing(self._checks)
        if found and self._serving:
            logger.warning("not ready", extra={"names": found})
        await self._become(serving=not found)

    async def leave(self) -> None:
        """Not ready, from now on."""
        await self._become(serving=False)

    async def _become(self, *, serving: bool) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        telemetry.gauge(telemetry.READY, int(serving))
        await self._say(serving)


@asynccontextmanager
async def ready(checks: Mapping[str, Check], say: Say, *, every_s: float = EVERY_S) -> AsyncIterator[Readiness]:
    """Be ready while the checks pass; leaving is not ready at once."""
    readiness = Readiness(checks, say)
    watching = asyncio.create_task(readiness.watch(every_s))
    try:
        yield readiness
    finally:
        await ended(watching)
        await readiness.leave()


def announce(path: Path | None, grpc_port: int) -> None:
    """Tell whoever started us where we listen; the file appears whole or not at all."""
    if path is not None:
        half = path.with_name(path.name + ".new")
        half.write_text(json.dumps({"grpc_port": grpc_port}))
        half.replace(path)


def withdraw(path: Path | None) -> None:
    """Take the announcement back."""
    if path is not None:
        path.unlink(missing_ok=True)
