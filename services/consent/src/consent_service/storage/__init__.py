"""The ledger in PostgreSQL: `reads` for everybody, `writes` for the one writer, `relaying` for its outbox; `rows` translates."""

from consent_service.storage.reads import PostgresLedger
from consent_service.storage.relaying import PostgresOutbox
from consent_service.storage.writes import PostgresLog

__all__ = ["PostgresLedger", "PostgresLog", "PostgresOutbox"]
