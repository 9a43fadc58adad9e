"""Signal definitions: what they name exists and fits, their purpose covers their needs, and they carry examples.

The deeper analysis of signals.md section 4 (state bounds, shadowed definitions, running the examples) belongs to the
automaton, which adds its findings to these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from catalog.checks.base import Context
from catalog.checks.data import covers
from catalog.definitions import MEASURES, parse_match
from catalog.expression import ExpressionInvalid
from catalog.findings import Finding
from catalog.model import SignalDefinition
from catalog.needs import match_types, matches, plain_fields, references
from catalog.source import Path
from catalog.values import INT, STRING, ValueType
from catalog.vocabulary import BANK_EVENTS, DERIVED_TYPES, SESSION_FIELDS, SESSION_TYPES

LONGEST_SESSION = 8 * 3_600_000
LONGEST_SUBJECT = 400 * 86_400_000


def check_signals(context: Context) -> Iterator[Finding]:
    """Every definition on its own, then cycles among them."""
    for index, definition in enumerate(context.bundle.signals):
        path: Path = ("signals", index)
        yield from _needs(context, definition, path)
        yield from _matches(context, definition, path)
        yield from _parts(context, definition, path)
        yield from _fields(context, definition, path)
        yield from _times(context, definition, path)
        yield from _examples(context, definition, path)
    yield from _cycles(context)


def field_types(context: Context, definition: SignalDefinition, types: tuple[str, ...]) -> Mapping[str, ValueType]:
    """The fields that a match of these types may read; all of the key's fields when it names no type."""
    fields: dict[str, ValueType] = {"session": STRING, **dict.fromkeys(MEASURES, INT)}
    if definition.key == "session":
        fields |= {name: field.type for name, field in SESSION_FIELDS.items()}
    for kind in types or tuple(BANK_EVENTS):
        if kind in BANK_EVENTS and definition.key == "subject":
            fields |= {name: field.type for name, field in BANK_EVENTS[kind].fields.items()}
        declared = context.bundle.event_types.get(kind)
        if declared:
            kinds = {"int": INT, "bool": ValueType("bool"), "token": STRING}
            fields |= {f"attr.{name}": kinds[field.type] for name, field in declared.fields.items()}
    return fields


def _needs(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    categories = set(context.bundle.needs[definition.id])
    yield from covers(context, definition.purpose, categories, definition.id, *path, "purpose")
    for category in sorted(categories & {"location", "sensitive"} - set(definition.allow)):
        message = f"{definition.id} reads {category}"
        yield context.error("ALLOW", message, f"write allow: [{category}] if that is meant", *path)


def _matches(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    known = _known_types(context, definition)
    everything = [*matches(definition), *([definition.ends_on] if definition.ends_on else [])]
    for match in everything:
        types = match_types(match)
        yield from context.all_known("event type", types, known, *path, "detect")
        if "signal" in match:
            yield from _signal(context, definition, str(match["signal"]), path)
        try:
            parse_match(match, field_types(context, definition, types))
        except ExpressionInvalid as fault:
            yield context.error(
                fault.code, f"{definition.id}: {fault.message}", "see signals.md section 3", *path, "detect"
            )


def _known_types(context: Context, definition: SignalDefinition) -> frozenset[str]:
    if definition.key == "subject":
        return frozenset(BANK_EVENTS)
    return frozenset(SESSION_TYPES).union(context.bundle.event_types, DERIVED_TYPES)


def _signal(context: Context, definition: SignalDefinition, name: str, path: Path) -> Iterator[Finding]:
    part = context.bundle.signal.get(name)
    yield from context.unknown("signal", name, context.bundle.signal, *path, "detect")
    if part and definition.key == "session" and part.key == "subject":
        message = f"{definition.id} is a session signal and reads {name}, a subject signal"
        yield context.error("KEY", message, "set key: subject, or read session signals", *path, "detect")
    if part and part.mode == "shadow" and definition.mode == "live":
        message = f"{definition.id} is live and reads {name}, a shadow"
        yield context.error("SIGNAL_HIDDEN", message, "make both live, or both shadow", *path, "detect")


def _parts(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    composite = definition.detect.composite
    if composite is None:
        return
    for name in (*composite.parts, *composite.without):
        yield from _signal(context, definition, name, path)
    if composite.any_ and composite.at_least > len(composite.any_):
        message = f"{definition.id} asks for more parts than it lists"
        yield context.error("NEVER_FIRES", message, "lower at_least", *path, "detect")


def _fields(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    types = tuple(kind for match in matches(definition) for kind in match_types(match))
    if references(definition):
        return
    known = field_types(context, definition, types)
    for name in plain_fields(definition):
        yield from context.unknown("field", name, known, *path)


def _times(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    primitive = definition.detect.primitive
    longest = LONGEST_SESSION if definition.key == "session" else LONGEST_SUBJECT
    window = max(getattr(primitive, name, None) or 0 for name in ("within", "gap", "window", "for_", "ahead"))
    if window > longest:
        message = f"{definition.id} looks further back than its state is kept"
        yield context.error("WINDOW", message, "use at most 8h for sessions, 400d for subjects", *path, "detect")
    count = definition.detect.count
    if count and count.within is not None and count.gap is not None and count.gap > count.within:
        yield context.error("WINDOW", f"{definition.id}: gap is longer than within", "shorten gap", *path, "detect")
    if count and count.gap is not None and count.apart is not None and count.apart >= count.gap:
        yield context.error("NEVER_FIRES", f"{definition.id}: apart reaches gap", "shorten apart", *path, "detect")
    if definition.cooldown >= definition.expires:
        message = f"{definition.id} ends before it may fire again"
        yield context.warning("COOLDOWN", message, "shorten cooldown, or let it live longer", *path, "cooldown")
    if definition.expires <= 0:
        yield context.error("SIZE", f"{definition.id} expires at once", "give it time", *path, "expires")


def _examples(context: Context, definition: SignalDefinition, path: Path) -> Iterator[Finding]:
    examples = definition.examples
    enough = {
        "one that fires": any(example.fires for example in examples),
        "one that does not": any(not example.fires for example in examples),
        "an edge pair": sum(example.edge for example in examples) >= 2,
    }
    for wanted, there in enough.items():
        if not there:
            message = f"{definition.id} has no example: {wanted}"
            yield context.error("EXAMPLE_MISSING", message, "add it under examples", *path, "examples")


def _cycles(context: Context) -> Iterator[Finding]:
    for index, definition in enumerate(context.bundle.signals):
        if definition.id in _reached(context, definition.id):
            yield context.error(
                "CYCLE", f"{definition.id} reads itself", "break the circle", "signals", index, "detect"
            )


def _reached(context: Context, start: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        definition = context.bundle.signal.get(waiting.pop())
        fresh = [name for name in references(definition) if name not in seen] if definition else []
        seen.update(fresh)
        waiting += fresh
    return frozenset(seen)
