"""The use cases that write. Each runs in one transaction that holds the head: what was answered once is answered again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from consent_service.commands import Publish, RecordChoice, SetLink, Withdraw
from consent_service.domain import acceptance, document, entries
from consent_service.domain.acceptance import refuse_overlaps
from consent_service.domain.entries import Entry, Head, Write
from consent_service.domain.position import Position
from consent_service.domain.registry import Registry
from consent_service.domain.words import Kind
from consent_service.ports import (
    Commit,
    Ledger,
    NoticeBytes,
    Publications,
    Published,
    Request,
    Result,
    Writing,
    Written,
)
from consent_service.registries import Registries, parse
from servicekit.clock import Clock
from servicekit.errors import AlreadyExists, Invalid


@dataclass(frozen=True, slots=True)
class Draft:
    """A write that is ready to be stored; the rest of the result follows from it."""

    write: Write
    subject: str = ""
    denied: tuple[str, ...] = ()
    registry: Published | None = None
    notices: tuple[NoticeBytes, ...] = ()
    digest: str = ""


Plan = Callable[[Writing, int], Awaitable[Draft]]
"""Decides what to append, given the write in progress and the time it will be recorded at."""


async def record_choice(command: RecordChoice, *, ledger: Ledger, registries: Registries, clock: Clock) -> Result:
    """Append one entry per item, or nothing."""
    refuse_overlaps(command.screen.items)

    async def plan(writing: Writing, now_us: int) -> Draft:
        registry = await registries.in_force(writing.head, writing)
        screen = command.screen
        statements = acceptance.accept(registry, screen, first_index=writing.head.size, now_us=now_us)
        root = (await writing.lineage(command.subject))[-1]
        write = entries.record(
            writing.head, root, statements, actor=screen.actor, evidence=screen.evidence, regimes=screen.regimes
        )
        return Draft(write, root.subject)

    return await _write(command.request, plan, ledger=ledger, clock=clock)


async def withdraw_consent(command: Withdraw, *, ledger: Ledger, registries: Registries, clock: Clock) -> Result:
    """Append one withdrawal per scope, whatever the state is."""

    async def plan(writing: Writing, now_us: int) -> Draft:
        registry = await registries.in_force(writing.head, writing)
        statements = []
        for number, scope in enumerate(command.scopes):
            acceptance.known_purpose(registry, scope.purpose)
            index = writing.head.size + number
            statements.append(
                acceptance.deny(registry, Kind.WITHDRAW, scope, event_us=command.event_us, index=index, now_us=now_us)
            )
        root = (await writing.lineage(command.subject))[-1]
        write = entries.record(writing.head, root, statements, actor=command.actor)
        note = {"reason": command.reason} if command.reason else {}
        write = replace(write, entries=tuple(replace(entry, note=note) for entry in write.entries))
        return Draft(write, root.subject, denied=acceptance.denied_purposes(registry, command.scopes))

    return await _write(command.request, plan, ledger=ledger, clock=clock)


async def set_subject_link(command: SetLink, *, ledger: Ledger, registries: Registries, clock: Clock) -> Result:
    """Make or undo a link; both sides get an entry, and so does everybody above them."""

    async def plan(writing: Writing, now_us: int) -> Draft:
        above, absorbed = await writing.lineage(command.survivor), await writing.lineage(command.absorbed)
        if command.linked:
            registry = await registries.in_force(writing.head, writing)
            write = entries.link(
                writing.head, above, absorbed, registry, now_us=now_us, evidence_ref=command.evidence_ref
            )
        else:
            write = entries.unlink(
                writing.head, command.survivor, absorbed, now_us=now_us, evidence_ref=command.evidence_ref
            )
        return Draft(write, above[-1].subject)

    return await _write(command.request, plan, ledger=ledger, clock=clock)


async def publish_registry(command: Publish, *, ledger: Ledger, registries: Registries, clock: Clock) -> Result:
    """Make a document the registry in force; the one that is in force already changes nothing."""
    digest = f"sha256:{hashlib.sha256(command.document).hexdigest()}"
    parse(Published(0, 0, digest, command.document))  # before anybody waits for the head
    head = (await ledger.read("")).head
    if head.registry_digest == digest:  # whoever asks, and under whichever request id
        return Result(head.position, head.recorded_us, digest=digest)

    async def plan(writing: Writing, now_us: int) -> Draft:
        head = writing.head
        if head.registry_digest == digest:
            return Draft(Write(), digest=digest)
        published = Published(head.size, head.epoch, digest, command.document)
        registry = parse(published)
        document.refuse_change(await registries.in_force(head, writing), registry)
        await _require_notices(registry, command.notices, writing)
        write = Write(entries=(_publication(head, published, command.approvers, now_us),))
        return Draft(write, registry=published, notices=command.notices, digest=digest)

    return await _write(command.request, plan, ledger=ledger, clock=clock)


def _publication(head: Head, published: Published, approvers: Sequence[str], now_us: int) -> Entry:
    return Entry(
        index=published.index,
        epoch=head.epoch,
        kind=Kind.REGISTRY,
        recorded_us=now_us,
        event_us=now_us,
        note={"digest": published.digest, "approvers": ",".join(approvers)},
    )


async def _require_notices(registry: Registry, given: Sequence[NoticeBytes], kept: Publications) -> None:
    """Raise Invalid unless the exact bytes of every notice are given or kept, and none besides."""
    by_id = {notice.ref[:3]: notice for notice in given}
    for number, notice in enumerate(given):
        known = registry.notice(notice.ref)
        if known is None or known.ref.sha256 != notice.ref.sha256:
            raise Invalid("The bytes are not those of a notice in the document.", field=f"notices[{number}].bytes")
    for key, notice_version in (registry.notices or {}).items():
        if key not in by_id:
            known_bytes = await kept.notice(notice_version.ref)
            if known_bytes is None or known_bytes.ref.sha256 != notice_version.ref.sha256:
                raise Invalid("The bytes of a notice are missing.", field="notices", reason="NOTICE_MISSING")


async def _write(request: Request, plan: Plan, *, ledger: Ledger, clock: Clock) -> Result:
    async with ledger.writing() as writing:
        first = await writing.first_result(request.id)
        if first is not None:
            return _repeat(request, *first)
        now_us = max(clock.now_us(), writing.head.recorded_us)
        draft = await plan(writing, now_us)
        result = _result(writing.head, draft, now_us)
        await writing.commit(Commit(request, result, _signed_off(draft.write, request), draft.registry, draft.notices))
    return result


def _repeat(request: Request, content_hash: bytes, result: Result) -> Result:
    if not secrets.compare_digest(content_hash, request.content_hash):
        raise AlreadyExists("This request id was used for another request.", reason="REQUEST_ID_REUSED")
    return replace(result, replayed=True)


def _signed_off(write: Write, request: Request) -> Write:
    """The first entry names the request."""
    if not write.entries:
        return write
    first, *rest = write.entries
    return replace(write, entries=(replace(first, request_id=request.id), *rest))


def _result(head: Head, draft: Draft, now_us: int) -> Result:
    written = tuple(
        Written(entry.index, entry.kind.value, entry.effective, entry.reason) for entry in draft.write.entries
    )
    last = head.size + len(written) - 1
    return Result(
        position=Position(head.ledger, head.epoch, last),
        recorded_us=now_us,
        entries=written,
        subject=draft.subject,
        denied=draft.denied,
        digest=draft.digest,
    )
