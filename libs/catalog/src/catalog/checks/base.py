"""What every check is given: the bundle, where it was written, and a short way to say what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from catalog.expression import Expression, ExpressionInvalid, parse
from catalog.findings import Finding, Level
from catalog.model import Bundle
from catalog.source import Path, Sources
from catalog.texts import Texts
from catalog.values import ValueType


@dataclass(frozen=True)
class Context:
    """A bundle under examination."""

    bundle: Bundle
    sources: Sources = field(default_factory=Sources)

    @cached_property
    def texts(self) -> Mapping[str, Texts]:
        """The parsed texts by locale."""
        return {locale: Texts(source) for locale, source in self.bundle.messages.items()}

    def error(self, code: str, message: str, fix: str, *path: str | int) -> Finding:
        """Something that stands in the way of a proposal."""
        return self._finding(code, "error", message, fix, path)

    def warning(self, code: str, message: str, fix: str, *path: str | int) -> Finding:
        """Something to think about."""
        return self._finding(code, "warning", message, fix, path)

    def unknown(self, what: str, name: str, known: Container[str], *path: str | int) -> Iterator[Finding]:
        """A finding when the name is not among the known ones."""
        if name not in known:
            yield self.error(
                "UNKNOWN_REFERENCE", f"{what} {name} is not declared", f"declare it, or name a {what} that is", *path
            )

    def all_known(self, what: str, names: Iterable[str], known: Container[str], *path: str | int) -> Iterator[Finding]:
        """A finding for each name that is not among the known ones."""
        for index, name in enumerate(names):
            yield from self.unknown(what, name, known, *path, index)

    def parsed(
        self, data: object, *path: str | int, types: Mapping[str, ValueType] | None = None
    ) -> tuple[Expression | None, list[Finding]]:
        """The expression, or the finding that says why there is none."""
        try:
            return parse(data, self.bundle.types if types is None else types), []
        except ExpressionInvalid as fault:
            fix = "see the operators of eligibility.md section 3"
            return None, [self.error(fault.code, fault.message, fix, *path, *fault.path)]

    def _finding(self, code: str, level: Level, message: str, fix: str, path: Path) -> Finding:
        return Finding(code, level, message, fix, self.sources.position(path))


Check = Callable[[Context], Iterator[Finding]]
