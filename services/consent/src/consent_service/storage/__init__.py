"""The ledger in PostgreSQL beside `store`, which everybody reads: `writes` is for its one writer, `relaying` its outbox, `rows` translates."""

from consent_service.storage.relaying import PostgresFeed, PostgresOutbox
from consent_service.storage.writes import PostgresLog

__all__ = ["PostgresFeed", "PostgresLog", "PostgresOutbox"]
