"""A stored signal, and which ones a basis shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from signals_service.domain.values import Scalar


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """One detection as the store has it."""

    id: str
    revision: int
    definition: str
    version: int
    hash: str
    kind: str
    strength: int
    warrants: bool
    internal: bool
    purpose: str
    categories: tuple[str, ...]
    session: str
    subject: str
    per: Sequence[tuple[str, Scalar]]
    fields: Mapping[str, Scalar]
    count: int | None
    evidence: tuple[str, ...]
    first_at: int
    at: int
    expires_at: int
    ledger_index: int = 0
    bundle: str = ""


def shown(
    signals: Iterable[StoredSignal], allows: Callable[[str, str], bool], killed: frozenset[str]
) -> list[StoredSignal]:
    """Those whose purpose and every category are allowed and that nobody has stopped: strongest, newest, by id."""
    visible = [
        signal
        for signal in signals
        if f"signal:{signal.definition}" not in killed
        and all(allows(signal.purpose, category) for category in signal.categories)
        and signal.categories
    ]
    return sorted(visible, key=lambda signal: (-signal.strength, -signal.at, signal.id))
