"""How sibling services prove to each other who they are: short-lived EdDSA tokens, one per target service.

A service's public keys are in the services key set under the id `<service>` or `<service>.<n>`; a key speaks for that service
only. What a sibling may do is the receiver's data (`auth.callers`), never the token's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from servicekit.auth.caller import Caller
from servicekit.auth.keys import FileKeys
from servicekit.auth.tokens import Remembered, decode, header
from servicekit.clock import Clock, SystemClock
from servicekit.errors import Invalid, Unauthenticated

LIFETIME_S: Final = 300
RENEW_AFTER: Final = 0.8


class ServiceIdentity:
    """A service's own key; mints the tokens with which it calls its siblings, and keeps each for 80 % of its life."""

    def __init__(self, service: str, key: Ed25519PrivateKey, *, clock: Clock | None = None) -> None:
        self.service = service
        self._key = key
        self._clock = clock or SystemClock()
        self._minted: dict[str, tuple[float, str]] = {}

    @classmethod
    def read(cls, service: str, path: Path) -> ServiceIdentity:
        """The identity whose private key (PEM, Ed25519) is in this file."""
        return cls(service, read_private_key(path))

    def token(self, target: str) -> str:
        """A token for calling `target`."""
        now = self._clock.now_us() // 1_000_000
        renew_at, token = self._minted.get(target, (0.0, ""))
        if now >= renew_at:
            token = self._mint(target, now)
            self._minted[target] = (now + LIFETIME_S * RENEW_AFTER, token)
        return token

    def _mint(self, target: str, now_s: int) -> str:
        claims = {"iss": self.service, "sub": self.service, "aud": target, "iat": now_s, "exp": now_s + LIFETIME_S}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.service})


class ServiceTokenVerifier:
    """Verifies what siblings present to `service`, and gives each the scopes that our own settings list for it."""

    def __init__(
        self,
        keys: FileKeys,
        *,
        service: str,
        callers: Mapping[str, Iterable[str]],
        remember: int = 1024,
        clock: Clock | None = None,
    ) -> None:
        self._keys = keys
        self._service = service
        self._scopes = {name: frozenset(scopes) for name, scopes in callers.items()}
        self._remembered = Remembered(remember, clock or SystemClock())

    async def caller_of(self, token: str | None) -> Caller:
        """The sibling that this token proves; Unauthenticated with a reason otherwise."""
        if not token:
            raise Unauthenticated("A service token is needed.", reason="TOKEN_MISSING")
        return self._remembered.get(token) or self._verify(token)

    def _verify(self, token: str) -> Caller:
        name = header(token)["kid"].partition(".")[0]
        claims = self._claims(token, name)
        who = Caller(subject=name, scopes=self._scopes.get(name, frozenset()), service=name)
        self._remembered.put(token, int(claims["exp"]), who)
        return who

    def _claims(self, token: str, name: str) -> dict[str, Any]:
        """Verified by any key of that service: the old and the new one during a rotation."""
        refusal = Unauthenticated("The token is signed by a key that is not known here.", reason="TOKEN_KEY")
        for kid, key in self._keys.current().items():
            if kid.partition(".")[0] == name:
                try:
                    return decode(token, key, audience=self._service, issuer=name)
                except Unauthenticated as error:
                    refusal = error
        raise refusal


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PEM file; Invalid when it is anything else."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Invalid("The private key cannot be read.", reason="KEY_INVALID") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid("The private key is not Ed25519.", reason="KEY_INVALID")
    return key
