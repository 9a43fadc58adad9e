"""A folder of YAML and Fluent files becomes one bundle; every fault is a finding with its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from catalog.definitions import expand
from catalog.findings import CatalogInvalid, Finding, Position
from catalog.model import Bundle
from catalog.source import Document, Sources, read

SINGLES = frozenset({"bank", "help_first", "ranking"})
MAPS = frozenset({"sets", "event_types"})
LISTS = frozenset(
    {
        "regimes",
        "recipients",
        "purposes",
        "notices",
        "attributes",
        "features",
        "derived",
        "segments",
        "channels",
        "placements",
        "journeys",
        "signals",
        "actions",
        "rules",
        "contact_policies",
        "contact_limits",
        "packs",
        "experiments",
        "cases",
    }
)
_FIXES = {
    "extra_forbidden": "remove it, or correct its name",
    "missing": "write it",
}


@dataclass(frozen=True)
class Loaded:
    """What a folder holds: a bundle unless a finding stands in the way, and where everything was written."""

    bundle: Bundle | None
    findings: tuple[Finding, ...]
    sources: Sources

    def valid(self) -> Bundle:
        """The bundle; raises CatalogInvalid when there is none."""
        if self.bundle is None:
            raise CatalogInvalid(self.findings)
        return self.bundle


def load_bundle(folder: Path) -> Bundle:
    """The bundle of a folder; raises CatalogInvalid. Checks beyond its shape are `catalog.checks.check`."""
    return load(folder).valid()


def load(folder: Path) -> Loaded:
    """Read, merge, expand and validate a folder's files."""
    merged = _Merged()
    files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
    if not files:
        merged.find("EMPTY", "no YAML file here", "name the folder of a catalog", Position(".", 0))
    for file in files:
        name = file.relative_to(folder).as_posix()
        merged.add(read(file.read_text(encoding="utf-8"), name), name)
    merged.add_messages(folder)
    return merged.validate()


@dataclass
class _Merged:
    """The sections of all files, one after the other."""

    data: dict[str, object] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)
    findings: list[Finding] = field(default_factory=list)
    defaults: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def find(self, code: str, message: str, fix: str, position: Position) -> None:
        self.findings.append(Finding(code, "error", message, fix, position))

    def add(self, document: Document, file: str) -> None:
        self.findings += document.findings
        if not isinstance(document.data, dict):
            self.find(
                "SECTION", "a file holds named sections", "start with a key such as `actions:`", Position(file, 1)
            )
            return
        for section, value in document.data.items():
            self._add_section(section, value, document, file)

    def _add_section(self, section: str, value: object, document: Document, file: str) -> None:
        position = document.positions[(section,)]
        if section in LISTS and isinstance(value, list):
            self._add_items(section, value, document, file)
        elif section in MAPS and isinstance(value, dict):
            self._add_entries(section, value, document, file)
        elif section in SINGLES and isinstance(value, dict) and section not in self.data:
            self.data[section] = value
            self._adopt(document, (section,), (section,))
        elif section == "defaults" and isinstance(value, dict):
            self.defaults[file] = value
        else:
            known = section in LISTS | MAPS | SINGLES | {"defaults"}
            message = f"{section} is given twice or has the wrong shape" if known else f"{section} is not a section"
            self.find("SECTION", message, "libs/catalog/README.md lists the sections", position)

    def _add_items(self, section: str, value: list[object], document: Document, file: str) -> None:
        items = self.data.setdefault(section, [])
        assert isinstance(items, list)
        for index, item in enumerate(value):
            self._adopt(document, (section, index), (section, len(items)))
            defaults = self.defaults.get(file, {}) if section == "signals" else {}
            items.append({**defaults, **item} if isinstance(item, dict) else item)

    def _add_entries(self, section: str, value: dict[str, object], document: Document, file: str) -> None:
        entries = self.data.setdefault(section, {})
        assert isinstance(entries, dict)
        for key, entry in value.items():
            if key in entries:
                self.find("DUPLICATE_KEY", f"{section} {key} is given twice", "keep one", Position(file, 0))
            entries[key] = entry
            self._adopt(document, (section, key), (section, key))

    def _adopt(self, document: Document, old: tuple[str | int, ...], new: tuple[str | int, ...]) -> None:
        size = len(old)
        for path, position in document.positions.items():
            if path[:size] == old:
                self.sources.positions[new + path[size:]] = position

    def add_messages(self, folder: Path) -> None:
        texts: dict[str, list[str]] = {}
        for file in sorted((folder / "messages").glob("*/*.ftl")):
            texts.setdefault(file.parent.name, []).append(file.read_text(encoding="utf-8").rstrip() + "\n")
            name = file.relative_to(folder).as_posix()
            self.sources.positions.setdefault(("messages", file.parent.name), Position(name, 1))
        if texts:
            self.data["messages"] = {locale: "\n".join(parts) for locale, parts in texts.items()}

    def validate(self) -> Loaded:
        self.data, expansion = expand(self.data, self.sources)
        self.findings += expansion
        if self.findings:
            return Loaded(None, tuple(self.findings), self.sources)
        try:
            bundle = Bundle.model_validate(self.data)
        except ValidationError as error:
            return Loaded(None, tuple(_findings(error, self.sources)), self.sources)
        return Loaded(bundle, (), self.sources)


def _findings(error: ValidationError, sources: Sources) -> Iterable[Finding]:
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        path = tuple(fault["loc"])
        name = ".".join(str(part) for part in path)
        code = {"extra_forbidden": "UNKNOWN_FIELD", "missing": "MISSING_FIELD"}.get(fault["type"], "BAD_VALUE")
        fix = _FIXES.get(fault["type"], "correct the value")
        yield Finding(code, "error", f"{name}: {fault['msg']}", fix, sources.position(path))
