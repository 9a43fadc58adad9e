"""The example catalog for a bank in another currency."""

from __future__ import annotations

import json
from typing import Any

from catalog.digest import bundle_from_json, bundle_to_json, canonical
from catalog.model import Bundle


def in_currency(bundle: Bundle, currency: str) -> Bundle:
    """The same bundle with every amount in another currency; figures stay as they stand, in minor units."""
    return bundle_from_json(canonical(_renamed(json.loads(bundle_to_json(bundle)), bundle.bank.currency, currency)))


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {
            key: new if key == "currency" and inner == old else _renamed(inner, old, new)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    return value
