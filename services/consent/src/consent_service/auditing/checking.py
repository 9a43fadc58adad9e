"""Reading what `range_check` recomputes."""

from __future__ import annotations

import asyncio
from typing import Final

from consent_service.auditing.proofs import TreeStore
from consent_service.auditing.proving import Audit
from consent_service.auditing.range_check import WIDTH, Gap, RangeCheck
from consent_service.signing.derivation import node_hash_in
from servicekit.errors import FailedPrecondition, Invalid
from tlog import CompactRange, NodeId, TileId, tile_of

LONGEST: Final = 1_000_000


async def verify_range(first: int, last: int, audit: Audit, tree: TreeStore) -> tuple[RangeCheck, int]:
    """The check of [first, last), where 0 is the end of the log; and how many signed roots it was compared with."""
    end = await audit.entries.end()
    last = last or end.size
    if not first <= last <= end.size or last - first > LONGEST:
        raise Invalid(f"A part of the log, of at most {LONGEST} entries, is checked.", field="to")
    checkpoints = await audit.entries.checkpoints(max(first, 1), last)
    signed = {found.size: [found.root] for found in checkpoints}
    if last == end.size:
        signed.setdefault(end.size, []).append(end.root)
    check = RangeCheck(end.ledger, await range_before(first, tree), signed)
    try:
        async for rows in audit.entries.between(first, last):
            subjects = check.unknown(rows)
            check.know(await audit.entries.chains_before(subjects, rows[0].index) if subjects else {}, subjects)
            keys = await audit.keys_of({row.subject for row in rows})
            await asyncio.to_thread(check.add, rows, keys)
    except Gap:
        pass
    await _tiles(check, tree)
    return check, len(checkpoints)


async def range_before(size: int, tree: TreeStore) -> CompactRange:
    """The compact range of a prefix, from tiles; whether they are right, the roots that come out say."""
    nodes, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            nodes.append(NodeId(level, start >> level))
            start += 1 << level
    tiles = await tree.tiles({tile_of(node)[0] for node in nodes})
    try:
        return CompactRange.of(size, [node_hash_in(node, tiles) for node in nodes])
    except FailedPrecondition:
        raise FailedPrecondition(
            "The tiles before the range are damaged.", reason="LOG_DAMAGED", field="from"
        ) from None


async def _tiles(check: RangeCheck, tree: TreeStore) -> None:
    """Level by level, as far as whole tiles lie inside the range."""
    level, first, hashes = 0, check.first, check.hashes
    while hashes:
        numbers = range(first // WIDTH, -(-(first + len(hashes)) // WIDTH))
        roots: list[bytes] = []
        above = -(-first // WIDTH)
        for start in range(numbers.start, numbers.stop, 64):
            some = range(start, min(start + 64, numbers.stop))
            stored = await tree.tiles([TileId(level, number) for number in some])
            low, high = max(first, some.start * WIDTH), min(first + len(hashes), some.stop * WIDTH)
            roots += check.tiles(level, hashes[low - first : high - first], low, stored)
        level, first, hashes = level + 1, above, roots
