"""Named queries: `sql = queries.load("consent_service")` reads `consent_service/sql/queries.sql` with aiosql.

`-- name: choice_at(subject_id, purpose)^` becomes `await sql.choice_at(connection, subject_id=..., purpose=...)`. Suffixes: `^` one row
or None, `$` one value, `!` status text, `<!` returning, `*!` many. None: the rows, `await sql.x(...)` as a list or one by one with `async for`.

aiosql reads and checks the file; the calls go straight to the driver, because every statement of every service pays for what is between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from importlib import resources
from typing import Any, Final, Protocol, cast

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.types import SQLOperationType as Kind


class Queries(Protocol):
    """One attribute per named query. Names and parameters are checked by the test that prepares them, not by types."""

    def __getattr__(self, name: str) -> Any:
        """The query of that name."""


class Rows:
    """The rows of a query that is asked when they are wanted."""

    __slots__ = ("_connection", "_sql", "_values")

    def __init__(self, connection: Any, sql: str, values: Sequence[Any]) -> None:
        self._connection = connection
        self._sql = sql
        self._values = values

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """All of them."""
        return cast("Generator[Any, None, list[Any]]", self._connection.fetch(self._sql, *self._values).__await__())

    async def __aiter__(self) -> AsyncIterator[Any]:
        """One by one."""
        for row in await self:
            yield row


class _Bound:
    """The queries of a package as attributes."""

    def __init__(self, package: str) -> None:
        for name, (loaded, names) in _read(package).items():
            setattr(self, name, _MAKERS[loaded.operation](loaded.sql, names))


def load(package: str) -> Queries:
    """The queries of `package`. Reads a file; call it once, when the module that uses it is imported."""
    return cast("Queries", _Bound(package))


def statements(package: str) -> Mapping[str, str]:
    """The SQL text of each query of `package`, parameters as $1, $2: what a test prepares."""
    return {name: loaded.sql for name, (loaded, _) in _read(package).items()}


def _read(package: str) -> Mapping[str, tuple[Any, tuple[str, ...]]]:
    """Each query as aiosql has it, and the names of its parameters in the order of $1, $2."""
    adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
    text = (resources.files(package) / "sql" / "queries.sql").read_text()
    loaded = aiosql.from_str(text, lambda: adapter)
    names = [name for name in loaded.available_queries if not name.endswith("_cursor")]
    return {name: (getattr(loaded, name), tuple(adapter.var_sorted[name])) for name in names}


def _rows(sql: str, names: Sequence[str]) -> Callable[..., Rows]:
    def rows(connection: Any, /, **given: Any) -> Rows:
        return Rows(connection, sql, [given[name] for name in names])

    return rows


def _row(sql: str, names: Sequence[str]) -> Callable[..., Any]:
    def row(connection: Any, /, **given: Any) -> Any:
        return connection.fetchrow(sql, *[given[name] for name in names])

    return row


def _value(sql: str, names: Sequence[str]) -> Callable[..., Any]:
    def value(connection: Any, /, **given: Any) -> Any:
        return connection.fetchval(sql, *[given[name] for name in names])

    return value


def _status(sql: str, names: Sequence[str]) -> Callable[..., Any]:
    def status(connection: Any, /, **given: Any) -> Any:
        return connection.execute(sql, *[given[name] for name in names])

    return status


def _returning(sql: str, names: Sequence[str]) -> Callable[..., Any]:
    async def returning(connection: Any, /, **given: Any) -> Any:
        row = await connection.fetchrow(sql, *[given[name] for name in names])
        return row[0] if row is not None and len(row) == 1 else row

    return returning


def _many(sql: str, names: Sequence[str]) -> Callable[..., Any]:
    def many(connection: Any, given: Sequence[Mapping[str, Any]], /) -> Any:
        return connection.executemany(sql, [[one[name] for name in names] for one in given])

    return many


_MAKERS: Final[Mapping[Kind, Callable[[str, Sequence[str]], Callable[..., Any]]]] = {
    Kind.SELECT: _rows,
    Kind.SELECT_ONE: _row,
    Kind.SELECT_VALUE: _value,
    Kind.INSERT_UPDATE_DELETE: _status,
    Kind.INSERT_RETURNING: _returning,
    Kind.INSERT_UPDATE_DELETE_MANY: _many,
}
