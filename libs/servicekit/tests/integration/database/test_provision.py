import asyncio
import json
import sys

import asyncpg
import pytest

from servicekit.provision import FURTHER, KEYS, Store, every_role, provision, provision_store, roles

pytestmark = pytest.mark.integration

SERVICES = ("alpha", "beta")
PASSWORDS = {role: f"pw-{role}" for service in SERVICES for role in roles(service)}


@pytest.fixture(scope="module")
async def connect(platform):
    await provision(platform.postgres.dsn(), SERVICES, PASSWORDS, database="shared")
    opened = []

    async def connect(role: str):
        dsn = platform.postgres.dsn("shared", role=role, password=PASSWORDS[role])
        opened.append(await asyncpg.connect(dsn))
        return opened[-1]

    for service in SERVICES:
        owner = await connect(f"{service}_owner")
        await owner.execute("create table thing (id bigint generated always as identity primary key, n int)")
    yield connect
    for connection in opened:
        await connection.close()


async def test_a_service_reads_and_writes_its_own_tables(connect):
    alpha = await connect("alpha")
    await alpha.execute("insert into thing (n) values (1)")

    assert await alpha.fetchval("select n from thing") == 1


async def test_a_service_cannot_read_the_tables_of_another(connect):
    alpha = await connect("alpha")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await alpha.fetchval("select n from beta.thing")


async def test_the_owner_of_a_schema_cannot_read_the_tables_of_another(connect):
    owner = await connect("alpha_owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.fetchval("select n from beta.thing")


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (n int)",
        "create table public.mine (n int)",
        "create temp table mine (n int)",
        "create schema mine",
        "drop table thing",
        "truncate thing",
        "create role mine",
    ],
)
async def test_a_service_creates_and_destroys_nothing(connect, statement):
    alpha = await connect("alpha")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await alpha.execute(statement)


async def test_an_owner_cannot_take_the_role_of_another_service(connect):
    owner = await connect("alpha_owner")
    for statement in ("grant beta to alpha_owner", "set role beta", "alter role beta password 'mine'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(statement)


async def test_a_migration_may_create_a_further_role_of_its_service(connect):
    owner = await connect("alpha_owner")
    await owner.execute(
        "create role alpha_reader; grant usage on schema alpha to alpha_reader; grant alpha_reader to alpha"
    )
    await owner.execute("grant select on thing to alpha_reader")
    alpha = await connect("alpha")
    await alpha.execute("set role alpha_reader")

    assert await alpha.fetchval("select count(*) from alpha.thing") >= 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await alpha.execute("delete from alpha.thing")


async def test_provisioning_again_changes_the_passwords_and_nothing_else(platform, connect):
    changed = {**PASSWORDS, "beta": "another"}
    await provision(platform.postgres.dsn(), SERVICES, changed, database="shared")
    beta = await asyncpg.connect(platform.postgres.dsn("shared", role="beta", password="another"))

    assert await beta.fetchval("select count(*) from thing") >= 0
    await beta.close()


async def test_the_job_reads_its_secrets_from_files(platform, tmp_path):
    (tmp_path / "dsn").write_text(platform.postgres.dsn() + "\n")
    (tmp_path / "passwords").write_text(json.dumps({"gamma": "one", "gamma_owner": "two"}))
    files = ["--admin-dsn-file", str(tmp_path / "dsn"), "--passwords-file", str(tmp_path / "passwords")]
    command = [sys.executable, "-m", "servicekit.provision", *files, "--database", "by_job", "gamma"]
    job = await asyncio.create_subprocess_exec(*command)

    assert await asyncio.wait_for(job.wait(), 30) == 0
    gamma = await asyncpg.connect(platform.postgres.dsn("by_job", role="gamma", password="one"))
    await gamma.close()


FURTHER_PASSWORDS = {role: f"pw-{role}" for role in every_role(["consent"])}


async def test_a_further_role_may_come_in_and_gets_what_migrations_grant(platform):
    await provision(platform.postgres.dsn(), ["consent"], FURTHER_PASSWORDS, database="ledger")
    owner = await asyncpg.connect(platform.postgres.dsn("ledger", role="consent_owner", password="pw-consent_owner"))
    await owner.execute("create table thing (n int); grant select on thing to consent_reader")
    await owner.close()
    for role in FURTHER["consent"]:
        connection = await asyncpg.connect(platform.postgres.dsn("ledger", role=role, password=f"pw-{role}"))
        if role == "consent_reader":
            assert await connection.fetchval("select count(*) from thing") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("insert into thing values (1)")
        await connection.close()


async def test_a_further_role_without_a_password_cannot_log_in(platform, monkeypatch):
    monkeypatch.setitem(FURTHER, "delta", ("delta_reader",))
    passwords = {"delta": "pw-delta", "delta_owner": "pw-delta_owner"}
    await provision(platform.postgres.dsn(), ["delta"], passwords, database="quiet")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(platform.postgres.dsn("quiet", role="delta_reader", password="x"))


async def test_a_store_has_its_own_database_and_roles(platform):
    store = Store("vault", "vault", ("vault_user",), "none")
    passwords = {role: f"pw-{role}" for role in store.everybody}
    for _ in range(2):
        await provision_store(platform.postgres.dsn(), store, passwords)
    owner = await asyncpg.connect(platform.postgres.dsn("vault", role="vault_owner", password="pw-vault_owner"))
    await owner.execute("create table thing (n int)")
    await owner.close()
    user = await asyncpg.connect(platform.postgres.dsn("vault", role="vault_user", password="pw-vault_user"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await user.fetchval("select count(*) from thing")
    await user.close()


async def test_the_job_makes_the_database_of_the_keys_with_the_ledger(platform, tmp_path):
    (tmp_path / "dsn").write_text(platform.postgres.dsn() + "\n")
    (tmp_path / "passwords").write_text(json.dumps(FURTHER_PASSWORDS))
    files = ["--admin-dsn-file", str(tmp_path / "dsn"), "--passwords-file", str(tmp_path / "passwords")]
    names = ["--database", "ledger_by_job", "--keys-database", "keys_by_job"]
    command = [sys.executable, "-m", "servicekit.provision", *files, *names, "consent"]
    job = await asyncio.create_subprocess_exec(*command)

    assert await asyncio.wait_for(job.wait(), 30) == 0
    for role in KEYS.everybody:
        connection = await asyncpg.connect(platform.postgres.dsn("keys_by_job", role=role, password=f"pw-{role}"))
        await connection.close()
