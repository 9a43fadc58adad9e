"""The use case that writes: the ledger's one writer appends what the command says."""

from __future__ import annotations

from consent_service import planning
from consent_service.commands import Command, Publish
from consent_service.ports import Ledger, Result, Writer


async def write(command: Command, *, writer: Writer, ledger: Ledger) -> Result:
    """Append what the command says, or nothing."""
    if isinstance(command, Publish):
        planning.needs(command)
        standing = await _in_force_already(command, ledger)
        if standing is not None:
            return standing
    return await writer.append(command)


async def _in_force_already(command: Publish, ledger: Ledger) -> Result | None:
    """The answer to a publication of the registry in force, whoever asks and under whichever request id."""
    head = (await ledger.read("")).head
    digest = planning.published(command, 0, 0).digest
    return Result(head.position, head.recorded_us, digest=digest) if head.registry_digest == digest else None
