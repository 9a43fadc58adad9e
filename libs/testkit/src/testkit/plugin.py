"""Fixtures for tests on real servers; pytest loads this module by entry point. Nothing starts before a test asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from embedded.keys import Keys
    from servicekit.nats import Bus
    from servicekit.settings import NatsSettings
    from testkit.databases import Database, Databases
    from testkit.platform import Platform

# Imports are inside the fixtures: every pytest run loads this module, also one of pure units.


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A PostgreSQL and a NATS server for this process; `platform.postgres` and `.nats` can be killed and restarted."""
    from testkit.platform import running_platform  # noqa: PLC0415

    with running_platform() as running:
        yield running


@pytest.fixture(scope="session")
def databases(platform: Platform) -> Databases:
    """Makes databases: `await databases.fresh("consent")`, or `.empty("consent")` before migrations."""
    from testkit.databases import Databases  # noqa: PLC0415

    return Databases(platform.postgres)


@pytest.fixture(scope="session")
def database(databases: Databases) -> Callable[..., Awaitable[Database]]:
    """A fresh, migrated database for each call: await it with the name of a service."""
    return databases.fresh


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Development keys: issuer and JWKS, one key per service, the statement key, the tracking key."""
    from embedded.keys import Keys  # noqa: PLC0415
    from embedded.nats_accounts import ACCOUNTS  # noqa: PLC0415

    made = Keys(Path(tmp_path_factory.mktemp("keys")) / "keys")
    made.create(ACCOUNTS)
    return made


@pytest.fixture(scope="session")
def tokens(keys: Keys) -> Callable[..., str]:
    """`tokens("consent.check", "consent.choose", subject="channel")` is a token with these scopes."""

    def token(*scopes: str, subject: str = "test") -> str:
        return keys.token(subject, scopes)

    return token


@pytest.fixture(scope="session")
def nats_settings(platform: Platform) -> Callable[[str], NatsSettings]:
    """`nats_settings("consent")` connects as that service, with its rights and no others."""
    from pydantic import SecretStr  # noqa: PLC0415

    from servicekit.settings import NatsSettings  # noqa: PLC0415

    def settings(user: str) -> NatsSettings:
        password = SecretStr(platform.nats.passwords[user])
        return NatsSettings(servers=(platform.nats.url,), user=user, password=password)

    return settings


@pytest.fixture(scope="session")
async def streams(nats_settings: Callable[[str], NatsSettings]) -> None:
    """Every stream and bucket of the suite, created once."""
    from servicekit.nats import connect  # noqa: PLC0415
    from servicekit.streams import ensure_streams  # noqa: PLC0415

    async with connect(nats_settings("cli"), "cli") as bus:
        await ensure_streams(bus)


@pytest.fixture
async def bus(
    nats_settings: Callable[[str], NatsSettings],
    streams: None,  # noqa: ARG001  they exist, that is all
) -> AsyncIterator[Callable[[str], Awaitable[Bus]]]:
    """A connection per call, with the rights of the service named, closed after the test. The streams exist."""
    from servicekit.nats import connect  # noqa: PLC0415

    async with AsyncExitStack() as opened:

        async def connected(service: str) -> Bus:
            return await opened.enter_async_context(connect(nats_settings(service), service))

        yield connected
