"""Where servers keep their files, who may reach them, and secrets that only we may read."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import secrets
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from embedded.process import User

RELOCATED = Path("/var/lib/assent")


def unprivileged() -> User | None:
    """Whom a server that refuses root runs as: `nobody` when we are root, else None (ourselves)."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def reachable(folder: Path, user: User | None) -> bool:
    """Whether `user` may enter every folder on the way to `folder`, itself included."""
    folder = folder.resolve()
    return user is None or all(_may_enter(step, user) for step in (folder, *folder.parents))


def _may_enter(folder: Path, user: User) -> bool:
    status = folder.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == user.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def place_for(state: Path, user: User | None) -> Path:
    """`state`, or a folder of our own that `user` can reach when it cannot reach `state`. Never changes folders it did not make."""
    state.mkdir(parents=True, exist_ok=True)
    if reachable(state, user):
        return state
    return own_folder(RELOCATED / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16])


def own_folder(folder: Path, *, user: User | None = None, mode: int = 0o755) -> Path:
    """Create `folder` with exactly `mode` whatever the umask, owned by `user`; leaves one that exists as it is."""
    if folder.exists():
        return folder
    if not folder.parent.exists():
        own_folder(folder.parent)
    folder.mkdir()
    folder.chmod(mode)
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    return folder


def write_secret(path: Path, text: str, *, user: User | None = None) -> None:
    """Write `path` so that only its owner reads it, also while it is being written."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if user is not None:
        os.chown(part, user.uid, user.gid)
    part.replace(path)


def passwords(path: Path, names: Iterable[str]) -> dict[str, str]:
    """One generated password per name, kept in `path` (0600); names that are new get one, names that are known keep theirs."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in known]
    known |= {name: secrets.token_urlsafe(24) for name in missing}
    if missing:
        write_secret(path, json.dumps(known, indent=2) + "\n")
    return known


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
