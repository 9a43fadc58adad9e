"""What a verifier says when it does not believe: a code that programs compare and a text that people read."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "BAD_INPUT",
    "BAD_SIZE",
    "BAD_INDEX",
    "BAD_PROOF_LENGTH",
    "ROOT_MISMATCH",
    "BAD_KEY",
    "BAD_NOTE",
    "BAD_SIGNATURE",
    "NO_KNOWN_SIGNATURE",
    "BAD_CHECKPOINT",
    "WRONG_ORIGIN",
    "BAD_BUNDLE",
    "QUORUM",
]
"""Every code there is. Codes are part of the interface: they are added, never renamed."""


class ProofError(Exception):
    """What was given proves nothing. The text names the part at fault and never repeats what was given."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.code} {self.text}"
