"""Which services there are: entry points of the group `assent.services`, each naming a package with settings.py and __main__.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

from servicekit.provision import COMPANIONS, roles
from servicekit.settings import ServiceSettings

SERVICES = "assent.services"


class NoSuchService(Exception):
    """A service was asked for that is not installed."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process of a service: its name, its package, the prefix and names of its settings, and its role in PostgreSQL.

    `companions` are the further processes of a service; a companion has none, and nothing of its own that is migrated.
    """

    name: str
    package: str
    prefix: str
    settings: frozenset[str]
    role: str
    companions: tuple[Service, ...] = ()

    @property
    def processes(self) -> tuple[Service, ...]:
        """The service, and what runs beside it."""
        return (self, *self.companions)

    def sees(self, variable: str) -> bool:
        """Whether a variable is none of a companion's, whose prefix may begin with this one's."""
        return not any(variable.startswith(f"{companion.prefix}_") for companion in self.companions)


def installed() -> dict[str, str]:
    """The package of each service that is installed."""
    return {point.name: point.value for point in entry_points(group=SERVICES)}


def is_built(package: str) -> bool:
    """Whether the package can serve: a workspace member may be there before its code is."""
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
    beside = [found for found in COMPANIONS if found.of == name and _has(package, found.module)]
    companions = (_described(found.name, f"{package}.{found.module}", found.role) for found in beside)
    return replace(_described(name, package, roles(name)[1]), companions=tuple(companions))


def _described(name: str, package: str, role: str) -> Service:
    settings: type[ServiceSettings] = import_module(f"{package}.settings").Settings
    return Service(name, package, settings.prefix, frozenset(settings.model_fields), role)


def _has(package: str, module: str) -> bool:
    return find_spec(f"{package}.{module}") is not None
