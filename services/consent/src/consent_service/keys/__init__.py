"""The subjects' keys: a database of their own, wrapped by key-encryption keys (KEKs) that change each 30 days. Destroying one ends a record.

`ports` says what the service asks of them, `epochs` when a KEK is made and destroyed (pure), `folder` keeps KEKs as files, `store` the
wrapped keys in PostgreSQL, `cache` is for the one writer, and `eventual` lets a service start while
the database is away.
"""

from consent_service.keys.cache import CachedSubjectKeys
from consent_service.keys.eventual import Eventual, EventualKeyShredder, EventualSubjectKeys
from consent_service.keys.folder import KekFolder
from consent_service.keys.ports import Found, Keks, KeyShredder, SubjectKeys
from consent_service.keys.store import PostgresKeyShredder, PostgresSubjectKeys

__all__ = [
    "CachedSubjectKeys",
    "Eventual",
    "EventualKeyShredder",
    "EventualSubjectKeys",
    "Found",
    "KekFolder",
    "Keks",
    "KeyShredder",
    "PostgresKeyShredder",
    "PostgresSubjectKeys",
    "SubjectKeys",
]
