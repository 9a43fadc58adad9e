"""What the tree costs in one process: `python -m benchmarks.consent.bench_tlog`.

The proof is a tlog-proof of one leaf, text and all, verified as whoever was handed it does: parsed, hashed up, the note's signature checked.
bare is a loop of `hashlib` alone, one leaf hash and one node hash an entry, which is what a tree cannot do without. Both take turns. Target
(consent.md, section 13): 0.5 ms a proof; appending at 0.4 of bare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from statistics import median
from typing import Any

import click

from benchmarks.consent.signed_log import IDENTITY, ORIGIN, percentiles
from consent_service.domain.leaf import SIZE
from tlog import (
    Checkpoint,
    CompactRange,
    Verifier,
    encode_proof,
    extend_tiles,
    inclusion_plan,
    leaf_hash,
    leaf_hashes,
    node_in_tile,
    root_of,
    sign_checkpoint,
    tile_of,
    verify_proof,
)

BATCH = 64
"""As many leaves as a batch of the writer has under load."""


def leaves(count: int) -> list[bytes]:
    """As long as a ledger's leaf."""
    return [number.to_bytes(8, "big").rjust(SIZE, b"\1") for number in range(count)]


def bare(given: Sequence[bytes]) -> None:
    """One leaf hash and one node hash an entry."""
    node = bytes(32)
    for leaf in given:
        node = sha256(b"\x01" + node + sha256(b"\x00" + leaf).digest()).digest()


def one_by_one(given: Sequence[bytes]) -> None:
    """Each leaf appended by itself."""
    tree = CompactRange.empty()
    for leaf in given:
        tree.append(leaf_hash(leaf))


def in_batches(given: Sequence[bytes]) -> None:
    """As the writer does it, with the root after each batch."""
    tree = CompactRange.empty()
    for at in range(0, len(given), BATCH):
        tree.extend(leaf_hashes(given[at : at + BATCH])).root()


def seconds(work: Callable[[Sequence[bytes]], None], given: Sequence[bytes]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work(given)
    return time.perf_counter() - started


def appending(entries: int, rounds: int) -> dict[str, float]:
    """Each way's rate as a part of bare; the median of the rounds."""
    given = leaves(entries)
    turns = [tuple(seconds(work, given) for work in (bare, one_by_one, in_batches)) for _ in range(rounds)]
    return {
        "bare_per_s": round(entries / median(turn[0] for turn in turns)),
        "append_x_bare": round(median(turn[0] / turn[1] for turn in turns), 3),
        "batches_x_bare": round(median(turn[0] / turn[2] for turn in turns), 3),
    }


def proof_of(entries: int) -> tuple[bytes, str]:
    """The hash of a leaf, and its proof as text."""
    hashes, index = leaf_hashes(leaves(entries)), entries // 3
    tiles = extend_tiles(0, {}, hashes)
    note = sign_checkpoint(Checkpoint(ORIGIN, entries, root_of(hashes)), IDENTITY.signers)
    plan = inclusion_plan(index, entries)
    nodes = [node_in_tile(tiles[tile], span) for tile, span in map(tile_of, plan.nodes)]
    return hashes[index], encode_proof(index, plan.proof(nodes), note)


def verifying(entries: int, samples: int) -> dict[str, float]:
    """Milliseconds of a proof verified offline."""
    leaf, text = proof_of(entries)
    verifier, took = Verifier(IDENTITY.signers[0].vkey), list[float]()
    for _ in range(samples):
        started = time.perf_counter()
        verify_proof(text, leaf, verifier, ORIGIN)
        took.append((time.perf_counter() - started) * 1000)
    return percentiles(took)


def measure(entries: int, rounds: int, samples: int) -> dict[str, Any]:
    """The proof, then the tree."""
    return {"entries": entries, "verified_ms": verifying(entries, samples), **appending(entries, rounds)}


@click.command()
@click.option("--entries", default=300_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--samples", default=3000, show_default=True)
def main(entries: int, rounds: int, samples: int) -> None:
    """Measure and print."""
    for name, value in measure(entries, rounds, samples).items():
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
