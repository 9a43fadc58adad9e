"""A service as a process: its signals, its readiness, its tasks and its command line."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from testkit.waiting import until

SERVING = health_pb2.HealthCheckResponse.SERVING


async def health_of(channel: grpc.aio.Channel) -> int:
    return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status


async def test_sigterm_leaves_readiness_first_and_finishes_the_running_call(tiny):
    await tiny.start()
    await until(tiny.ready, timeout=20)
    async with tiny.open() as channel:
        assert await health_of(channel) == SERVING
        call = asyncio.ensure_future(
            rpc.ProfileServiceStub(channel).ResolveSubject(pb.ResolveSubjectRequest(create=True))
        )
        await until((tiny.folder / "started").exists)
        tiny.terminate()
        await until(lambda: "not ready" in tiny.messages())
        assert not tiny.ready()
        (tiny.folder / "go-on").touch()

        assert (await call).subject_id == "tiny"
    assert await tiny.ended() == 0
    said = ["pool opened", "ready", "stopping", "not ready", "draining", "call answered", "calls finished"]
    assert tiny.messages() == [*said, "task stopped", "pool closed", "closed"]


async def test_a_callback_that_fails_to_drain_keeps_no_other_from_it(tiny):
    await tiny.start()
    await until(tiny.ready, timeout=20)
    (tiny.folder / "drain-fails").touch()
    tiny.terminate()

    assert await tiny.ended() == 0
    assert "draining" in tiny.messages()
    assert "4711" not in (tiny.folder / "log").read_text()


async def test_a_call_that_does_not_end_is_cut_off_within_the_drain_time(tiny):
    tiny.variables["TINY_DRAIN_SECONDS"] = "1"
    await tiny.start()
    await until(tiny.ready, timeout=20)
    async with tiny.open() as channel:
        stub = rpc.ProfileServiceStub(channel)
        call = asyncio.ensure_future(stub.ResolveSubject(pb.ResolveSubjectRequest(create=True)))
        await until((tiny.folder / "started").exists)
        tiny.terminate()

        with pytest.raises(grpc.aio.AioRpcError):
            await call
    assert await tiny.ended() == 0
    assert tiny.messages()[-1] == "closed"


async def test_what_does_not_close_is_left_behind_after_the_drain_time(tiny):
    tiny.variables["TINY_DRAIN_SECONDS"] = "1"
    await tiny.start()
    await until(tiny.ready, timeout=20)
    (tiny.folder / "pool-stuck").touch()
    tiny.terminate()

    assert await tiny.ended() == 1
    assert "pool closed" not in tiny.messages()
    assert tiny.lines()[-1]["reason"] == "DRAIN_EXCEEDED"


async def test_sigterm_ends_a_service_that_is_still_opening(tiny):
    tiny.variables["TINY_DRAIN_SECONDS"] = "1"
    (tiny.folder / "pool-stuck").touch()
    await tiny.start()
    await until(lambda: "pool opened" in tiny.messages(), timeout=20)
    tiny.terminate()

    assert await tiny.ended() == 1


async def test_a_replica_that_loses_a_dependency_is_not_ready_until_it_is_back(tiny):
    (tiny.folder / "dependency-away").touch()
    await tiny.start()
    await until(lambda: "pool opened" in tiny.messages(), timeout=20)
    assert not tiny.ready()
    (tiny.folder / "dependency-away").unlink()
    await until(tiny.ready)
    async with tiny.open() as channel:
        (tiny.folder / "dependency-away").touch()
        await until(lambda: is_not(SERVING, channel))
        (tiny.folder / "dependency-away").unlink()
        await until(lambda: is_(SERVING, channel))


async def is_(status: int, channel: grpc.aio.Channel) -> bool:
    return await health_of(channel) == status


async def is_not(status: int, channel: grpc.aio.Channel) -> bool:
    return await health_of(channel) != status


async def test_a_crashed_task_is_logged_without_its_text_and_started_again(tiny):
    await tiny.start()
    await until(tiny.ready, timeout=20)
    for _ in range(2):
        (tiny.folder / "crash").touch()
        await until(lambda: not (tiny.folder / "crash").exists())
    await until(lambda: tiny.messages().count("a task crashed") == 2)
    tiny.terminate()

    assert await tiny.ended() == 0
    crash = next(line for line in tiny.lines() if line["message"] == "a task crashed")
    assert (crash["task"], crash["error"]) == ("loop", "RuntimeError")
    assert "4711" not in (tiny.folder / "log").read_text()


async def test_wrong_settings_are_named_and_end_the_process(tiny):
    tiny.variables["TINY_LEGDER"] = "harbour"
    process = await tiny.start("check-settings")

    assert await process.wait() == 2
    assert (tiny.folder / "log").read_text() == "tiny: TINY_LEGDER: no such setting\n"


async def test_a_file_of_settings_can_be_checked(tiny):
    file = tiny.folder / "tiny.env"
    file.write_text("# a deploy file\n" + "".join(f"{name}={value}\n" for name, value in tiny.variables.items()))
    tiny.variables = {}
    process = await tiny.start("check-settings", "--env-file", str(file))

    assert await process.wait() == 0
