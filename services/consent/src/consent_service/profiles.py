"""The regime profiles that ship with the service, as data. A version never changes: registries of the past are read with it.

The figures are counsel's to confirm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any


@cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """Every profile by its name, such as `gdpr.1`."""
    found = (file for file in files("consent_service").joinpath("profiles").iterdir() if file.name.endswith(".json"))
    return MappingProxyType({file.name.removesuffix(".json"): json.loads(file.read_bytes()) for file in found})
