"""The consent service's settings, read once from CONSENT_*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.provision import KEYS
from servicekit.settings import AuthSettings, DatabaseSettings, Group, Schema, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "consent": ("consent.choose", "consent.keys", "consent.link", "consent.registry", "consent.rights.advance"),
    "content": ("consent.registry", "consent.check"),
    "orchestration": ("consent.check",),
    "profile": ("consent.link",),
    "ranking": ("consent.check",),
    "signals": ("consent.check",),
}


class Auth(AuthSettings):
    """Who is believed, and what each sibling may do here. The service calls itself: a replica forwards writes to the writer."""

    callers: Mapping[str, tuple[str, ...]] = CALLERS


class KeysSettings(Group):
    """The subjects' keys: `dsn` as `key_user` (in migrations as the owner), `shredder_dsn` as `key_shredder`, the folder of the KEKs.

    The database may be on a server of its own. Without these settings nothing can be sealed.
    """

    dsn: str | None = Field(default=None, repr=False, min_length=1)
    shredder_dsn: str | None = Field(default=None, repr=False, min_length=1)
    folder: Path | None = None

    @property
    def database(self) -> DatabaseSettings | None:
        """For the pool of `key_user`; its schema is `keys`."""
        return DatabaseSettings(dsn=self.dsn) if self.dsn else None

    @property
    def shredder_database(self) -> DatabaseSettings | None:
        """For the pool of `key_shredder`; its schema is `keys`."""
        return DatabaseSettings(dsn=self.shredder_dsn, max_size=2) if self.shredder_dsn else None


class RoleSettings(Group):
    """The ledger's database as one of its further roles. Without a DSN, what the role is for is not done here."""

    dsn: str | None = Field(default=None, repr=False, min_length=1)
    max_size: int = Field(default=8, ge=1)
    statement_timeout_ms: int = Field(default=5000, gt=0)

    @property
    def database(self) -> DatabaseSettings | None:
        """For the role's pool; its schema is `consent`."""
        if not self.dsn:
            return None
        return DatabaseSettings(dsn=self.dsn, max_size=self.max_size, statement_timeout_ms=self.statement_timeout_ms)


class Settings(ServiceSettings, prefix="CONSENT"):
    """`ledger` names the ledger: its id is derived from the name, and the statement key bears it.

    `reader` (role consent_reader; by default `database`) answers, `writer` (role consent_writer) may become the ledger's writer; it needs
    the keys too; `eraser` (role consent_eraser) and the keys' shredder end a person's record. `basis_keys`: a file of verifier keys, one per line, that bases were signed with before.
    """

    auth: Auth
    ledger: str = Field(default="harbour", pattern=r"^[a-z][a-z0-9_.-]{0,62}$")
    statement_key: Path
    basis_keys: Path | None = None
    keys: KeysSettings = KeysSettings()
    reader: RoleSettings = RoleSettings()
    writer: RoleSettings = RoleSettings(max_size=3)
    eraser: RoleSettings = RoleSettings(max_size=2)

    def schemas(self) -> Sequence[Schema]:
        """The ledger, and the keys when they are configured."""
        own = super().schemas()
        return own if self.keys.dsn is None else (*own, Schema(self.keys.dsn, KEYS.schema, KEYS.package))
