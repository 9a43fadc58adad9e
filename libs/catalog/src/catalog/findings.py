"""What a check found, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line of a file of the catalog, relative to its folder; line 0 means the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `code` is stable; `fix` says what to write instead."""

    code: str
    level: Level
    message: str
    fix: str
    position: Position

    def as_json(self) -> dict[str, str | int]:
        """The finding as the command line prints it."""
        where: dict[str, str | int] = {"file": self.position.file, "line": self.position.line}
        return where | {"code": self.code, "level": self.level, "message": self.message, "fix": self.fix}

    def __str__(self) -> str:
        return f"{self.position}: {self.level} {self.code}: {self.message}; {self.fix}"


class CatalogInvalid(ValueError):  # named like servicekit's Invalid
    """The catalog cannot be used; `findings` says why."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))
