"""Asking the service: where it is and who asks are options of every command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click

from servicekit import grpc_client
from servicekit.errors import AssentError
from servicekit.status import translated

TIMEOUT_S: Final = 120.0
FILE: Final = click.Path(path_type=Path, dir_okay=False)
Ask = Callable[[Any], Any]


class Asked:
    """The service, as the options name it."""

    def __init__(self, server: str, token: Path, ca: Path | None) -> None:
        self._server = server
        self._token = token
        self._ca = ca

    def one(self, stub: type[Any], ask: Ask) -> Any:
        """An answer."""
        return self._run(stub, ask)

    def lines(self, stub: type[Any], ask: Ask, out: Path) -> int:
        """Write what streams to a file; how many lines there are."""

        async def write(opened: Any) -> int:
            count = 0
            with out.open("wb") as file:
                async for part in _parts(ask(opened)):
                    count += part.lines.count(b"\n")
                    file.write(part.lines)
            return count

        return int(self._run(stub, write))

    def _run(self, stub: type[Any], ask: Callable[[Any], Awaitable[Any]]) -> Any:
        async def asking() -> Any:
            token = self._token.read_text().strip()
            async with grpc_client.channel(self._server, token=lambda: token, ca=self._ca) as channel:
                with translated():
                    return await ask(stub(channel))

        try:
            return asyncio.run(asking())
        except AssentError as error:
            raise click.ClickException(f"{error.code}: {error}") from error


def _parts(call: Any) -> AsyncIterator[Any]:
    parts: AsyncIterator[Any] = call.__aiter__()
    return parts


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say where the ledger is, and who asks; the command gets an `Asked`."""

    def asked(*, server: str, token: Path, ca: Path | None, **given: Any) -> None:
        command(asked=Asked(server, token, ca), **given)

    asked.__doc__ = command.__doc__
    asked.__name__ = command.__name__
    asked.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Callable[..., None] = asked
    for option in (
        click.option("--ca", type=FILE, help="The server's CA: use TLS."),
        click.option(
            "--token-file",
            "token",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            required=True,
            help="A file with your token. Tokens are no arguments: everybody can read a command line.",
        ),
        click.option("--server", default="127.0.0.1:50053", show_default=True, metavar="HOST:PORT", help="The ledger."),
    ):
        wrapped = option(wrapped)
    return wrapped
