"""Typed values of the contracts as plain Python values."""

from __future__ import annotations

from assent.catalog.v1.value_pb2 import Value

Plain = int | bool | str | frozenset[str] | None


def plain(value: Value) -> Plain:
    """The value, None when it has none; an amount without its currency, which the bundle's types state."""
    match value.WhichOneof("kind"):
        case "set":
            return frozenset(value.set.ids)
        case "money":
            return value.money.amount_minor
        case "integer":
            return value.integer
        case "boolean":
            return value.boolean
        case "text":
            return value.text
        case _:
            return None
