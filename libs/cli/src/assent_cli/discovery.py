"""Which services there are: entry points of the group `assent.services`, each naming a package with settings.py and __main__.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points

from servicekit.settings import ServiceSettings

SERVICES = "assent.services"


class NoSuchService(Exception):
    """A service was asked for that is not installed."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its name, its package, and the prefix and names of its settings."""

    name: str
    package: str
    prefix: str
    settings: frozenset[str]


def installed() -> dict[str, str]:
    """The package of each service that is installed."""
    return {point.name: point.value for point in entry_points(group=SERVICES)}


def is_built(package: str) -> bool:
    """Whether the package can serve: a workspace member may be there before its code is."""
    from importlib.util import find_spec  # noqa: PLC0415  only here

    return find_spec(f"{package}.settings") is not None and find_spec(f"{package}.__main__") is not None


def discover(names: Iterable[str] | None = None, packages: Mapping[str, str] | None = None) -> list[Service]:
    """The services named, or every one that is built; raises NoSuchService naming what is not there."""
    known = installed() if packages is None else dict(packages)
    wanted = sorted(name for name in known if is_built(known[name])) if names is None else list(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise NoSuchService(
            f"no such service: {', '.join(missing)}; installed are {', '.join(sorted(known)) or 'none'}"
        )
    return [describe(name, known[name]) for name in wanted]


def describe(name: str, package: str) -> Service:
    """What a service's settings say about it."""
    settings: type[ServiceSettings] = import_module(f"{package}.settings").Settings
    return Service(name, package, settings.prefix, frozenset(settings.model_fields))
