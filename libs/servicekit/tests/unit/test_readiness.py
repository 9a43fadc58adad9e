"""A replica takes traffic while every check passes, and says so only when that changes."""

from __future__ import annotations

import asyncio
import json

from servicekit import readiness
from servicekit.errors import Unavailable
from servicekit.readiness import Readiness, announce, failing, ready, withdraw
from testkit.waiting import until


class Replica:
    """Has one dependency, and keeps what it said."""

    def __init__(self) -> None:
        self.away = False
        self.said: list[bool] = []

    async def check(self) -> None:
        if self.away:
            raise Unavailable(reason="AWAY")

    async def say(self, serving: bool) -> None:
        self.said.append(serving)


async def test_it_says_what_changed_and_nothing_else():
    replica = Replica()
    watch = Readiness({"it": replica.check}, replica.say)
    for replica.away in (True, False, False, True, True, False):
        await watch.look()

    assert replica.said == [True, False, True]


async def test_leaving_is_not_ready_at_once():
    replica = Replica()
    async with ready({"it": replica.check}, replica.say, every_s=0.01):
        await until(lambda: replica.said == [True])

    assert replica.said == [True, False]


async def test_each_failing_check_is_named_with_its_reason(monkeypatch):
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.02)

    async def passes() -> None:
        pass

    async def away() -> None:
        raise Unavailable(reason="AWAY")

    async def breaks() -> None:
        raise KeyError

    async def hangs() -> None:
        await asyncio.Event().wait()

    found = await failing({"passes": passes, "away": away, "breaks": breaks, "hangs": hangs})

    assert found == {"away": "AWAY", "breaks": "KeyError", "hangs": "TimeoutError"}


def test_an_announcement_is_written_whole_and_taken_back(tmp_path):
    file = tmp_path / "ready.json"
    announce(file, 4711)

    assert json.loads(file.read_text()) == {"grpc_port": 4711}
    withdraw(file)
    withdraw(file)
    assert list(tmp_path.iterdir()) == []
