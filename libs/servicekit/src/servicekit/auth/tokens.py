"""Verification of the tokens (JWT) that outside callers present.

A token is never echoed: failures carry a reason code and nothing else. What was verified is remembered by its text for at most
five minutes and never past its expiry, so the usual call costs one dictionary look-up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Protocol

import jwt

from servicekit.auth.caller import Caller
from servicekit.auth.keys import ALGORITHMS, KeySource
from servicekit.clock import Clock, SystemClock
from servicekit.errors import Unauthenticated

REMEMBER_US: Final = 300_000_000
LEEWAY_S: Final = 5.0

_REASONS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "TOKEN_EXPIRED",
    jwt.ImmatureSignatureError: "TOKEN_NOT_YET",
    jwt.InvalidIssuedAtError: "TOKEN_NOT_YET",
    jwt.InvalidAudienceError: "TOKEN_AUDIENCE",
    jwt.InvalidIssuerError: "TOKEN_ISSUER",
    jwt.MissingRequiredClaimError: "TOKEN_CLAIMS",
    jwt.InvalidAlgorithmError: "TOKEN_ALGORITHM",
    jwt.InvalidSignatureError: "TOKEN_SIGNATURE",
    jwt.PyJWTError: "TOKEN_MALFORMED",
}


class Authenticator(Protocol):
    """Turns a presented token into a caller."""

    async def caller_of(self, token: str | None) -> Caller:
        """The caller that this token proves; Unauthenticated with a reason otherwise."""
        ...


class Remembered:
    """Callers by the token that proved them: the `size` most recently used, each until its time."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, Caller]] = OrderedDict()

    def get(self, token: str) -> Caller | None:
        """The caller, while its proof holds."""
        found = self._known.get(token)
        if found is None:
            return None
        if self._clock.now_us() >= found[0]:
            del self._known[token]
            return None
        self._known.move_to_end(token)
        return found[1]

    def put(self, token: str, expires_s: int, who: Caller) -> None:
        """Remember until the token's expiry, or for five minutes if that is sooner."""
        self._known[token] = (min(expires_s * 1_000_000, self._clock.now_us() + REMEMBER_US), who)
        while len(self._known) > self._size:
            self._known.popitem(last=False)


class TokenVerifier:
    """Verifies tokens of outside callers: issuer, audience, expiry, and a signature by a key of the set."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        remember: int = 4096,
        clock: Clock | None = None,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._remembered = Remembered(remember, clock or SystemClock())

    async def caller_of(self, token: str | None) -> Caller:
        """The caller that this token proves; Unauthenticated with a reason otherwise."""
        if not token:
            raise Unauthenticated("A bearer token is needed.", reason="TOKEN_MISSING")
        known = self._remembered.get(token)
        if known is not None:
            return known
        key = await self._keys.key(header(token)["kid"])
        claims = decode(token, key, audience=self._audience, issuer=self._issuer)
        who = Caller(subject=claims["sub"], scopes=_scopes(claims))
        self._remembered.put(token, int(claims["exp"]), who)
        return who


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise Unauthenticated("The token's scope is not text.", reason="TOKEN_CLAIMS")
    return frozenset(scope.split())


def header(token: str) -> dict[str, str]:
    """The token's header, checked for a key id and an algorithm that we accept."""
    try:
        found = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise refused(error) from None
    if found.get("alg") not in ALGORITHMS:
        raise Unauthenticated("The token's algorithm is not accepted.", reason="TOKEN_ALGORITHM")
    if not isinstance(found.get("kid"), str):
        raise Unauthenticated("The token names no key.", reason="TOKEN_KEY")
    return found


def decode(token: str, key: jwt.PyJWK, *, audience: str, issuer: str) -> dict[str, Any]:
    """The claims, once everything about the token holds. The key alone says which algorithm is right."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except (jwt.PyJWTError, ValueError) as error:
        raise refused(error) from None


def refused(error: Exception) -> Unauthenticated:
    """The reason for refusing a token, without any of its text."""
    reason = next((_REASONS[base] for base in type(error).__mro__ if base in _REASONS), "TOKEN_MALFORMED")
    return Unauthenticated("The token is not valid here.", reason=reason)
