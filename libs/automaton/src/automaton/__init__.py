"""The signal engine: sequencing, primitives, timers, re-runs. Pure: no clock, I/O, randomness, floats or unordered iteration."""

from automaton.engine import Engine
from automaton.errors import DefinitionInvalid, NotBuiltYet
from automaton.facts import Change, Detected, Detection, Ended, Fact, Grant
from automaton.program import Program, compile_bundle
from automaton.replay import refold, run
from automaton.sequencing import Batch, Offered, Sequencer, Taken

__all__ = [
    "Batch",
    "Change",
    "DefinitionInvalid",
    "Detected",
    "Detection",
    "Ended",
    "Engine",
    "Fact",
    "Grant",
    "NotBuiltYet",
    "Offered",
    "Program",
    "Sequencer",
    "Taken",
    "compile_bundle",
    "refold",
    "run",
]
