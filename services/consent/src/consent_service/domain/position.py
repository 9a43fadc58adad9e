"""Positions in the ledger and their 32 bytes: ledger id 16, epoch 8, index 8, big endian."""

from __future__ import annotations

from dataclasses import dataclass

from servicekit.errors import FailedPrecondition, Invalid

SIZE = 32


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in one ledger; `ledger` is 16 bytes in hex. Positions of one ledger compare as (epoch, index)."""

    ledger: str
    epoch: int
    index: int

    @property
    def token(self) -> bytes:
        """What reads accept as `min_token`."""
        return bytes.fromhex(self.ledger) + self.epoch.to_bytes(8, "big") + self.index.to_bytes(8, "big")


def read_token(token: bytes) -> Position:
    """The position that a token names; Invalid when it is no token."""
    if len(token) != SIZE:
        raise Invalid("A token has 32 bytes.", field="min_token", reason="TOKEN_MALFORMED")
    return Position(token[:16].hex(), int.from_bytes(token[16:24], "big"), int.from_bytes(token[24:], "big"))


def require(token: Position, head: Position, next_start: int | None) -> None:
    """Raise FailedPrecondition unless the head includes the token. `next_start` is where the epoch after the token's began."""
    if token.ledger != head.ledger:
        raise FailedPrecondition("The token is of another ledger.", reason="TOKEN_FOREIGN")
    if token.epoch < head.epoch and next_start is not None and token.index >= next_start:
        raise FailedPrecondition("The token is past the end of its own epoch.", reason="TOKEN_LOST")
    if (token.epoch, token.index) > (head.epoch, head.index):
        raise FailedPrecondition("The token is beyond the head.", reason="TOKEN_FUTURE")
