"""The composition root of the sample: it opens what every service opens."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from greeter_service.settings import Settings
from servicekit import nats, outbox, postgres
from servicekit.app import App


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Pool, bus and relay, ready when both answer."""
    if settings.refuse_to_start:
        raise RuntimeError("refused on purpose")
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        yield App(
            servicers=(),
            tasks={"outbox": lambda: outbox.relay(pool, bus)},
            checks={"database": lambda: postgres.check(pool)},
            bus=bus,
        )
