"""Run as a script: becomes another program that ends when its parent ends, as another user where asked.

usage: tether.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM [ARGUMENT ...]     (UID and GID -1: stay who we are)

A script and not a `preexec_fn`, because Python code between fork and exec is unsafe in a process with threads. The order matters:
Linux forgets the death signal when credentials change, and keeps it over exec. Where there is no prctl (macOS) the program starts untied.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def drop_privileges(uid: int, gid: int) -> None:
    """Become uid and gid with no other groups, for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def tie_to(parent: int, death_signal: int) -> None:
    """Ask the kernel for `death_signal` when `parent` ends; leave at once if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


def main(argv: list[str]) -> None:
    """Tie, then exec."""
    parent, death_signal, uid, gid = (int(word) for word in argv[:4])
    if uid >= 0:
        drop_privileges(uid, gid)
    tie_to(parent, death_signal)
    os.execv(argv[4], argv[4:])  # noqa: S606  no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
