"""Why definitions do not load."""

from __future__ import annotations


class DefinitionInvalid(ValueError):  # the catalog's faults end in Invalid too
    """A definition cannot run; `signal` names it, `code` is stable."""

    def __init__(self, signal: str, code: str, text: str) -> None:
        super().__init__(f"{signal}: {text}")
        self.signal = signal
        self.code = code


class NotBuiltYet(DefinitionInvalid):
    """A definition uses a primitive, or a form of one, that the engine does not have yet."""

    def __init__(self, signal: str, what: str) -> None:
        super().__init__(signal, "NOT_BUILT_YET", f"{what} is not built yet")
