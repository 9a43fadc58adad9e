"""Settings of the service and its signer on real servers: what tests of the whole service stand on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consent_service.settings import Settings
from consent_service.signing.settings import Settings as SignerSettings
from servicekit.settings import DatabaseSettings
from testkit.apps import settings_values
from testkit.databases import Database

ORIGIN = "bank.example/consent/harbour"


@dataclass
class World:
    """The ledger's database, the keys', the bus, and a folder for what is kept in files."""

    database: Database
    store: Database
    nats_settings: Any
    keys: Any
    ledger: str
    folder: Path

    def settings(self, instance: str = "a", **changed: Any) -> Settings:
        """Of one replica."""
        folder = self.folder / instance
        folder.mkdir(exist_ok=True)
        return Settings(
            **settings_values("consent", self.database, self.nats_settings("consent"), self.keys, folder),
            ledger=self.ledger,
            statement_key=self.keys.statement_key,
            instance=instance,
            **{
                "reader": {"dsn": self.database.dsn_of("consent_reader")},
                "writer": {"dsn": self.database.dsn_of("consent_writer")},
                "eraser": {"dsn": self.database.dsn_of("consent_eraser")},
                "keys": {
                    "dsn": self.store.dsn_of("key_user"),
                    "shredder_dsn": self.store.dsn_of("key_shredder"),
                    "folder": self.folder / "keks",
                },
                **changed,
            },
        )

    def signer_settings(self) -> SignerSettings:
        """Of the signer."""
        folder, kept = self.folder / "signer", self.folder / "last-signed"
        folder.mkdir(exist_ok=True)
        kept.mkdir(exist_ok=True)
        values = settings_values(
            "consent-signer", self.database, self.nats_settings("consent-signer"), self.keys, folder
        )
        values["database"] = DatabaseSettings(dsn=self.database.dsn_of("consent_signer"))
        return SignerSettings(
            **values,
            ledger=self.ledger,
            origin=ORIGIN,
            key=self.keys.checkpoint_key,
            folder=kept,
            interval_ms=200,
        )
