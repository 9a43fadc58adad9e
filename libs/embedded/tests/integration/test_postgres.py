import shutil
import stat
import tempfile
from pathlib import Path

import asyncpg
import pytest

from embedded.postgres import FAST, Postgres
from embedded.process import StartFailed

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def state():
    folder = Path(tempfile.mkdtemp(prefix="assent-embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(state):
    server = Postgres(state, settings=FAST)
    server.start()
    yield server
    server.remove()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_is_postgresql_18(postgres):
    assert str(await value(postgres.dsn(), "show server_version")).startswith("18.")


async def test_a_wrong_password_is_refused(postgres):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value(postgres.dsn(password="wrong"), "select 1")


async def test_data_survives_a_crash_and_a_restart_on_the_same_port(postgres):
    await value(postgres.dsn(), "create table kept as select 1 as n")
    port = postgres.port
    postgres.kill()
    with pytest.raises(OSError):
        await value(postgres.dsn(), "select 1")
    postgres.restart()

    assert (await value(postgres.dsn(), "select n from kept"), postgres.port) == (1, port)


async def test_secrets_are_only_ours_to_read(postgres, state):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in state.glob("*.secrets")}

    assert modes == {0o600}


def test_a_port_in_use_is_an_error_with_the_log(postgres):
    folder = Path(tempfile.mkdtemp(prefix="assent-embedded-"))
    folder.chmod(0o755)
    second = Postgres(folder, port=postgres.port, settings=FAST)
    try:
        with pytest.raises(StartFailed, match="could not bind"):
            second.start()
    finally:
        second.remove()
        shutil.rmtree(folder)


async def test_a_state_folder_that_nobody_else_may_enter_works_and_keeps_its_mode(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed / "state", settings=FAST)
    try:
        server.start()
        assert await value(server.dsn(), "select 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        server.remove()
