"""The view of a subject: the fields that a basis covers, remembered as they were written for as long as the same would come out.

A view is a function of the rows, the question and the time. The rows are asked for in every call, and in the same statement whether
any of them has changed since; only then is what is remembered used. So nothing is served from memory of a subject that was erased,
merged or changed meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from profile_service.catalogue import Plan
from profile_service.domain.facts import DAY_MS
from profile_service.domain.fold import Row, segment_of, union
from profile_service.domain.history import History, history
from profile_service.domain.view import Declared, View, holds, remembered, view
from profile_service.ports import Catalog, Profiles
from servicekit.basis import SignedBasis, Verifier
from servicekit.clock import Clock
from servicekit.errors import Invalid

HORIZON_DAYS: Final = 400
"""How far back a view looks; no window is longer."""
REMEMBERED: Final = 8_192
"""Subjects whose last view is remembered: some kilobytes each."""

Write = Callable[[View], bytes]
"""How a view is written: views are remembered in this form, which is smaller and ready to be sent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asks to see. `attributes` empty asks for every field; `now_ms` 0 is the service's time."""

    basis: SignedBasis | None
    subject: str
    channel: str
    attributes: Sequence[str] = ()
    bundle_digest: str = ""
    now_ms: int = 0


class Question(NamedTuple):
    """What a view is a function of, next to the subject's rows and the time."""

    plan: Plan
    attributes: tuple[str, ...]
    members: frozenset[str]
    allowed: Mapping[str, frozenset[str]]


class Shown(NamedTuple):
    """A view as it was written, when it holds, and the positions that its members were folded to."""

    question: Question
    holds: range
    positions: Mapping[str, int]
    written: bytes


class Shelf:
    """The views that were shown last, one per subject. What nobody asked for since it ran out goes when the next one comes."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._shown: OrderedDict[str, Shown] = OrderedDict()

    def get(self, subject: str, question: Question, now_ms: int) -> Shown | None:
        """The view that answers the question now, unless the subject's rows have changed."""
        shown = self._shown.get(subject)
        if shown is None or now_ms not in shown.holds or shown.question != question:
            return None
        self._shown.move_to_end(subject)
        return shown

    def keep(self, subject: str, shown: Shown, now_ms: int) -> None:
        """Remember it in place of what was shown before."""
        self._shown[subject] = shown
        self._shown.move_to_end(subject)
        while self._shown and (len(self._shown) > self._size or self._oldest().holds.stop <= now_ms):
            self._shown.popitem(last=False)

    def _oldest(self) -> Shown:
        return next(iter(self._shown.values()))

    def drop(self, subject: str) -> None:
        """Forget a subject."""
        self._shown.pop(subject, None)


async def get_view(
    asked: Asked, *, verifier: Verifier, profiles: Profiles, catalog: Catalog, shelf: Shelf, clock: Clock, write: Write
) -> tuple[bytes, int]:
    """The fields that the basis covers, written, and the position they were folded to. The basis is looked at before anything is read."""
    now_us = clock.now_us()
    basis = verifier.verify(asked.basis, now_us=now_us, subject=asked.subject, channel=asked.channel)
    plan = await catalog.plan(asked.bundle_digest)
    question = Question(plan, tuple(asked.attributes), basis.members, basis.allowed)
    now_ms = asked.now_ms or now_us // 1000
    last = shelf.get(asked.subject, question, now_ms)
    first_segment, last_segment = segment_of(now_ms - HORIZON_DAYS * DAY_MS), segment_of(now_ms)
    held = await profiles.held(asked.subject, first_segment, last_segment, seen=last.positions if last else None)
    if held is None:
        shelf.drop(asked.subject)
        return write(_made(question, history({}), now_ms)[0]), 0
    if last is None or held.rows is not None:
        made, until = _made(question, read(held.rows or {}, basis.members), now_ms)
        last = Shown(question, until, held.positions, write(made))
        shelf.keep(asked.subject, last, now_us // 1000)
    return last.written, held.position


def _made(question: Question, known: History, now_ms: int) -> tuple[View, range]:
    """The view of a history, and when it holds."""
    fields = chosen(question.plan, question.attributes)
    question.plan.prepare(known)
    made = view(fields, lambda field: remembered(field, known, now_ms), question.allowed, now_ms=now_ms)
    return made, holds(known, made, fields, now_ms)


def chosen(plan: Plan, attributes: Sequence[str]) -> list[Declared]:
    """The declared fields that are asked for, sorted by name."""
    for number, name in enumerate(attributes):
        if name not in plan.fields:
            raise Invalid(
                "The bundle declares no such field.", reason="UNKNOWN_ATTRIBUTE", field=f"attributes[{number}]"
            )
    wanted = set(attributes)
    return [field for name, field in plan.fields.items() if not wanted or name in wanted]


def read(rows: Mapping[str, Mapping[int, Row]], allowed: frozenset[str]) -> History:
    """The history of all members that the basis speaks of: what is not in it was merged after, and is left out."""
    parts = [rows[member] for member in sorted(allowed.intersection(rows))]
    if len(parts) == 1:
        return history(parts[0])
    joined: dict[int, Row] = {}
    for part in parts:
        union(joined, dict(part))
    return history(joined)
