"""The command `assent`: its own commands, and those that services and libraries register as entry points `assent.commands`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points, version

import click

GROUP = "assent.commands"
OWN = {
    "up": "assent_cli.commands:up",
    "down": "assent_cli.commands:down",
    "status": "assent_cli.commands:status",
}


class Registered(click.Group):
    """A group that imports a command when it is asked for, so that `assent down` does not load every service."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own first, then what is registered, by name."""
        del ctx
        return [*OWN, *sorted(point.name for point in entry_points(group=GROUP) if point.name not in OWN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or none."""
        del ctx
        if cmd_name in OWN:
            module, _, attribute = OWN[cmd_name].partition(":")
            return _command(cmd_name, getattr(import_module(module), attribute))
        for point in entry_points(group=GROUP, name=cmd_name):
            return _command(cmd_name, point.load())
        return None


def _command(name: str, loaded: object) -> click.Command:
    if not isinstance(loaded, click.Command):
        raise click.ClickException(f"{name} is registered, but is no click command")
    return loaded


@click.group(cls=Registered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("assent-cli"), prog_name="assent")
def main() -> None:
    """Assent: personalization that can prove it was allowed to.

    \b
    Start here:
      assent up                 run the whole suite on this machine (Ctrl-C stops it)
      assent status             what runs, on which ports, and where the tokens are
      assent demo               personalize a live banking session, end to end
      assent down               stop what runs in this folder
    \b
    Each command explains itself: assent COMMAND --help
    """  # noqa: D301  click reads the backspace: keep these lines as they are
