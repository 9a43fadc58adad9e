"""The use case that writes: one transaction that holds the head, reads what the plan needs, and stores what it says.

What was answered once is answered again.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from consent_service import planning
from consent_service.commands import Command, Publish
from consent_service.domain.entries import Head, Write
from consent_service.domain.fold import SubjectState
from consent_service.domain.position import Position
from consent_service.planning import Draft, Needs, Seen
from consent_service.ports import Commit, Ledger, Request, Result, Writing, Written
from consent_service.registries import Registries
from servicekit.clock import Clock
from servicekit.errors import AlreadyExists


async def write(command: Command, *, ledger: Ledger, registries: Registries, clock: Clock) -> Result:
    """Append what the command says, or nothing."""
    needs = planning.needs(command)  # before anybody waits for the head
    if isinstance(command, Publish):
        standing = await _in_force_already(command, ledger)
        if standing is not None:
            return standing
    request = command.request
    async with ledger.writing() as writing:
        first = await writing.first_result(request.id)
        if first is not None:
            return _repeat(request, *first)
        seen = await _see(needs, writing, registries, max(clock.now_us(), writing.head.recorded_us))
        draft = planning.plan(command, seen)
        result = _result(seen.head, draft, seen.now_us)
        await writing.commit(Commit(request, result, _signed_off(draft.write, request), draft.registry, draft.notices))
    return result


async def _in_force_already(command: Publish, ledger: Ledger) -> Result | None:
    """The answer to a publication of the registry in force, whoever asks and under whichever request id."""
    head = (await ledger.read("")).head
    digest = planning.published(command, 0, 0).digest
    return Result(head.position, head.recorded_us, digest=digest) if head.registry_digest == digest else None


async def _see(needs: Needs, writing: Writing, registries: Registries, now_us: int) -> Seen:
    states: dict[str, SubjectState] = {}
    for subject in needs.subjects:
        states |= {state.subject: state for state in await writing.lineage(subject)}
    found = {index: await writing.entry(index) for index in needs.entries if index < writing.head.size}
    kept = {ref[:3]: await writing.notice(ref) for ref in needs.notices}
    return Seen(
        head=writing.head,
        now_us=now_us,
        registry=await registries.in_force(writing.head, writing),
        states=states,
        entries={index: entry for index, entry in found.items() if entry is not None},
        notices={key: notice.ref.sha256 for key, notice in kept.items() if notice is not None},
    )


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
        display_status=draft.display_status,
        carried=draft.carried,
    )
