"""A command that a service registers."""

import click


@click.command(short_help="Say hello.")
def greet() -> None:
    """Say hello."""
    click.echo("hello")
