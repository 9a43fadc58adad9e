"""Parsed registries, the plans made from them, and what plans say of statements: all functions of what the ledger just said.

A published registry never changes, so neither do they. Nothing here stands for a read of the ledger.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from consent_service.domain import basis, document
from consent_service.domain.basis import Evaluated, Plan
from consent_service.domain.choices import Statement
from consent_service.domain.entries import Head
from consent_service.domain.registry import EMPTY, Registry
from consent_service.ports import Publications, Published
from consent_service.profiles import shipped
from servicekit.basis import canonical
from servicekit.errors import Invalid

K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """The values used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: K, value: V) -> V:
        self._kept[key] = value
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value

    def get_or(self, key: K, make: Callable[[], V]) -> V:
        found = self.get(key)
        return self.keep(key, make()) if found is None else found


class Judged(NamedTuple):
    """What a plan says of statements, when it holds, and its two long lists as canonical JSON."""

    plan: Plan
    statements: tuple[Statement, ...]
    holds: range
    evaluated: Evaluated
    allowed: bytes
    denied: bytes

    def encode(self, body: dict[str, Any]) -> bytes:
        """The canonical bytes of a body with these lists; its other fields are short."""
        early = {name: value for name, value in body.items() if "allowed" < name < "denied"}
        late = {name: value for name, value in body.items() if name > "denied"}
        return b'{"allowed":%b,%b,"denied":%b,%b' % (
            self.allowed,
            canonical(early)[1:-1],
            self.denied,
            canonical(late)[1:],
        )


def _judge(plan: Plan, statements: tuple[Statement, ...], at_us: int) -> Judged:
    found = basis.evaluate(plan, statements, at_us)
    holds = basis.holds(plan, statements, at_us)
    return Judged(plan, statements, holds, found, canonical(found.allowed), canonical(found.denied))


def parse(published: Published) -> Registry:
    """The registry of a document; Invalid names what is wrong with it."""
    value = parse_json(published)
    return document.read(value, digest=published.digest, index=published.index, profiles=shipped())


def parse_json(published: Published) -> Any:
    """The value of a document, which must be in canonical form."""
    try:
        value = json.loads(published.document)
        same = canonical(value) == published.document
    except (ValueError, RecursionError, Invalid):
        raise Invalid(
            "The document is not JSON of the form that is needed.", field="document", reason="REGISTRY_INVALID"
        ) from None
    if not same:
        raise Invalid("The document is not in canonical form.", field="document", reason="NOT_CANONICAL")
    return value


class Registries:
    """Registries of one ledger, and plans for their channels."""

    def __init__(self) -> None:
        self._registries: _Recent[tuple[int, str], Registry] = _Recent(16)
        self._plans: _Recent[tuple[str, tuple[str, ...], str, tuple[str, ...]], Plan] = _Recent(256)
        self._judged: _Recent[tuple[int, int], Judged] = _Recent(1024)

    async def in_force(self, head: Head, source: Publications) -> Registry:
        """The registry that the head names."""
        if head.registry_index is None:
            return EMPTY
        found = self._registries.get((head.registry_index, head.registry_digest))
        return found or await self.at(head.registry_index, source)

    async def at(self, index: int | None, source: Publications) -> Registry:
        """The registry published at an index; the empty one before any was."""
        if index is None:
            return EMPTY
        published = await source.registry_at(index)
        return self._registries.get_or((index, published.digest), lambda: parse(published))

    def plan(self, registry: Registry, regimes: tuple[str, ...], channel: str, purposes: Iterable[str]) -> Plan:
        """The plan for a channel."""
        named = tuple(purposes)
        key = f"{registry.index} {registry.digest}", regimes, channel, named
        return self._plans.get_or(key, lambda: basis.plan(registry, regimes, channel, named))

    def judged(self, plan: Plan, statements: tuple[Statement, ...], at_us: int) -> Judged:
        """What the plan says of the statements at this time."""
        key = id(plan), id(statements)  # both live as long as they are kept here
        found = self._judged.get(key)
        if found is None or at_us not in found.holds:
            found = self._judged.keep(key, _judge(plan, statements, at_us))
        return found
