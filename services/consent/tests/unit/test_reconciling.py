"""What is erased in either database is erased in both, and no key is given out before."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from key_fakes import MemoryKeys

from consent_service.readiness import known
from consent_service.rights import reconciling
from consent_service.rights.reconciling import ReconciledKeys, Reconciling, reconcile
from servicekit.errors import Unavailable
from testkit.waiting import until


class MemoryEraser:
    """Tombstones in a set."""

    def __init__(self, *erased):
        self.tombstones = set(erased)
        self.leftovers = 0

    async def forget(self, subjects, case_id=""):
        assert not case_id
        self.tombstones.update(subjects)

    async def erased(self, *, after="", most=1000):
        return sorted(subject for subject in self.tombstones if subject > after)[:most]

    async def forget_leftovers(self):
        self.leftovers += 1
        return 0


class AgeingKeys(MemoryKeys):
    """Three pages of keys under an old KEK."""

    def __init__(self):
        super().__init__()
        self.stale, self.ended = 3, 0

    async def rewrap(self, most):
        self.stale -= bool(self.stale)
        return self.stale

    async def destroy_keks(self):
        self.ended += 1
        return [1]


@asynccontextmanager
async def at_work(task):
    running = asyncio.create_task(task)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_both_agree_afterwards_however_many_there_are(monkeypatch):
    monkeypatch.setattr(reconciling, "PAGE", 3)
    keys, eraser = MemoryKeys(), MemoryEraser(*(f"tomb-{number}" for number in range(8)))
    await keys.create([*eraser.tombstones, "alive"])
    await keys.destroy([f"dead-{number}" for number in range(8)])

    await reconcile(eraser, keys)

    everybody = {f"{kind}-{number}" for kind in ("tomb", "dead") for number in range(8)}
    assert eraser.tombstones == set(await keys.destroyed()) == everybody
    assert set((await keys.get([*everybody, "alive"])).live) == {"alive"}
    assert eraser.leftovers == 1


async def test_no_key_is_given_out_before_it_was_done():
    keys = AgeingKeys()
    await keys.create(["anna"])
    keys.away = True
    task = Reconciling(MemoryEraser(), keys, keys)
    given, check = ReconciledKeys(keys, task.done), known(task.done, "Not compared.", "KEYS_UNAVAILABLE")

    async with at_work(task.run()):
        keys.away = False
        if not task.done.is_set():
            for ask in (given.get(["anna"]), given.create(["anna"]), given.rewrap(1), check()):
                with pytest.raises(Unavailable) as caught:
                    await ask
                assert caught.value.code == "KEYS_UNAVAILABLE"
        await until(task.done.is_set)
        await check()

        assert set((await given.get(["anna"])).live) == {"anna"}


async def test_keys_are_moved_under_the_newest_kek_and_old_ones_end():
    keys = AgeingKeys()
    task = Reconciling(MemoryEraser(), keys, keys)

    async with at_work(task.run()):
        await until(lambda: keys.ended)

    assert (keys.stale, keys.ended) == (0, 1)
