"""What the signer needs of the world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from consent_service.signing.derivation import Tiles
from consent_service.signing.last_signed import LastSigned
from consent_service.signing.rules import Head, Published
from tlog import TileId


class Snapshot(Protocol):
    """The log at one moment."""

    async def head(self) -> Head | None:
        """The head; None before the ledger was begun."""
        ...

    async def latest(self) -> Published | None:
        """The latest checkpoint, when there is one."""
        ...

    async def leaves(self, first: int, end: int) -> Sequence[bytes]:
        """The stored leaves [first, end) in order; Refused LEAF when one is missing."""
        ...

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """Those of these tiles that are stored."""
        ...


class Log(Protocol):
    """The ledger's database, as the role `consent_signer` sees it. Raises Unavailable while it does not answer."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Look at one moment."""
        ...

    async def head(self) -> Head | None:
        """The head now, in one statement."""
        ...

    async def publish(self, signed: LastSigned, now_us: int) -> None:
        """Insert the checkpoint unless it is there; Refused CHECKPOINT when another one of that size is."""
        ...


class Memory(Protocol):
    """The last-signed file. Raises Unavailable when its volume does not work."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep every other signer out; Unavailable SIGNER_BUSY when one is in."""
        ...

    def read(self) -> bytes | None:
        """What it holds; None when there is no file."""
        ...

    def write(self, data: bytes) -> None:
        """Replace it; on return it survives a loss of power."""
        ...

    def sync(self) -> None:
        """Make what is there survive a loss of power."""
        ...
