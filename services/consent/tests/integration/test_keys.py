"""The keys in PostgreSQL: what each role can do and cannot, and that a destroyed key stays destroyed."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest
from key_fakes import MemoryKeys

from consent_service.keys import Eventual, EventualSubjectKeys, KekFolder, PostgresKeyShredder, PostgresSubjectKeys
from servicekit import postgres, provision
from servicekit.clock import FixedClock
from servicekit.errors import Unavailable
from servicekit.settings import DatabaseSettings
from testkit import schema
from testkit.builders import a_subject

pytestmark = pytest.mark.integration
DAY_US = 86_400_000_000
START_US = 1_790_000_000_000_000
E16 = bytes(16)


@pytest.fixture(scope="module")
async def store(databases):
    return await databases.store(provision.KEYS)


class World:
    """Both roles on one database, a folder of KEKs, and a clock that can be moved."""

    def __init__(self, store, user, shredder, folder):
        self.store, self.folder, self.clock = store, folder, FixedClock(START_US)
        keks = KekFolder(folder)
        self.keys = PostgresSubjectKeys(user, keks, self.clock)
        self.shredder = PostgresKeyShredder(shredder, keks, self.clock)

    async def rows(self, statement, *values):
        connection = await asyncpg.connect(self.store.admin_dsn, server_settings={"search_path": "keys"})
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()


@pytest.fixture
async def world(databases, tmp_path):
    """A database of its own: KEKs are shared by all subjects."""
    store = await databases.store(provision.KEYS)
    settings = [DatabaseSettings(dsn=store.dsn_of(role)) for role in ("key_user", "key_shredder")]
    async with postgres.pool(settings[0], schema="keys") as user, postgres.pool(settings[1], schema="keys") as shredder:
        yield World(store, user, shredder, tmp_path / "keks")


class Remembered:
    """The fake in place of PostgreSQL."""

    def __init__(self):
        self.keys = self.shredder = MemoryKeys()


@pytest.fixture(params=["memory", "postgres"])
def either(request):
    return Remembered() if request.param == "memory" else request.getfixturevalue("world")


def same(one, other) -> bool:
    return one.sub(b"tag", E16) == other.sub(b"tag", E16)


async def test_the_written_schema_is_the_migrated_one(store):
    schema.assert_schema_matches(store)


async def test_every_query_prepares_for_the_administrator(store):
    connection = await asyncpg.connect(store.admin_dsn, server_settings={"search_path": "keys"})
    for text in schema.queries.statements("consent_service.keys").values():
        await connection.prepare(text)
    await connection.close()


async def test_a_subject_gets_one_key_and_keeps_it(either):
    world = either
    a, b = a_subject(), a_subject()
    assert (await world.keys.get([a, b])).live == {}
    made = await world.keys.create([a, b, a])
    again = await world.keys.create([a])
    read = await world.keys.get([a, b])

    assert set(made.live) == set(read.live) == {a, b}
    assert same(made.live[a], again.live[a])
    assert same(made.live[a], read.live[a])
    assert not same(made.live[a], made.live[b])


async def test_two_writers_that_create_at_once_get_the_same_key(world):
    subjects = [a_subject() for _ in range(20)]
    found = await asyncio.gather(*(world.keys.create(subjects) for _ in range(6)))

    for subject in subjects:
        assert all(same(found[0].live[subject], each.live[subject]) for each in found)


async def test_nothing_asked_is_nothing_done(world):
    assert (await world.keys.create([])).live == {}
    assert (await world.keys.get([])).live == {}
    assert not world.folder.exists()


async def test_the_database_holds_no_key_in_clear(world):
    subject = a_subject()
    await world.keys.create([subject])
    (row,) = await world.rows("select * from subject_key where subject_id = $1", subject)

    assert len(row["wrapped_dek"]) == 40
    assert row["destroyed_at"] is None


async def test_a_destroyed_key_is_gone_and_is_never_made_again(world):
    subject, other = a_subject(), a_subject()
    await world.keys.create([subject, other])
    await world.shredder.destroy([subject])
    await world.shredder.destroy([subject])

    for ask in (world.keys.get, world.keys.create):
        found = await ask([subject, other])
        assert found.destroyed == {subject}
        assert set(found.live) == {other}
    assert await world.shredder.destroyed() == [subject]
    (row,) = await world.rows("select * from subject_key where subject_id = $1", subject)
    assert row["wrapped_dek"] is None


async def test_a_subject_without_a_key_is_barred_too(either):
    subject = a_subject()
    await either.shredder.destroy([subject])

    assert (await either.keys.create([subject])).destroyed == {subject}


async def test_a_destroyed_key_is_a_tombstone_in_every_store(either):
    subject, other = a_subject(), a_subject()
    await either.keys.create([subject, other])
    await either.shredder.destroy([subject])
    found = await either.keys.create([subject, other])

    assert (set(found.live), found.destroyed) == ({other}, {subject})
    assert list(await either.shredder.destroyed()) == [subject]
    assert list(await either.shredder.destroyed(after=subject)) == []


async def test_creating_while_destroying_leaves_no_key(world):
    for _ in range(10):
        subject = a_subject()
        await asyncio.gather(world.keys.create([subject]), world.shredder.destroy([subject]))

        assert (await world.keys.get([subject])).destroyed == {subject}


async def test_after_30_days_live_keys_are_re_wrapped_and_5_days_later_the_old_kek_ends(world):
    subjects = [a_subject() for _ in range(5)]
    before = await world.keys.create(subjects)
    await world.shredder.destroy(subjects[:1])
    backup = await world.rows("select subject_id, wrapped_dek from subject_key where wrapped_dek is not null")
    assert await world.keys.rewrap(100) == 0

    world.clock.advance(30 * DAY_US)
    assert [await world.keys.rewrap(3), await world.keys.rewrap(3), await world.keys.rewrap(3)] == [3, 1, 0]
    assert await world.shredder.destroy_keks() == []
    world.clock.advance(5 * DAY_US)
    assert await world.shredder.destroy_keks() == [1]
    assert await world.shredder.destroy_keks() == []

    after = await world.keys.get(subjects)
    assert after.destroyed == {subjects[0]}
    assert all(same(before.live[subject], after.live[subject]) for subject in subjects[1:])
    assert [path.name for path in world.folder.iterdir()] == ["kek-000002"]
    with pytest.raises(Unavailable):
        await KekFolder(world.folder).unwrap("kek-000001", [backup[0]["wrapped_dek"]])


async def test_a_kek_on_which_a_live_key_hangs_is_not_destroyed(world):
    subjects = [a_subject() for _ in range(2)]
    await world.keys.create(subjects)
    world.clock.advance(31 * DAY_US)
    assert await world.keys.rewrap(1) == 1
    world.clock.advance(9 * DAY_US)

    assert await world.shredder.destroy_keks() == []
    assert len((await world.keys.get(subjects)).live) == 2


async def test_a_kek_whose_file_outlived_a_crash_is_destroyed_at_the_next_look(world):
    await world.keys.create([a_subject()])
    world.clock.advance(31 * DAY_US)
    await world.keys.rewrap(10)
    world.clock.advance(9 * DAY_US)
    kept = (world.folder / "kek-000001").read_bytes()
    await world.shredder.destroy_keks()
    (world.folder / "kek-000001").write_bytes(kept)
    await world.shredder.destroy_keks()

    assert not (world.folder / "kek-000001").exists()


async def test_without_the_folder_of_keks_the_keys_are_away(world):
    subject = a_subject()
    await world.keys.create([subject])
    (world.folder / "kek-000001").unlink()
    with pytest.raises(Unavailable) as caught:
        await world.keys.get([subject])

    assert caught.value.code == "KEYS_UNAVAILABLE"


USER_MAY_NOT = (
    "update subject_key set destroyed_at = now()",
    "update subject_key set wrapped_dek = null",
    "update subject_key set wrapped_dek = wrapped_dek",
    "update subject_key set subject_id = 'x'",
    "update kek_epoch set destroyed_at = now()",
    "insert into subject_key (subject_id, created_at, destroyed_at) values ('x', now(), now())",
    "insert into subject_key (subject_id, created_at) values ('x', now())",
)
SHREDDER_MAY_NOT = (
    "select wrapped_dek from subject_key",
    "select * from subject_key",
    "update subject_key set kek_epoch = 2",
    "update subject_key set wrapped_dek = '\\x00'",
    "update subject_key set wrapped_dek = '\\x00', destroyed_at = now()",
    "insert into subject_key (subject_id, wrapped_dek, kek_epoch, created_at) values ('x', '\\x00', 1, now())",
    "insert into kek_epoch (epoch, provider_ref, created_at) values (9, 'x', now())",
    "update kek_epoch set destroyed_at = now()",
)
NOBODY_MAY = (
    "delete from subject_key",
    "truncate subject_key",
    "delete from kek_epoch",
    "truncate kek_epoch cascade",
    "update subject_key set wrapped_dek = '\\x00', destroyed_at = null where destroyed_at is not null",
    "update subject_key set destroyed_at = now() where destroyed_at is not null",
    "update kek_epoch set provider_ref = 'x', destroyed_at = now()",
)


@pytest.fixture(scope="module")
async def used(store, tmp_path_factory):
    """One live key and one that is destroyed."""
    settings = [DatabaseSettings(dsn=store.dsn_of(role)) for role in ("key_user", "key_shredder")]
    async with postgres.pool(settings[0], schema="keys") as user, postgres.pool(settings[1], schema="keys") as shredder:
        made = World(store, user, shredder, tmp_path_factory.mktemp("used") / "keks")
        await made.keys.create(["live", "dead"])
        await made.shredder.destroy(["dead"])
    return store


def forbidden():
    roles = (("key_user", USER_MAY_NOT), ("key_shredder", SHREDDER_MAY_NOT))
    yield from ((role, statement) for role, refused in roles for statement in (*refused, *NOBODY_MAY))
    yield from (("keys_owner", statement) for statement in NOBODY_MAY)
    yield from (("admin", statement) for statement in NOBODY_MAY)


@pytest.mark.parametrize(("role", "statement"), list(forbidden()))
async def test_a_role_can_do_its_own_job_alone(used, role, statement):
    dsn = used.admin_dsn if role == "admin" else used.dsn_of(role)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "keys"})
    try:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_roles_of_the_ledger_cannot_open_the_database_of_the_keys(database, used):
    ledger = await database("consent")
    keys = used.admin_dsn.rpartition("/")[2]
    for dsn in ledger.dsns.values():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(provision.in_database(dsn, keys))
    for role in provision.KEYS.roles:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(provision.in_database(used.dsn_of(role), ledger.name))


async def until(condition):
    deadline = time.monotonic() + 20
    while True:
        try:
            return await condition()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.01)


async def test_a_service_starts_while_the_database_of_the_keys_is_away(world, platform):
    settings = DatabaseSettings(dsn=world.store.dsn_of("key_user"))
    eventual = Eventual(settings, lambda pool: PostgresSubjectKeys(pool, KekFolder(world.folder), world.clock))
    keys, subject = EventualSubjectKeys(eventual), a_subject()
    platform.postgres.stop()
    holding = asyncio.create_task(eventual.hold())
    try:
        with pytest.raises(Unavailable) as caught:
            await keys.create([subject])
        assert caught.value.code == "KEYS_UNAVAILABLE"
    finally:
        platform.postgres.restart()
    found = await until(lambda: keys.create([subject]))
    holding.cancel()
    await asyncio.wait([holding])

    assert set(found.live) == {subject}
    with pytest.raises(Unavailable):
        await keys.get([subject])


async def test_while_the_database_is_away_the_keys_are_unavailable(world, platform):
    subject = a_subject()
    await world.keys.create([subject])
    platform.postgres.stop()
    try:
        for asked in (world.keys.get([subject]), world.keys.create([subject]), world.shredder.destroy([subject])):
            with pytest.raises(Unavailable) as caught:
                await asked
            assert caught.value.code == "KEYS_UNAVAILABLE"
    finally:
        platform.postgres.restart()
    found = await until(lambda: world.keys.get([subject]))

    assert set(found.live) == {subject}
