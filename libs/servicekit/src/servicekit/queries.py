"""Named queries: `sql = queries.load("consent_service")` reads `consent_service/sql/queries.sql` with aiosql.

`-- name: choice_at(subject_id, purpose)^` becomes `await sql.choice_at(connection, subject_id=..., purpose=...)`. Suffixes: `^` one row
or None, `$` one value, `!` status text, `<!` returning, `*!` many, none an async iterator of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Protocol, cast

import aiosql


class Queries(Protocol):
    """One attribute per named query. Names and parameters are checked by the test that prepares them, not by types."""

    def __getattr__(self, name: str) -> Any:
        """The query of that name."""


def load(package: str) -> Queries:
    """The queries of `package`. Reads a file; call it once, when the module that uses it is imported."""
    return cast("Queries", aiosql.from_str(_text(package), "asyncpg"))


def statements(package: str) -> Mapping[str, str]:
    """The SQL text of each query of `package`, parameters as $1, $2: what a test prepares."""
    loaded = aiosql.from_str(_text(package), "asyncpg")
    names = [name for name in loaded.available_queries if not name.endswith("_cursor")]
    return {name: getattr(loaded, name).sql for name in names}


def _text(package: str) -> str:
    return (resources.files(package) / "sql" / "queries.sql").read_text()
