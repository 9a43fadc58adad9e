"""The inbox of a consumer that keeps no stream position: each event is handled once, in the transaction that remembers it."""

from __future__ import annotations

from servicekit import queries
from servicekit.postgres import Connection

sql = queries.load("servicekit")


async def first_time(connection: Connection, event_id: str) -> bool:
    """Whether this event is new here. Call it in the transaction that handles the event: a rollback forgets it again."""
    return bool(await sql.add_to_inbox(connection, event_id=event_id) == "INSERT 0 1")


async def forget(connection: Connection, *, keep_days: int) -> None:
    """Drop what no stream can repeat any more: keep as many days as the longest stream that this service reads."""
    await sql.remove_from_inbox(connection, keep_days=keep_days)
