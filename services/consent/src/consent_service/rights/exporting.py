"""A person's copy (GDPR 15, 20): everything the ledger holds about them, opened, with what proves it. JSON Lines.

    {"type":"person","v":1,"ledger":hex,"subject":text,"members":[text],"at":us}
    {"type":"entry","subject":text,"index":n,"leaf":b64,"pub":text,"salt_pub":b64,"priv":text,"salt_priv":b64}
    {"type":"receipt","index":n,"body":text,"key_id":text,"signature":b64}
    {"type":"notice","id":text,"version":n,"locale":text,"sha256":hex,"bytes":b64}
    {"type":"proof","index":n,"proof":text}
    {"type":"chain","subject":text,"key":b64,"indices":[n]}

`pub` and `priv` are the canonical texts themselves; with their salts anybody can recompute the leaf's commitments, and a proof leads from
the leaf to a signed checkpoint (`assent ledger verify --bundle --leaf`). A receipt is signed anew over what was answered; a link's is not the person's. An entry that no
checkpoint covers yet has no proof. The chain key shows that nothing is missing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from consent_service import receipts
from consent_service.domain import commitments
from consent_service.domain.bodies import Place, read_entry
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import SALT_PRIV, SALT_PUB, SubjectKey
from consent_service.domain.position import Position
from consent_service.domain.words import Status
from consent_service.keys import SubjectKeys
from consent_service.ports import Ledger, NoticeBytes, Opened, Result, Snapshot, Written
from consent_service.reading import StatementKey
from consent_service.rights.ports import Own, Records
from servicekit.errors import FailedPrecondition, Unavailable
from tlog import leaf_hash

PAGE: Final = 200


class Provable(Protocol):
    """A proof as text."""

    @property
    def text(self) -> str:
        """C2SP tlog-proof."""
        ...


class Proving(Protocol):
    """Who proves that an entry is in the log."""

    async def inclusion(self, index: int, size: int = 0) -> Provable:
        """In the latest checkpoint; raises FailedPrecondition NOT_YET_CHECKPOINTED."""
        ...


@dataclass(frozen=True, slots=True)
class Copying:
    """What makes a copy."""

    ledger: Ledger
    records: Records
    keys: SubjectKeys
    proofs: Proving
    key: StatementKey

    async def person(self, subject: str) -> Snapshot:
        """Who is one person with the subject; raises FailedPrecondition SUBJECT_ERASED when nothing is left."""
        snapshot = await self.ledger.read(subject)
        if snapshot.status is Status.ERASED:
            raise FailedPrecondition("Nothing is left about the subject.", reason="SUBJECT_ERASED", field="subject_id")
        return snapshot

    async def lines(self, subject: str, snapshot: Snapshot, *, at_us: int) -> AsyncIterator[bytes]:
        """The copy, some lines at a time."""
        members = sorted(snapshot.members | {subject})
        ledger = snapshot.head.ledger
        yield line("person", v=1, ledger=ledger, subject=subject, members=members, at=at_us)
        notices: set[NoticeRef] = set()
        for member in members:
            async for some in self._member(member, snapshot, notices):
                yield some
        for ref in sorted(notices):
            found = await self.ledger.notice(ref)
            if found is not None:
                yield _notice(found)

    async def _member(self, subject: str, snapshot: Snapshot, notices: set[NoticeRef]) -> AsyncIterator[bytes]:
        indices: list[int] = []
        key: SubjectKey | None = None
        while page := await self._page(subject, indices, snapshot):
            key = key or await self._key(subject)
            opened = [_opened(own, key, bytes.fromhex(snapshot.head.ledger)) for own in page]
            notices.update(ref for each in opened for ref in _named(each))
            yield b"".join(_entry(subject, each) for each in opened)
            yield b"".join(self._receipts(opened, snapshot.head.ledger))
            for own in page:
                yield await self._proof(own.index)
            indices += [own.index for own in page]
        if key is not None:
            yield line("chain", subject=subject, key=_b64(key.chain), indices=indices)

    async def _page(self, subject: str, indices: Sequence[int], snapshot: Snapshot) -> Sequence[Own]:
        """Requests are whole: a page that ends inside of one is read up to its last entry."""
        after = indices[-1] if indices else -1
        page = await self.records.page(subject, after=after, size=snapshot.head.size, most=PAGE)
        end = _end_of_requests(page)
        if end <= (page[-1].index if page else -1):
            return page
        rest = await self.records.page(subject, after=page[-1].index, size=end + 1, most=PAGE)
        return [*page, *rest]

    async def _key(self, subject: str) -> SubjectKey:
        found = (await self.keys.get([subject])).live.get(subject)
        if found is None:
            raise Unavailable("The subject's key is not there.", reason="KEYS_UNAVAILABLE")
        return found

    def _receipts(self, page: Sequence[_Shown], ledger: str) -> Iterator[bytes]:
        by_index = {each.own.index: each for each in page}
        for each in page:
            entries = each.own.request_entries
            if entries is None:
                continue
            indices = range(each.own.index, each.own.index + entries)
            if not all(index in by_index for index in indices):
                continue  # a link's, whose other entries are somebody else's
            signed = receipts.sign(_result([by_index[index] for index in indices], ledger), self.key)
            if signed is not None:
                body, said = signed.body.decode(), _b64(signed.signature)
                yield line("receipt", index=each.own.index, body=body, key_id=signed.key_id, signature=said)

    async def _proof(self, index: int) -> bytes:
        """Nothing while no checkpoint covers it."""
        try:
            return line("proof", index=index, proof=(await self.proofs.inclusion(index)).text)
        except FailedPrecondition as refused:
            if refused.code != "NOT_YET_CHECKPOINTED":
                raise
            return b""


@dataclass(frozen=True, slots=True)
class _Shown:
    """An entry with both bodies."""

    own: Own
    salt_pub: bytes
    salt_priv: bytes
    priv: bytes


def _opened(own: Own, key: SubjectKey, ledger: bytes) -> _Shown:
    assert own.sealed is not None
    priv = commitments.unseal(key, ledger, own.event_id, own.sealed)
    return _Shown(own, key.sub(SALT_PUB, own.event_id), key.sub(SALT_PRIV, own.event_id), priv)


def _named(shown: _Shown) -> Iterator[NoticeRef]:
    """The notices whose words were shown."""
    entry = read_entry(Place(shown.own.index, shown.own.epoch, shown.own.recorded_us), shown.own.pub)
    if entry.statement is not None and entry.statement.notice is not None:
        yield entry.statement.notice


def _end_of_requests(page: Iterable[Own]) -> int:
    """The index of the last entry that belongs to a request which begins here."""
    return max((own.index + own.request_entries - 1 for own in page if own.request_entries), default=-1)


def _result(shown: Sequence[_Shown], ledger: str) -> Result:
    """What was answered to a request, as far as its receipt goes."""
    last = shown[-1].own
    return Result(
        position=Position(ledger, last.epoch, last.index),
        recorded_us=last.recorded_us,
        entries=tuple(
            Written(each.own.index, "", effective=True, leaf_hash=leaf_hash(each.own.leaf)) for each in shown
        ),
        opened=tuple(Opened(each.own.leaf, each.own.pub, each.salt_pub) for each in shown),
    )


def _entry(subject: str, shown: _Shown) -> bytes:
    own = shown.own
    opened = {"pub": own.pub.decode(), "salt_pub": _b64(shown.salt_pub)}
    sealed = {"priv": shown.priv.decode(), "salt_priv": _b64(shown.salt_priv)}
    return line("entry", subject=subject, index=own.index, leaf=_b64(own.leaf), **opened, **sealed)


def _notice(notice: NoticeBytes) -> bytes:
    said: Mapping[str, Any] = notice.ref._asdict()
    return line("notice", **said, bytes=_b64(notice.bytes))


def line(kind: str, **fields: Any) -> bytes:
    """One line with its end."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
