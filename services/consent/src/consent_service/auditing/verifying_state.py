"""Checking the proof of a state, with nothing but the log's key, and what the entries in it come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from consent_service.auditing.openings import Opening
from consent_service.auditing.state_proof import Chain, Claim, Proven, StateProof
from consent_service.domain import verdicts
from consent_service.domain.bodies import Place, class_of, read_entry
from consent_service.domain.canonical import parsed
from consent_service.domain.choices import Key, Statement
from consent_service.domain.commitments import (
    FIRST,
    link_to,
    open_commitment,
    private_commitment,
    public_commitment,
)
from consent_service.domain.entries import Entry, fold
from consent_service.domain.export import ChainLine, EntryLine
from consent_service.domain.fold import unknown
from consent_service.domain.leaf import LeafClass, parse
from consent_service.domain.registry import EMPTY, Registry
from consent_service.domain.verdicts import Verdict
from consent_service.domain.verification import ChainWalk, Refused
from consent_service.domain.words import Kind, Status
from consent_service.ports import Published
from consent_service.registries import parse as parse_registry
from consent_service.verifying import Trust
from servicekit.errors import Invalid
from tlog import Checkpoint, ProofError, leaf_hash, parse_proof, verify_proof

SEALS: Final = (Kind.SEALED, Kind.UNSEALED)
LINKS: Final = (Kind.LINKED, Kind.UNLINKED)


def verify_state(proof: StateProof, trust: Trust) -> Checkpoint:
    """The checkpoint that vouches for the claim; Refused with the first thing that does not hold."""
    checkpoint = trust.verify(proof.note)
    if proof.origin != trust.origin or checkpoint.size != proof.claim.size:
        raise Refused("CHECKPOINT", "the note is not of the size that the proof is about")
    entries = {}
    for proven in proof.entries:
        _require_included(proven, checkpoint, trust)
        if proven.opening.position in entries:
            raise Refused("INDEX", "an entry is there twice")
        entries[proven.opening.position] = _entry(proof, proven.opening)
    registry = _registry(proof)
    own = [entries[index] for index in sorted(entries) if index != proof.claim.registry]
    if recomputed(proof, own, registry) != proof.claim.verdict:
        raise Refused("VERDICT", "the entries do not come to the verdict that is claimed")
    return checkpoint


def recomputed(proof: StateProof, entries: Sequence[Entry], registry: Registry) -> Verdict:
    """The verdict that the entries come to; they are verified, but for their chains."""
    claim = proof.claim
    if any(regime not in claim.regimes for regime in registry.default_regimes):
        raise Refused("VERDICT", "a regime that always applies is left out")
    if proof.chains:
        status, statements = _followed(proof, {entry.index: entry for entry in entries})
    else:
        known = eligible(claim, entries)
        status, statements = _status(known), told(known)
    return verdicts.verdict(registry, statements, claim.key, regimes=claim.regimes, at_us=claim.as_of_us, status=status)


def deciding(entries: Iterable[Entry], key: Key) -> list[Entry]:
    """Those that a verdict about the key rests on: choices that reach it, seals, and links, by which choices come and go."""
    return [
        entry
        for entry in entries
        if entry.kind in SEALS
        or entry.kind in LINKS
        or (entry.statement is not None and entry.effective and entry.statement.reaches(key))
    ]


def told(entries: Iterable[Entry]) -> tuple[Statement, ...]:
    """What the shown entries come to: what supersedes a statement reaches wherever that does, so it is shown too."""
    state = unknown("")
    for entry in entries:
        if entry.link is not None or (entry.statement is not None and entry.effective):
            state = fold(state, entry)
    return state.statements


def _status(entries: Iterable[Entry]) -> Status:
    sealed = False
    for entry in entries:
        sealed = entry.kind is Kind.SEALED if entry.kind in SEALS else sealed
    return Status.SEALED if sealed else Status.LIVE


def eligible(claim: Claim, entries: Iterable[Entry]) -> list[Entry]:
    """Those that were known, of what had happened."""
    return [entry for entry in entries if entry.recorded_us <= claim.known_us and entry.event_us <= claim.as_of_us]


def _followed(proof: StateProof, entries: Mapping[int, Entry]) -> tuple[Status, tuple[Statement, ...]]:
    """The fold of whole histories, each the one that answers for the history before it."""
    openings = {proven.opening.position: proven.opening for proven in proof.entries}
    if sorted(index for chain in proof.chains for index in chain.indices) != sorted(entries):
        raise Refused("CHAIN", "the entries are not those of the chains")
    survivor: str | None = proof.chains[0].subject
    for chain in proof.chains:
        _require_linked(chain, openings)
        own = [entries[index] for index in chain.indices]
        if chain.subject != survivor or any(entry.subject != survivor for entry in own):
            raise Refused("CHAIN", "a history is not of the subject that answers")
        state = unknown(chain.subject)
        for entry in eligible(proof.claim, own):
            state = fold(state, entry)
        survivor = state.survivor
    if survivor is not None:
        raise Refused("CHAIN", "the history of the subject that answers is missing")
    return state.status, state.statements


def _require_linked(chain: Chain, openings: Mapping[int, Opening]) -> None:
    previous = FIRST
    for index in chain.indices:
        leaf = openings[index].leaf
        if parse(leaf).prev_commit != link_to(chain.key, previous):
            raise Refused("CHAIN", f"entry {index} does not follow the one before it")
        previous = leaf_hash(leaf)


def complete(proof: StateProof, leaves: Iterable[EntryLine]) -> None:
    """Refuse unless, by all leaves of the log in order, no entry of the chains and no later registry is left out."""
    if not proof.chains:
        raise Refused("CHAIN", "only a FULL proof shows that nothing is missing")
    walk = ChainWalk(ChainLine(chain.key, chain.indices) for chain in proof.chains)
    seen, newest = 0, None
    for entry in leaves:
        if entry.index != seen:
            raise Refused("INDEX", f"where entry {seen} should be there is entry {entry.index}")
        if seen == proof.claim.size:
            break
        leaf = parse(entry.leaf)
        if leaf.of == LeafClass.REGISTRY and leaf.recorded_us <= proof.claim.known_us:
            newest = entry.index
        walk.see(entry.index, entry.leaf, leaf_hash(entry.leaf))
        seen += 1
    if seen != proof.claim.size:
        raise Refused("INDEX", f"the log has {seen} entries, and {proof.claim.size} were signed")
    walk.finish()
    if newest != proof.claim.registry:
        raise Refused("REGISTRY", "a later registry was in force")


def _require_included(proven: Proven, checkpoint: Checkpoint, trust: Trust) -> None:
    opening = proven.opening
    try:
        if parse_proof(proven.proof).index != opening.position:
            raise Refused("INDEX", f"the proof of entry {opening.position} is of another one")
        found = verify_proof(proven.proof, leaf_hash(opening.leaf), trust.verifiers, trust.origin)
    except ProofError as error:
        raise Refused(error.code, error.text) from None
    if found != checkpoint:
        raise Refused("CHECKPOINT", f"the proof of entry {opening.position} leads to another checkpoint")


def _entry(proof: StateProof, opening: Opening) -> Entry:
    """The entry that the opened bodies say; Refused unless the leaf commits to them."""
    index = opening.position
    try:
        leaf = parse(opening.leaf)
        if opening.pub is None or leaf.ledger.hex() != proof.ledger:
            raise Refused("BODY", f"entry {index} is of another ledger, or not opened")
        _require_commitments(opening)
        entry = read_entry(Place(index, leaf.epoch, leaf.recorded_us), opening.pub, opening.priv)
    except (KeyError, TypeError, ValueError):
        raise Refused("BODY", f"a body of entry {index} is malformed") from None
    except Invalid as error:
        raise Refused("BODY", f"entry {index}: {error.text}") from None
    if class_of(entry.kind.value) != leaf.of:
        raise Refused("BODY", f"entry {index} is of another class than its leaf")
    if proof.chains and leaf.of == LeafClass.SUBJECT and opening.priv is None:
        raise Refused("BODY", f"the private body of entry {index} is missing")
    return entry


def _require_commitments(opening: Opening) -> None:
    leaf, index = parse(opening.leaf), opening.position
    pub = opening.pub or b""
    public = open_commitment(pub) if opening.salt_pub is None else public_commitment(opening.salt_pub, pub)
    if public != leaf.c_pub or (opening.salt_pub is None) is (leaf.of == LeafClass.SUBJECT):
        raise Refused("COMMITMENT", f"the public body of entry {index} is not the one committed to")
    if (opening.priv is None) is not (opening.salt_priv is None):
        raise Refused("COMMITMENT", f"the private body of entry {index} and its salt go together")
    if opening.priv is not None and private_commitment(opening.salt_priv or b"", opening.priv) != leaf.c_priv:
        raise Refused("COMMITMENT", f"the private body of entry {index} is not the one committed to")


def _registry(proof: StateProof) -> Registry:
    """The one of the entry that is claimed to be in force."""
    index = proof.claim.registry
    if index is None:
        return EMPTY
    opening = next((proven.opening for proven in proof.entries if proven.opening.position == index), None)
    if opening is None or opening.pub is None or parse(opening.leaf).of != LeafClass.REGISTRY:
        raise Refused("REGISTRY", "the registry's entry is missing")
    body = parsed(opening.pub)
    published = Published(index, parse(opening.leaf).epoch, body["note"]["digest"], body["document"].encode())
    try:
        return parse_registry(published)
    except Invalid as error:
        raise Refused("REGISTRY", error.text) from None
