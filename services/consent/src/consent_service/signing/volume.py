"""The last-signed file on its volume: old or new, never half, and on the disk before anybody hears of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from consent_service.signing.ports import Memory
from servicekit.errors import Invalid, Unavailable

NAME: Final = "last-signed.json"
LOCK: Final = "last-signed.lock"


class Volume:
    """A folder outside the database. It must be there: a volume that is not mounted is no empty one."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Invalid("The folder of the last-signed file is not there.", reason="NO_VOLUME")
        self._folder = folder
        self.file = folder / NAME

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The kernel lets go when the holder dies, however it does."""
        with _working():
            descriptor = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> bytes | None:
        """What the file holds."""
        with _working():
            try:
                return self.file.read_bytes()
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        """A temporary file, flushed, renamed over the old one, and the folder flushed."""
        half = self.file.with_suffix(".new")
        with _working():
            with half.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.file)
            _flush(self._folder)

    def sync(self) -> None:
        """Flush file and folder."""
        with _working():
            _flush(self.file)
            _flush(self._folder)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unavailable("Another signer works on this volume.", reason="SIGNER_BUSY") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _working() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("The volume of the last-signed file does not work.", reason="VOLUME_AWAY") from error


_: type[Memory] = Volume
