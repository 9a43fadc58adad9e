"""Key-encryption keys as files of one folder, which nobody but us may read: for one machine, and for a bank without a KMS."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from consent_service.keys.ports import Keks
from servicekit.errors import Invalid, Unavailable

KEK_SIZE: Final = 32
_REF: Final = re.compile(r"kek-\d{6,}", re.ASCII)


class KekFolder:
    """One file per epoch, 32 bytes, mode 0600, in a folder of mode 0700. Wrapping is AES key wrap (RFC 3394).

    A KEK is read for each use and kept by nobody, so that destroying the file ends it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def create(self, epoch: int) -> str:
        """The name of this epoch's KEK. It is on disk before anybody can wrap with it."""
        ref = f"kek-{epoch:06}"
        await asyncio.to_thread(self._create, ref)
        return ref

    async def wrap(self, ref: str, keys: Sequence[bytes]) -> list[bytes]:
        """Each key wrapped."""
        kek = self._read(ref)
        return [aes_key_wrap(kek, key) for key in keys]

    async def unwrap(self, ref: str, wrapped: Sequence[bytes]) -> list[bytes]:
        """Each key again."""
        kek = self._read(ref)
        try:
            return [aes_key_unwrap(kek, key) for key in wrapped]
        except InvalidUnwrap as error:
            raise Unavailable("A key does not unwrap with its KEK.", reason="KEYS_UNAVAILABLE") from error

    async def destroy(self, ref: str) -> None:
        """Overwrite the file, and take it away."""
        await asyncio.to_thread(self._destroy, ref)

    def _path(self, ref: str) -> Path:
        if not _REF.fullmatch(ref):
            raise Invalid("That is no name of a KEK.", reason="KEK_REFUSED")
        return self._folder / ref

    def _create(self, ref: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, fresh = self._path(ref), self._folder / f".{ref}.{secrets.token_hex(4)}"
        _write(fresh, secrets.token_bytes(KEK_SIZE), os.O_CREAT | os.O_EXCL)
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # another replica was first
        finally:
            fresh.unlink()
        _sync_folder(self._folder)

    def _read(self, ref: str) -> bytes:
        path = self._path(ref)
        try:
            _require_private(self._folder, path)
            kek = path.read_bytes()
        except OSError as error:
            raise Unavailable("A KEK is not there.", reason="KEYS_UNAVAILABLE") from error
        if len(kek) != KEK_SIZE:
            raise Unavailable("A KEK has another length.", reason="KEYS_UNAVAILABLE")
        return kek

    def _destroy(self, ref: str) -> None:
        path = self._path(ref)
        if path.exists():
            _write(path, secrets.token_bytes(KEK_SIZE), 0)
            path.unlink()
            _sync_folder(self._folder)


def _require_private(folder: Path, path: Path) -> None:
    """Raise Invalid when others may read the file, or put another one in its place."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077 or stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise Invalid("A KEK is for its owner alone: mode 0600, in a folder of mode 0700.", reason="KEK_MODE")


def _write(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_: type[Keks] = KekFolder
