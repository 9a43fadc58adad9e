"""A service under test, served by the kit as in production: the same `build`, both transports, readiness and drain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from embedded.keys import Keys
from servicekit.run import Build, serve
from servicekit.settings import NatsSettings, ServiceSettings
from testkit.databases import Database
from testkit.waiting import until

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def settings_values(service: str, database: Database, nats: NatsSettings, keys: Keys, folder: Path) -> dict[str, Any]:
    """What every service's settings need: `Settings(**settings_values(...), basis_keys=keys.basis_keys)`."""
    return {
        "database": database.settings,
        "nats": nats,
        "auth": {
            "jwks": str(keys.jwks),
            "issuer": keys.issuer,
            "audience": keys.audience,
            "service_key": keys.service_key(service),
            "service_keys": keys.service_keys,
        },
        "ready_file": folder / f"{service}.json",
    }


@asynccontextmanager
async def serving(build: Build[SettingsT], settings: SettingsT) -> AsyncIterator[str]:
    """The gRPC address of the service, once it is ready; drained when left."""
    assert settings.ready_file is not None
    stop = asyncio.Event()
    running = asyncio.create_task(serve(build, settings, stop), name=f"serve {settings.service}")
    try:
        yield f"127.0.0.1:{await _port(settings.ready_file, running)}"
    finally:
        stop.set()
        await running


async def _port(ready_file: Path, running: asyncio.Task[None]) -> int:
    def announced() -> Mapping[str, int] | None:
        if running.done():
            running.result()
        return json.loads(ready_file.read_text()) if ready_file.exists() else None

    found = await until(announced, timeout=20)
    assert found is not None
    return int(found["grpc_port"])
