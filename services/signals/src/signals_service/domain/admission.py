"""Which events are taken: form first, then consent. No field takes free text, and names are told, never values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from catalog.model import Bundle
from catalog.vocabulary import DERIVED_TYPES, SESSION_FIELDS, SESSION_TYPES
from servicekit.errors import Invalid
from signals_service.domain.events import Batch, Event, Limits, Status, Verdict, Vocabulary
from signals_service.domain.values import EVENT_ID, SESSION, UUID, Scalar, is_sensitive, is_token

LARGEST: Final = 86_400_000
"""No count, coordinate or duration of a session is larger: a day in milliseconds."""
LOSS: Final = ("from_seq", "to_seq")
BUCKETS: Final = ("0", "1-4", "5-16", "17+")
MAX_ATTRIBUTES: Final = 16


def vocabulary(bundle: Bundle) -> Vocabulary:
    """The types that a client may send: the contract's and the bundle's."""
    types: dict[str, str] = {name: category for name, category in SESSION_TYPES.items() if name not in DERIVED_TYPES}
    types |= {name: declared.category for name, declared in bundle.event_types.items()}
    attributes = {
        name: {field: (one.type, one.category) for field, one in declared.fields.items()}
        for name, declared in bundle.event_types.items()
    }
    return Vocabulary(types, attributes)


def check_batch(batch: Batch, limits: Limits) -> None:
    """Raise Invalid unless the batch as a whole may be looked at."""
    problems = (
        ("batch_id", not EVENT_ID.fullmatch(batch.batch_id)),
        ("session", not SESSION.fullmatch(batch.session) or is_card(batch.session)),
        ("visitor", not batch.subject_id and not SESSION.fullmatch(batch.visitor)),
        ("visitor", bool(batch.visitor) and (not SESSION.fullmatch(batch.visitor) or is_card(batch.visitor))),
        ("subject_id", bool(batch.subject_id) and not UUID.fullmatch(batch.subject_id)),
        ("channel", not is_token(batch.channel) or is_sensitive(batch.channel)),
        ("app", bool(batch.app) and (not is_token(batch.app) or is_sensitive(batch.app))),
        (
            "app_version",
            bool(batch.app_version) and (not is_token(batch.app_version) or is_sensitive(batch.app_version)),
        ),
        ("sent_at_ms", not 0 < batch.sent_at_ms < 1 << 48),
        ("events", not 0 < len(batch.events) <= limits.batch_events),
    )
    for field, wrong in problems:
        if wrong:
            raise Invalid("It is missing, or not of the form that the contract gives.", field=field, reason="BAD_BATCH")
    if batch.size > limits.batch_bytes:
        raise Invalid("The batch is too large.", field="events", reason="BATCH_TOO_LARGE")


def is_card(text: str) -> bool:
    """Whether a name is nothing but a number that passes for a card's."""
    return not any(char.isalpha() for char in text) and is_sensitive(text)


def judge(event: Event, batch: Batch, words: Vocabulary, limits: Limits) -> Verdict:
    """What becomes of the event by its form."""
    refusal = _refusal(event, batch, words, limits)
    if refusal is not None:
        return Verdict(event.seq, *refusal)
    kept, removed = _attributes(event, words.attributes.get(event.type, {}))
    status = Status.ACCEPTED_REDACTED if removed else Status.ACCEPTED
    return Verdict(event.seq, status, removed, replace(event, attributes=kept))


def _refusal(event: Event, batch: Batch, words: Vocabulary, limits: Limits) -> tuple[Status, tuple[str, ...]] | None:
    if event.size > limits.event_bytes:
        return Status.TOO_LARGE, ()
    if event.type not in words.types:
        return Status.UNKNOWN_TYPE, ("type",)
    if event.occurred_at_ms < batch.sent_at_ms - limits.event_age_ms:
        return Status.TOO_OLD, ("occurred_at_ms",)
    sensitive = tuple(name for name, value in event.fields.items() if name != "of" and _is_sensitive(value))
    if sensitive:
        return Status.SENSITIVE_VALUE, sensitive
    bad = tuple(_bad_fields(event, batch, limits))
    return (Status.BAD_FIELD, bad) if bad else None


def _is_sensitive(value: Scalar) -> bool:
    return not isinstance(value, bool) and is_sensitive(value)


def _bad_fields(event: Event, batch: Batch, limits: Limits) -> list[str]:
    bad = [name for name, value in event.fields.items() if not _fits(name, value)]
    if not EVENT_ID.fullmatch(event.id):
        bad.append("id")
    if event.occurred_at_ms > batch.sent_at_ms + limits.event_age_ms:
        bad.append("occurred_at_ms")
    if len(event.attributes) > MAX_ATTRIBUTES:
        bad.append("attributes")
    return bad


def _fits(name: str, value: Scalar) -> bool:
    if name in LOSS:
        return isinstance(value, int) and value >= 0
    if name == "length_bucket":
        return value in BUCKETS
    if name == "of":
        return isinstance(value, str) and EVENT_ID.fullmatch(value) is not None
    declared = SESSION_FIELDS[name].type
    if isinstance(value, bool):
        return declared.kind == "bool"
    if isinstance(value, int):
        return declared.numeric and -LARGEST <= value <= LARGEST
    return is_token(value) and (not declared.values or value in declared.values)


def _attributes(
    event: Event, declared: Mapping[str, tuple[str, str]]
) -> tuple[tuple[tuple[str, Scalar], ...], tuple[str, ...]]:
    """What may stay, and the names of what may not; a name that nobody declared is told by its place."""
    kept: list[tuple[str, Scalar]] = []
    removed: list[str] = []
    for place, (name, value) in enumerate(event.attributes):
        if name not in declared:
            removed.append(f"attributes[{place}]")
        elif value is None or not _attribute_fits(value, declared[name][0]):
            removed.append(name)
        else:
            kept.append((name, value))
    return tuple(kept), tuple(removed)


def _attribute_fits(value: Scalar, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if is_sensitive(value):
        return False
    if isinstance(value, int):
        return kind == "int" and -(1 << 53) < value < 1 << 53
    return kind == "token" and is_token(value)


def gate(verdict: Verdict, words: Vocabulary, categories: frozenset[str]) -> Verdict:
    """The verdict under consent: the type's category must be granted, fields of other categories are removed."""
    event = verdict.event
    if event is None:
        return verdict
    if words.types[event.type] not in categories:
        return Verdict(verdict.seq, Status.NOT_ALLOWED)
    declared = words.attributes.get(event.type, {})
    fields = {name: value for name, value in event.fields.items() if _category(name) in categories}
    attributes = tuple((name, value) for name, value in event.attributes if declared[name][1] in categories)
    return replace(verdict, event=replace(event, fields=fields, attributes=attributes))


def _category(name: str) -> str:
    return "interaction" if name in LOSS else SESSION_FIELDS[name].category
