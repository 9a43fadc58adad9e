"""What each write appends: a function of the registry, the subjects' states, the head, the time and the command, and of nothing else.

All that has to be read is named by `needs` and read before. A writer that appends several commands together plans each on what was
`seen` after the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from consent_service.commands import Command, Erase, Note, Publish, RecordChoice, Seal, SetLink, Signal, Withdraw
from consent_service.domain import acceptance, entries, erasure, objections, publishing
from consent_service.domain.acceptance import Item, Screen
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry, Head, Lineage, Write
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.registry import NoticeId, Registry
from consent_service.domain.words import LIFT_OF, LIFTS, Kind, Status
from consent_service.ports import NoticeBytes, Published
from consent_service.registries import parse, parse_json
from servicekit.errors import Invalid

HONOURED: Final = "HONOURED"
ALREADY_HONOURED: Final = "ALREADY_HONOURED"
NOT_APPLICABLE: Final = "NOT_APPLICABLE"


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be read before a command is planned."""

    subjects: tuple[str, ...] = ()
    entries: tuple[int, ...] = ()
    notices: tuple[NoticeRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read: with each subject needed, the states of all that are above it; nobody's for one who is unknown."""

    head: Head
    now_us: int
    registry: Registry
    states: Mapping[str, SubjectState] = field(default_factory=dict)
    entries: Mapping[int, Entry] = field(default_factory=dict)
    notices: Mapping[NoticeId, str] = field(default_factory=dict)

    def lineage(self, subject: str) -> Lineage:
        """The subject first, the one that answers last."""
        found = [self.states.get(subject) or unknown(subject)]
        while found[-1].survivor is not None:
            found.append(self.states[found[-1].survivor])
        return tuple(found)

    def after(self, draft: Draft) -> Seen:
        """The same once a draft is appended: what the next command of a batch is planned on."""
        written = draft.write.entries
        head = replace(self.head, size=self.head.size + len(written), recorded_us=self.now_us) if written else self.head
        if draft.registry is not None:
            head = replace(head, registry_index=draft.registry.index, registry_digest=draft.registry.digest)
        return replace(
            self,
            head=head,
            registry=draft.in_force or self.registry,
            states={**self.states, **{state.subject: state for state in draft.write.states}},
            entries={**self.entries, **{entry.index: entry for entry in written}},
            notices={**self.notices, **{notice.ref[:3]: notice.ref.sha256 for notice in draft.notices}},
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A write that is ready to be stored; the rest of the result follows from it. `in_force` is what `registry` says."""

    write: Write
    subject: str = ""
    denied: tuple[str, ...] = ()
    registry: Published | None = None
    in_force: Registry | None = None
    notices: tuple[NoticeBytes, ...] = ()
    digest: str = ""
    display_status: str = ""
    carried: tuple[Statement, ...] = ()


def needs(command: Command) -> Needs:
    """What has to be read for the command; raises what is wrong with it whatever that turns out to be."""
    if isinstance(command, Publish):
        given = {notice.ref[:3] for notice in command.notices}
        known = parse(published(command, 0, 0)).notices or {}
        return Needs(notices=tuple(notice.ref for key, notice in known.items() if key not in given))
    if isinstance(command, SetLink):
        return Needs((command.survivor, command.absorbed))
    if isinstance(command, Seal | Erase):
        return Needs(command.subjects)
    if isinstance(command, Note):
        return Needs()
    if isinstance(command, RecordChoice):
        acceptance.refuse_overlaps(command.screen.items)
    if isinstance(command, Withdraw) and command.grant is not None:
        return Needs((command.subject,), (command.grant,))
    return Needs((command.subject,))


def plan(command: Command, seen: Seen) -> Draft:
    """What the command appends; raises why it is turned away."""
    return _PLANS[type(command)](command, seen)


def plan_choice(command: RecordChoice, seen: Seen) -> Draft:
    """One entry per item, or nothing."""
    return _chosen(command.subject, command.screen, seen)


def _chosen(subject: str, screen: Screen, seen: Seen, note: Mapping[str, str] | None = None) -> Draft:
    statements = acceptance.accept(seen.registry, screen, first_index=seen.head.size, now_us=seen.now_us)
    root = seen.lineage(subject)[-1]
    write = entries.record(
        seen.head, root, statements, actor=screen.actor, evidence=screen.evidence, regimes=screen.regimes
    )
    denials = [statement for statement in statements if statement.denial]
    denied = acceptance.denied_purposes(seen.registry, denials) if denials else ()
    return Draft(_noted(write, note or {}, screen.event_us), root.subject, denied=denied)


def _noted(write: Write, note: Mapping[str, str], claimed_us: int | None) -> Write:
    """With a note in each entry; where the time that was claimed could not be believed, the note keeps the claim."""
    if not note and claimed_us is None:
        return write

    def noted(entry: Entry) -> Entry:
        doubted = claimed_us is not None and claimed_us != entry.event_us
        return replace(entry, note={**note, **({"claimed_event_us": str(claimed_us)} if doubted else {})})

    return replace(write, entries=tuple(map(noted, write.entries)))


def plan_withdrawal(command: Withdraw, seen: Seen) -> Draft:
    """One withdrawal per scope, whatever the state is; of an erased subject nothing is kept."""
    root = seen.lineage(command.subject)[-1]
    if root.status is Status.ERASED:
        return Draft(Write(), root.subject)
    scopes = command.scopes if command.grant is None else (_granted(command, command.grant, seen),)
    items = tuple(Item(Kind.WITHDRAW, scope, at="selector") for scope in scopes)
    screen = Screen(items, actor=command.actor, event_us=command.event_us)
    return _chosen(command.subject, screen, seen, {"reason": command.reason} if command.reason else {})


def _granted(command: Withdraw, index: int, seen: Seen) -> Scope:
    """The scope of a grant of the subject or of anybody it is one with, in force or not."""
    entry = seen.entries.get(index)
    lineage = seen.lineage(command.subject)
    own = {state.subject for state in lineage} | lineage[-1].members
    if entry is None or entry.kind is not Kind.GRANT or entry.subject not in own or entry.statement is None:
        raise Invalid("No grant of the subject has this index.", field="grant", reason="GRANT_UNKNOWN")
    return entry.statement.scope


def plan_signal(command: Signal, seen: Seen) -> Draft:
    """One opt-out, or its lifting, per purpose that the signal is about and that it changes; `display_status` says how it was answered."""
    registry = seen.registry
    if command.regime and registry.regime(command.regime) is None:
        raise Invalid("The regime is not in the registry.", field="regime", reason="UNKNOWN_REGIME")
    regimes = (command.regime,) if command.regime else tuple(registry.regimes or {})
    purposes = registry.signalled(command.signal, regimes)
    root = seen.lineage(command.subject)[-1]
    kind = Kind.OPT_OUT if command.on else LIFT_OF[Kind.OPT_OUT]
    open_ = [Scope(purpose) for purpose in purposes if not _answered(root, kind, Scope(purpose))]
    if not open_:
        return Draft(Write(), root.subject, display_status=ALREADY_HONOURED if purposes else NOT_APPLICABLE)
    items = tuple(Item(kind, scope, at="signal") for scope in open_)
    screen = Screen(items, command.actor, command.evidence, event_us=command.event_us)
    note = {"signal": command.signal, "regime": command.regime, "device_ref": command.device_ref}
    kept = {name: value for name, value in note.items() if value}
    draft = _chosen(command.subject, screen, seen, {**kept, "display_status": HONOURED})
    return replace(draft, display_status=HONOURED)


def _answered(root: SubjectState, kind: Kind, scope: Scope) -> bool:
    """Whether the signal would change nothing about this scope."""
    if kind in LIFTS:
        return not objections.stands_somewhere(root.statements, LIFTS[kind], scope)
    return root.status is Status.ERASED or objections.stands_throughout(root.statements, kind, scope)


def plan_link(command: SetLink, seen: Seen) -> Draft:
    """A link made or undone; both sides get an entry, and so does everybody above them."""
    above, absorbed = seen.lineage(command.survivor), seen.lineage(command.absorbed)
    if command.linked:
        write = entries.link(
            seen.head, above, absorbed, seen.registry, now_us=seen.now_us, evidence_ref=command.evidence_ref
        )
    else:
        write = entries.unlink(
            seen.head, command.survivor, absorbed, now_us=seen.now_us, evidence_ref=command.evidence_ref
        )
    return Draft(write, above[-1].subject, carried=carried(write.entries))


def carried(written: Sequence[Entry]) -> tuple[Statement, ...]:
    """The denials that a link brings to the subject that answers."""
    last = written[-1].link if written else None
    return last.statements if last is not None else ()


def plan_seal(command: Seal, seen: Seen) -> Draft:
    """One entry for each subject."""
    states = [seen.lineage(subject)[0] for subject in command.subjects]
    write = entries.seal(seen.head, states, command.kind, now_us=seen.now_us, case=command.case)
    return Draft(write, states[-1].subject)


def plan_erasure(command: Erase, seen: Seen) -> Draft:
    """One entry for each subject, and tombstones."""
    lineages = [seen.lineage(subject) for subject in command.subjects]
    return Draft(erasure.erase(seen.head, lineages, now_us=seen.now_us, case=command.case))


def plan_note(command: Note, seen: Seen) -> Draft:
    """One entry about nobody."""
    head = seen.head
    entry = Entry(head.size, head.epoch, Kind.LEDGER, seen.now_us, seen.now_us, note=command.note)
    return Draft(Write((entry,)))


def plan_publication(command: Publish, seen: Seen) -> Draft:
    """The registry's entry; the one that is in force already changes nothing."""
    found = published(command, seen.head.size, seen.head.epoch)
    if seen.head.registry_digest == found.digest:
        return Draft(Write(), digest=found.digest)
    registry = parse(found)
    publishing.refuse_personal(parse_json(found))
    publishing.refuse_change(seen.registry, registry)
    _require_notices(registry, command.notices, seen.notices)
    entry = Entry(
        index=found.index,
        epoch=found.epoch,
        kind=Kind.REGISTRY,
        recorded_us=seen.now_us,
        event_us=seen.now_us,
        note={"digest": found.digest, "approvers": ",".join(command.approvers)},
    )
    return Draft(Write((entry,)), registry=found, in_force=registry, notices=command.notices, digest=found.digest)


def published(command: Publish, index: int, epoch: int) -> Published:
    """The command's document as published there."""
    return Published(index, epoch, f"sha256:{hashlib.sha256(command.document).hexdigest()}", command.document)


def _require_notices(registry: Registry, given: Sequence[NoticeBytes], kept: Mapping[NoticeId, str]) -> None:
    """Raise Invalid unless the exact bytes of every notice are given or kept, and none besides."""
    for number, notice in enumerate(given):
        known = registry.notice(notice.ref)
        if known is None or known.ref.sha256 != notice.ref.sha256:
            raise Invalid("The bytes are not those of a notice in the document.", field=f"notices[{number}].bytes")
    there = {**kept, **{notice.ref[:3]: notice.ref.sha256 for notice in given}}
    if any(there.get(key) != notice.ref.sha256 for key, notice in (registry.notices or {}).items()):
        raise Invalid("The bytes of a notice are missing.", field="notices", reason="NOTICE_MISSING")


_PLANS: Final[Mapping[type[Any], Callable[[Any, Seen], Draft]]] = {
    RecordChoice: plan_choice,
    Withdraw: plan_withdrawal,
    Signal: plan_signal,
    SetLink: plan_link,
    Publish: plan_publication,
    Seal: plan_seal,
    Erase: plan_erasure,
    Note: plan_note,
}
