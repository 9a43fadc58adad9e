"""Public keys by key id, from a JWKS file (read again when it changes) or a JWKS address (cached)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from servicekit.errors import Invalid, Unauthenticated, Unavailable

ALGORITHMS: Final = frozenset({"EdDSA", "RS256", "ES256"})
"""All that we accept: asymmetric, so that a public key is never taken for a shared secret."""


class KeySource(Protocol):
    """Finds public keys."""

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key with this id; Unauthenticated when there is none."""
        ...


def _unknown() -> Unauthenticated:
    return Unauthenticated("The token is signed by a key that is not known here.", reason="TOKEN_KEY")


class FileKeys:
    """The keys of a JWKS file; a changed file is read again at the next look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: Mapping[str, jwt.PyJWK] = {}

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key with this id; Unauthenticated when there is none."""
        found = self.current().get(kid)
        if found is None:
            raise _unknown()
        return found

    def current(self) -> Mapping[str, jwt.PyJWK]:
        """All keys by id, as the file says now."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._keys, self._stamp = parse_jwks(self._path.read_text()), stamp
        except (OSError, UnicodeDecodeError, Invalid) as error:
            raise Unavailable("The key set cannot be read.", reason="KEYS_UNAVAILABLE") from error
        return self._keys


class UrlKeys:
    """The keys of a JWKS address, cached; an unknown key id makes the client look again, at most once per `interval_s`."""

    def __init__(self, url: str, *, lifetime_s: float = 300, interval_s: float = 10, timeout_s: float = 3) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=True, lifespan=int(lifetime_s), timeout=int(timeout_s))
        self._interval_s = interval_s
        self._refused_until = 0.0
        self._fetching = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key with this id; Unauthenticated when there is none, Unavailable when the address does not answer."""
        async with self._fetching:
            found = self._client.match_kid(await self._signing_keys(refresh=False), kid)
            now = asyncio.get_running_loop().time()
            if found is None and now >= self._refused_until:
                self._refused_until = now + self._interval_s
                found = self._client.match_kid(await self._signing_keys(refresh=True), kid)
        if found is None or found.algorithm_name not in ALGORITHMS:
            raise _unknown()
        return found

    async def _signing_keys(self, *, refresh: bool) -> list[jwt.PyJWK]:
        try:
            return await asyncio.to_thread(self._client.get_signing_keys, refresh=refresh)
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable("The key set cannot be fetched.", reason="KEYS_UNAVAILABLE") from error
        except jwt.PyJWTError as error:
            raise _unknown() from error


def key_source(where: str) -> KeySource:
    """The source that a setting names: an http(s) address or a file."""
    return UrlKeys(where) if where.startswith(("https://", "http://")) else FileKeys(Path(where))


def parse_jwks(text: str) -> dict[str, jwt.PyJWK]:
    """Public keys by id; others in the set are ignored (RFC 7517, section 5). Invalid when none is left."""
    try:
        entries = list(json.loads(text)["keys"])
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("The key set is not a JWKS.", reason="KEYS_INVALID") from error
    found = {key.key_id: key for key in map(_usable, entries) if key is not None and key.key_id}
    if not found:
        raise Invalid("The key set holds no key that can be used.", reason="KEYS_INVALID")
    return found


def _usable(entry: Any) -> jwt.PyJWK | None:
    """The key, if it is one for signatures of a kind that we accept."""
    try:
        key = jwt.PyJWK(entry)
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
        return None
    return key if key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"} else None


def public_jwk(key: Ed25519PublicKey, kid: str) -> dict[str, Any]:
    """The JWK (RFC 8037) of an Ed25519 key. A service's key has the id `<service>` or, when rotated, `<service>.<n>`."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x}
