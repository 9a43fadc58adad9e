"""Which replica of a service consumes which partition: the arithmetic. `servicekit.leases` puts it to work.

A lease names an owner and a fencing epoch that grows with each change of owner. Replicas share the partitions evenly: whoever has
more than its share gives the rest back, whoever has less takes what is free. Two replicas may for a moment both believe that they own
a partition; only one of them has the newest epoch, and the store that a fold commits to refuses the other as `Fenced`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from servicekit.errors import Conflict

PARTITIONS: Final = 64
NOBODY: Final = ""


class Fenced(Conflict):
    """A newer owner of the partition has committed: this one has lost it."""

    reason = "FENCED"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who owns a partition; `revision` is the bucket's, for changing it only as it was seen."""

    owner: str = NOBODY
    epoch: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica should do next."""

    take: tuple[int, ...]
    release: tuple[int, ...]


def partition_of(key: str) -> int:
    """The partition of a session or subject: stable for ever, the same in every process."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % PARTITIONS


def share(me: str, live: Collection[str]) -> int:
    """How many partitions are this replica's; shares differ by one at most and add up to all."""
    return len(range(sorted(live).index(me), PARTITIONS, len(live)))


def plan(leases: Mapping[int, Lease], held: Collection[int], live: Collection[str], me: str) -> Plan:
    """What `me`, which holds `held`, takes and gives back so that all replicas come to their share."""
    mine = share(me, live)
    release = tuple(sorted(held)[mine:])
    free = [partition for partition in _from_own_corner(me, live) if _is_free(leases.get(partition), live, me)]
    wanted = [partition for partition in free if partition not in held]
    return Plan(take=tuple(wanted[: max(0, mine - len(held))]), release=release)


def _from_own_corner(me: str, live: Collection[str]) -> list[int]:
    """All partitions, beginning where no other replica begins, so that few reach for the same."""
    start = sorted(live).index(me) * PARTITIONS // len(live)
    return [*range(start, PARTITIONS), *range(start)]


def _is_free(lease: Lease | None, live: Collection[str], me: str) -> bool:
    """Free is what nobody has, what a dead replica had, and what I had and lost hold of."""
    return lease is None or lease.owner in {NOBODY, me} or lease.owner not in live


def next_epoch(lease: Lease, now_ms: int) -> int:
    """Greater than every epoch before; not below the time, so that a lost bucket does not begin at the bottom again."""
    return max(lease.epoch + 1, now_ms)
