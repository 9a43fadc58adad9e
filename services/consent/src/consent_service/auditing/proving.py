"""Proving a subject's state: what `verifying_state` checks is gathered here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from consent_service.auditing.entries_store import EntryStore
from consent_service.auditing.openings import Opening, Stored, open_entry
from consent_service.auditing.proofs import Proofs, SignedRoot
from consent_service.auditing.state_proof import Chain, Claim, Proven, StateProof
from consent_service.auditing.verifying_state import deciding, eligible, recomputed
from consent_service.domain import verdicts
from consent_service.domain.bodies import Place, read_entry
from consent_service.domain.choices import Key
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.entries import Entry, fold
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.leaf import parse
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Reason, Status
from consent_service.history import FOREVER
from consent_service.keys import SubjectKeys
from consent_service.ports import Ledger
from consent_service.registries import Registries
from servicekit.clock import Clock
from servicekit.errors import FailedPrecondition, Unavailable
from tlog import parse_checkpoint, parse_note


@dataclass(frozen=True, slots=True)
class Prove:
    """Whose state for which key, as of when, as known when, and whether every entry is shown."""

    subject: str
    key: Key
    as_of_us: int | None = None
    known_us: int | None = None
    regimes: tuple[str, ...] = ()
    full: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """What auditing reads. Without keys nothing of a subject opens."""

    ledger: Ledger
    entries: EntryStore
    proofs: Proofs
    registries: Registries
    clock: Clock
    keys: SubjectKeys | None = None

    async def keys_of(self, subjects: Iterable[str | None]) -> dict[str, SubjectKey]:
        """The keys that there still are."""
        wanted = {subject for subject in subjects if subject is not None}
        if not wanted:
            return {}
        if self.keys is None:
            raise Unavailable("The keys are not configured.", reason="KEYS_UNAVAILABLE")
        return dict((await self.keys.get(wanted)).live)

    async def opened(self, stored: Sequence[Stored], ledger: bytes, *, private: bool = False) -> list[Opening]:
        """Entries as far as their keys are there."""
        keys = await self.keys_of({each.subject for each in stored})
        return [open_entry(each, keys, ledger, private=private) for each in stored]

    async def registry_at(self, size: int, known_us: int) -> int | None:
        """The one in force among the first entries, as known at a time."""
        found = [index for index, at_us in await self.entries.registries() if index < size and at_us <= known_us]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class History:
    """All entries of a subject, opened, and what they come to."""

    subject: str
    key: SubjectKey | None
    openings: Sequence[Opening]
    entries: Sequence[Entry]
    state: SubjectState


async def prove_state(query: Prove, audit: Audit) -> StateProof:
    """The verdict for the key, and what proves it, at the latest checkpoint.

    Raises FailedPrecondition NOT_YET_CHECKPOINTED (retry in 1 s), SUBJECT_ERASED, or NEEDS_FULL where public bodies do not say enough.
    """
    if (await audit.ledger.read(query.subject)).status is Status.ERASED:
        raise FailedPrecondition("The subject's entries are erased.", reason="SUBJECT_ERASED", field="subject_id")
    end = await audit.entries.end()
    as_of_us = max(audit.clock.now_us(), end.recorded_us) if query.as_of_us is None else query.as_of_us
    claim = Claim(query.key, (), as_of_us, FOREVER if query.known_us is None else query.known_us, end.size, None, _NONE)
    histories = await _lineage(query.subject, claim, end.ledger, audit)
    index = await audit.registry_at(end.size, claim.known_us)
    registry = await audit.registries.at(index, audit.ledger)
    regimes = verdicts.applicable(registry, query.regimes)
    state = histories[-1].state
    verdict = verdicts.verdict(
        registry, state.statements, query.key, regimes=regimes, at_us=as_of_us, status=state.status
    )
    shown = _shown(histories, claim, full=query.full)
    needed = max([opening.position for opening in shown], default=-1)
    signed = await _signed(max(needed, -1 if index is None else index) + 1, audit)
    openings = [*await _registry_entry(index, audit, end.ledger), *shown]
    proof = StateProof(
        ledger=end.ledger,
        origin=origin_of(signed.note),
        claim=replace(claim, regimes=regimes, size=signed.size, registry=index, verdict=verdict),
        note=signed.note,
        entries=tuple([await _proven(opening, signed.size, audit) for opening in openings]),
        chains=tuple(_chains(histories)) if query.full else (),
    )
    own = [_entry(opening) for opening in shown]
    if not query.full and recomputed(proof, own, registry) != verdict:
        raise FailedPrecondition("Public bodies do not show this verdict.", reason="NEEDS_FULL", field="detail")
    return proof


async def prove_entries(indices: Sequence[int], audit: Audit) -> list[Proven]:
    """Entries in order, opened in public, all for one checkpoint."""
    if not indices:
        return []
    signed = await _signed(max(indices) + 1, audit)
    end = await audit.entries.end()
    openings = await audit.opened(await audit.entries.at(indices), bytes.fromhex(end.ledger))
    return [await _proven(opening, signed.size, audit) for opening in openings]


_NONE = Verdict(Reason.NO_RECORD)


def origin_of(note: bytes) -> str:
    """The log's name, as its signed notes say it."""
    return parse_checkpoint(parse_note(note).text).origin


