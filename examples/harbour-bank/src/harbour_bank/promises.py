"""What the story tells must hold."""

from __future__ import annotations


class StoryWentWrong(Exception):
    """The suite did not do what it promises."""


def promise(kept: bool, words: str) -> None:
    """Raise StoryWentWrong unless it is kept."""
    if not kept:
        raise StoryWentWrong(f"broken: {words}")
