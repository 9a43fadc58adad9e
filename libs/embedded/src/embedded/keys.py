"""Development keys and tokens: made once per state folder, private to its owner, and worth nothing anywhere else."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from embedded import files
from servicekit.auth import ServiceIdentity, public_jwk
from servicekit.auth.identity import read_private_key
from servicekit.vkeys import verifier_key

ISSUER = "https://assent.invalid/development"
AUDIENCE = "assent"
LEDGER = "harbour"
ORIGIN = "harbour.example/consent/harbour"
YEAR_S = 365 * 24 * 3600


class Keys:
    """The keys below one folder; what is missing is made when `create` is called."""

    def __init__(self, folder: Path, *, ledger: str = LEDGER, origin: str = ORIGIN) -> None:
        self.folder = folder
        self.ledger = ledger
        self.origin = origin
        self.issuer = ISSUER
        self.audience = AUDIENCE
        self.issuer_key = folder / "issuer.pem"
        self.jwks = folder / "jwks.json"
        self.service_keys = folder / "services.jwks.json"
        self.statement_key = folder / "statement.pem"
        self.basis_keys = folder / "basis.vkeys"
        self.checkpoint_key = folder / "checkpoint.pem"
        self.checkpoint_keys = folder / "checkpoint.vkeys"
        self.tracking_key = folder / "tracking.key"
        self.identifier_key = folder / "identifier.key"

    def service_key(self, service: str) -> Path:
        """The private key with which a service calls its siblings."""
        return self.folder / f"{service}.service.pem"

    def create(self, services: Iterable[str]) -> None:
        """Make what is missing; services that are new join the key set of the others."""
        files.own_folder(self.folder, mode=0o700)
        named = sorted(services)
        for path in (self.issuer_key, self.statement_key, self.checkpoint_key, *map(self.service_key, named)):
            _create_key(path)
        for path in (self.tracking_key, self.identifier_key):
            if not path.exists():
                files.write_secret(path, secrets.token_hex(32) + "\n")
        self._publish(named)

    def _publish(self, services: Iterable[str]) -> None:
        statement = read_private_key(self.statement_key).public_key()
        self.jwks.write_text(_jwks({"issuer": self.issuer_key}))
        self.service_keys.write_text(_jwks({name: self.service_key(name) for name in services}))
        self.basis_keys.write_text(f"{verifier_key(self.ledger, statement)}\n")
        checkpoint = read_private_key(self.checkpoint_key).public_key()
        self.checkpoint_keys.write_text(f"{verifier_key(self.origin, checkpoint)}\n")

    def token(self, subject: str, scopes: Iterable[str], *, lifetime_s: int = YEAR_S) -> str:
        """A token for an outside caller, with these scopes."""
        now = int(time.time())
        who = {"iss": self.issuer, "aud": self.audience, "sub": subject, "scope": " ".join(scopes)}
        claims = {**who, "iat": now, "exp": now + lifetime_s}
        return jwt.encode(claims, read_private_key(self.issuer_key), algorithm="EdDSA", headers={"kid": "issuer"})

    def identity(self, service: str) -> ServiceIdentity:
        """A service's identity, for calling its siblings."""
        return ServiceIdentity.read(service, self.service_key(service))

    def statement(self) -> Ed25519PrivateKey:
        """The key that signs consent bases."""
        return read_private_key(self.statement_key)


def write_tokens(folder: Path, keys: Keys, roles: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """One file `<role>.jwt` per role, fresh; where they are."""
    files.own_folder(folder, mode=0o700)
    written = {role: folder / f"{role}.jwt" for role in roles}
    for role, path in written.items():
        files.write_secret(path, keys.token(role, roles[role]) + "\n")
    return written


def _create_key(path: Path) -> None:
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.write_secret(path, pem.decode())


def _jwks(keys: Mapping[str, Path]) -> str:
    entries = [public_jwk(read_private_key(path).public_key(), kid) for kid, path in keys.items()]
    return json.dumps({"keys": entries}, indent=2) + "\n"
