"""Who calls, and what they may: tokens of outside callers and of sibling services, and the scope each method asks for."""

from servicekit.auth.caller import Caller, acting_as, caller
from servicekit.auth.identity import ServiceIdentity, ServiceTokenVerifier
from servicekit.auth.keys import FileKeys, KeySource, UrlKeys, key_source, public_jwk
from servicekit.auth.tokens import TokenVerifier

__all__ = [
    "Caller",
    "FileKeys",
    "KeySource",
    "ServiceIdentity",
    "ServiceTokenVerifier",
    "TokenVerifier",
    "UrlKeys",
    "acting_as",
    "caller",
    "key_source",
    "public_jwk",
]
