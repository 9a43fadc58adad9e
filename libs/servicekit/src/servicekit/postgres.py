"""PostgreSQL: the pool of a service, transactions, and the one place where driver errors become ours.

A pool outlives its server: connections that died are replaced when they are next asked for, and meanwhile everything that
needs the database raises Unavailable.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncContextDecorator, asynccontextmanager
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import unquote, urlsplit

import asyncpg

from servicekit.errors import AssentError, Conflict, Invalid, Unavailable
from servicekit.lending import Borrowed, Lending
from servicekit.settings import DatabaseSettings

logger = logging.getLogger(__name__)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]

CONNECT_S = 5.0
CLOSE_S = 5.0
LONGEST_WAIT_S = 2.0

WIPE = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL"

AWAY = (
    OSError,  # refused, reset, and TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # shutting down, crashed, starting up, statement cancelled
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # we still talk to a primary that was demoted
)
REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
FIRST_WINS = (
    asyncpg.TransactionRollbackError,  # serialization failures and deadlocks
    asyncpg.UniqueViolationError,
    asyncpg.ExclusionViolationError,
)
UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,  # a zero byte in a text
    asyncpg.UntranslatableCharacterError,  # the same in JSON
    asyncpg.NumericValueOutOfRangeError,
)
DRIVER = (*AWAY, *FIRST_WINS, asyncpg.DataError, asyncpg.InterfaceError, asyncpg.InternalClientError)
GONE = ("clos", "released back", "another operation (2)")


class Stateless(asyncpg.Connection):
    """A connection that goes back to its pool without a round trip to wipe it: only `session` leaves anything behind."""

    def get_reset_query(self) -> str:
        """Nothing to run."""
        return ""


@asynccontextmanager
async def pool(settings: DatabaseSettings, *, schema: str | None = None) -> AsyncIterator[Pool]:
    """The pool of a service; waits for a first answer of the server for ever, and closes when left.

    `schema` is the whole search path; by default the user of the DSN, because a service's role and schema share its name.
    Raises Invalid at once when the server refuses role, password or database.
    """
    opened = await _first(settings, schema or user_of(settings.dsn))
    try:
        yield opened
    finally:
        await _close(opened)


async def _close(pool: Pool) -> None:
    """Wait for connections that are in use, but not for ever."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _first(settings: DatabaseSettings, schema: str) -> Pool:
    wait = 0.05
    while True:
        try:
            return await _open(settings, schema)
        except Unavailable:
            logger.warning("the database is away")
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
        except REFUSED as error:
            raise Invalid("The database refuses role, password or name.", reason="DATABASE_REFUSED") from error


async def _open(settings: DatabaseSettings, schema: str) -> Pool:
    opening = Lending(
        settings.dsn,
        min_size=0,
        max_size=settings.max_size,
        init=_prepare,
        connection_class=Stateless,
        timeout=CONNECT_S,
        # The server ends a statement that runs too long; this ends one whose server no longer answers.
        command_timeout=settings.statement_timeout_ms / 1000 + CONNECT_S,
        server_settings={
            "application_name": schema,
            "search_path": schema,
            "statement_timeout": str(settings.statement_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.statement_timeout_ms * 2),
        },
    )
    async with translated():
        made = await opening
    try:
        await check(made)
    except BaseException:
        made.terminate()
        raise
    return made


async def _prepare(connection: Connection) -> None:
    """Let JSON travel as Python values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_dump, decoder=json.loads)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def user_of(dsn: str) -> str:
    """The role that a DSN names; raises Invalid when it names none."""
    user = urlsplit(dsn).username
    if not user:
        raise Invalid("The DSN of the database names no user.", reason="DSN_WITHOUT_USER")
    return unquote(user)


async def check(pool: Pool) -> None:
    """Raise Unavailable while the database does not answer: a readiness check."""
    async with connection(pool) as borrowed:
        await borrowed.fetchval("select 1", timeout=CONNECT_S)


def is_lost(connection: Connection) -> bool:
    """Whether the server or the network ended this connection; the pool takes such a one back by itself."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


class connection:  # noqa: N801  a context, used like a function; a class since every read pays for it
    """A connection for reads that need no transaction. Raises as `translated`."""

    __slots__ = ("_borrowed", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        try:
            self._borrowed: Connection = self._lend() or await self._pool.acquire(timeout=CONNECT_S)
        except DRIVER as error:
            _translate(error)
            raise
        return self._borrowed

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self._keep():
            return
        try:
            await self._pool.release(cast("Borrowed", self._borrowed))
        except DRIVER as failed:
            _translate(failed)
            raise
        _translate(error)

    def _lend(self) -> Connection | None:
        return self._pool.lend() if isinstance(self._pool, Lending) else None

    def _keep(self) -> bool:
        return isinstance(self._pool, Lending) and self._pool.keep(cast("Borrowed", self._borrowed))


@asynccontextmanager
async def session(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that may keep state of its session, such as advisory locks and LISTEN; it is wiped when given back."""
    async with translated():
        borrowed = await pool.acquire(timeout=CONNECT_S)
        try:
            yield borrowed
        finally:
            try:
                if not is_lost(borrowed):
                    await borrowed.execute(WIPE)
            finally:
                await pool.release(borrowed)


@asynccontextmanager
async def transaction(
    pool: Pool, *, isolation: Isolation = "read_committed", readonly: bool = False
) -> AsyncIterator[Connection]:
    """A transaction that commits when left, and rolls back on an error. Nothing remote belongs inside. Raises as `translated`.

    Unavailable raised on leaving may mean that the commit did happen: repeat only what is idempotent.
    """
    async with connection(pool) as borrowed, borrowed.transaction(isolation=isolation, readonly=readonly):
        yield borrowed


class translated(AsyncContextDecorator):  # noqa: N801  as `connection`
    """Turn driver errors into ours, as a context or as a decorator of an async function: `@translated()`.

    Server away, full, slow or read-only: Unavailable. Serialization, deadlock, unique or exclusion violation: Conflict.
    A zero byte in a text, or a number that no column holds: Invalid, whoever let it through. Everything else is a bug and stays what it is.
    """

    async def __aenter__(self) -> None:
        """Nothing to do."""

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _translate(error)


def _translate(error: BaseException | None) -> None:
    """Raise ours for a driver's error, unless it is a bug."""
    if isinstance(error, DRIVER):
        ours = _ours(error)
        if ours is not None:
            raise ours from error


def _ours(error: Exception) -> AssentError | None:
    if isinstance(error, FIRST_WINS):
        return Conflict(reason="DATABASE_CONFLICT")
    if isinstance(error, UNSTORABLE) or (isinstance(error, asyncpg.DataError) and "value out of int" in str(error)):
        return Invalid("A value that cannot be stored.", reason="UNSTORABLE_VALUE")
    if isinstance(error, AWAY) or any(word in str(error) for word in GONE):
        # An InterfaceError is a bug unless connection or pool is closed, closing or taken back: only its text says which. "Operation 2"
        # is the server's own, its last words on a connection that was idle: it has said that it dies, and the end has not come yet.
        return Unavailable("The database is away.", reason="DATABASE_AWAY")
    return None
