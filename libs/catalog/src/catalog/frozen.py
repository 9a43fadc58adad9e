"""Values that nobody can change: a bundle is shared by every request of a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NoReturn, TypeVar

from pydantic import AfterValidator

K = TypeVar("K")
V = TypeVar("V")


class FrozenMap(dict[K, V]):
    """A mapping that refuses every change. It stays a dict, so that json and pydantic write it as one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a bundle is immutable")

    __setitem__ = _refuse
    __delitem__ = _refuse
    __ior__ = _refuse
    clear = _refuse
    pop = _refuse
    popitem = _refuse
    setdefault = _refuse
    update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict says "unhashable"; a frozen one is not
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenMap[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)


Frozen = Annotated[Mapping[K, V], AfterValidator(FrozenMap)]
"""A pydantic field type: a mapping, validated and then frozen."""


def freeze(value: object) -> object:
    """The same JSON value as tuples and frozen maps; no null and no fraction, as canonical JSON has neither."""
    if isinstance(value, dict):
        return FrozenMap({_key(key): freeze(part) for key, part in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(part) for part in value)
    if isinstance(value, str | int):
        return value
    raise ValueError(f"{value!r} cannot be written here: use text, whole numbers, booleans, lists and maps")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{key!r} is not text; quote it")  # noqa: TRY004  # pydantic turns ValueError into a finding
    return key


def _freeze_map(value: object) -> FrozenMap[str, object]:
    frozen = freeze(value)
    if not isinstance(frozen, FrozenMap):
        raise ValueError("a map is needed here")  # noqa: TRY004  # as above
    return frozen


Json = Annotated[object, AfterValidator(freeze)]
JsonMap = Annotated[Mapping[str, object], AfterValidator(_freeze_map)]
