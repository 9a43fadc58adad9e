import asyncio
import os
import signal
import stat
from pathlib import Path

import asyncpg
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from assent_cli.folder import AlreadyRunning, is_locked, read_description
from assent_cli.stack import running_stack
from assent_cli.supervised import State
from embedded.process import StartFailed
from servicekit import nats
from testkit.waiting import until

pytestmark = pytest.mark.integration

PACKAGES = {"greeter": "greeter_service"}


def greeter(stack):
    [status] = stack.statuses()
    return status


async def test_the_services_answer_at_their_addresses(stack):
    async with grpc.aio.insecure_channel(stack.grpc_address("greeter")) as channel:
        answer = await HealthStub(channel).Check(HealthCheckRequest(), timeout=5)

    assert answer.status == HealthCheckResponse.SERVING


async def test_every_service_is_migrated_as_its_owner(stack):
    connection = await asyncpg.connect(stack.dsn("greeter"))
    try:
        assert await connection.fetchval("select count(*) from greeter.outbox") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("drop table greeter.outbox")
    finally:
        await connection.close()


async def test_the_streams_are_there(stack):
    async with nats.connect(stack.nats_settings(), "cli") as bus:
        info = await bus.js.stream_info("DECISIONS")

    assert info.config.subjects == ["evt.decision.*"]


async def test_the_description_holds_no_secret_and_secrets_are_private(stack):
    text = (stack.state / "stack.json").read_text()
    secrets = [*stack.passwords.values(), *stack.nats.passwords.values(), stack.token("channel")]
    private = [*stack.state.glob("*.secrets"), *stack.state.glob("keys/*.pem"), *stack.state.glob("tokens/*")]

    assert not [secret for secret in secrets if secret in text]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


async def test_a_second_stack_in_the_folder_is_refused(stack):
    with pytest.raises(AlreadyRunning):
        async with running_stack(stack.state, packages=PACKAGES):
            pass


async def test_a_crashed_service_comes_back_on_its_address(stack):
    before = greeter(stack)
    os.kill(before.pid, signal.SIGKILL)
    await until(
        lambda: greeter(stack).pid not in {None, before.pid} and greeter(stack).state is State.READY, timeout=20
    )

    assert greeter(stack).port == before.port


async def test_a_service_killed_on_purpose_stays_down_until_it_is_restarted(stack):
    await stack.kill("greeter")
    assert greeter(stack).state is State.HELD
    await stack.restart("greeter")

    assert greeter(stack).state is State.READY


@pytest.mark.parametrize("server", ["nats", "postgres"])
async def test_a_service_outlives_the_crash_of_a_server(stack, server):
    pid = greeter(stack).pid
    getattr(stack, server).kill()
    await until(lambda: greeter(stack).state is State.NOT_READY, timeout=20)
    getattr(stack, server).restart()
    await until(lambda: greeter(stack).state is State.READY, timeout=20)

    assert greeter(stack).pid == pid


async def test_a_service_that_cannot_start_is_an_error_with_its_log(folders):
    folder = folders()
    with pytest.raises(StartFailed, match="RuntimeError"):
        async with running_stack(folder, packages=PACKAGES, env={"GREETER_REFUSE_TO_START": "true"}, durable=False):
            pass

    assert not is_locked(folder)


async def test_leaving_drains_and_ends_every_process_and_state_is_kept(folders):
    folder = folders()
    async with running_stack(folder, packages=PACKAGES, durable=False) as stack:
        pids = [greeter(stack).pid, stack.postgres.pid, stack.nats.pid]
        async with await connected(stack) as connection:
            await connection.execute(
                "insert into greeter.outbox (event_id, subject, envelope) values ('kept', 'nowhere', '')"
            )
    assert not [pid for pid in pids if is_running(pid)]
    assert "closed" in (folder / "logs" / "greeter.log").read_text()
    async with running_stack(folder, packages=PACKAGES, durable=False) as stack, await connected(stack) as connection:
        assert await connection.fetchval("select count(*) from greeter.outbox") == 1


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def connected(stack):
    return asyncpg.create_pool(stack.dsn("greeter"), min_size=1, max_size=1)


def test_what_ran_last_is_described_after_the_end(stack):
    assert set(read_description(stack.state)) == {"pid", "postgres", "nats", "services", "tokens"}


async def test_the_loop_stays_free_while_a_stack_starts(folders):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with running_stack(folders(), packages=PACKAGES, durable=False):
        ticking.cancel()

    assert ticks > 20