async def _lineage(subject: str, claim: Claim, ledger: str, audit: Audit) -> list[History]:
    """The subject's history, and that of whoever answered for it, by links that were known then."""
    found = list[History]()
    following: str | None = subject
    while following is not None:
        found.append(await _history(following, claim, ledger, audit))
        following = found[-1].state.survivor
    return found


async def _history(subject: str, claim: Claim, ledger: str, audit: Audit) -> History:
    stored = await audit.entries.of(subject, claim.size)
    keys = await audit.keys_of({subject}) if stored else {}
    openings = [open_entry(each, keys, bytes.fromhex(ledger), private=True) for each in stored]
    if stored and subject not in keys:
        raise FailedPrecondition("The subject's entries are erased.", reason="SUBJECT_ERASED", field="subject_id")
    entries = [_entry(opening) for opening in openings]
    state = unknown(subject)
    for entry in eligible(claim, entries):
        state = fold(state, entry)
    return History(subject, keys.get(subject), openings, entries, state)


def _entry(opening: Opening) -> Entry:
    leaf = parse(opening.leaf)
    return read_entry(Place(opening.position, leaf.epoch, leaf.recorded_us), opening.pub or b"", opening.priv)


def _shown(histories: Sequence[History], claim: Claim, *, full: bool) -> list[Opening]:
    """All entries of all, or those that decide, without their private bodies."""
    if full:
        return [opening for history in histories for opening in history.openings]
    answering = histories[-1]
    wanted = {entry.index for entry in deciding(eligible(claim, answering.entries), claim.key)}
    return [each._replace(priv=None, salt_priv=None) for each in answering.openings if each.position in wanted]


def _chains(histories: Iterable[History]) -> Iterable[Chain]:
    for history in histories:
        key = history.key.chain if history.key is not None else b""
        yield Chain(history.subject, key, tuple(entry.index for entry in history.entries))


async def _signed(size: int, audit: Audit) -> SignedRoot:
    """The latest checkpoint, which must cover so many entries."""
    signed = await audit.proofs.checkpoint()
    return signed if signed.size >= size else await audit.proofs.checkpoint(at_least=size)


async def _registry_entry(index: int | None, audit: Audit, ledger: str) -> list[Opening]:
    if index is None:
        return []
    return await audit.opened(await audit.entries.at([index]), bytes.fromhex(ledger))


async def _proven(opening: Opening, size: int, audit: Audit) -> Proven:
    return Proven(opening, (await audit.proofs.inclusion(opening.position, size)).text)
