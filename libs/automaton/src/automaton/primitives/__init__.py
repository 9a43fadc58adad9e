"""The primitives of the definition language, one module each: a compiled `detect` and its state."""

from automaton.primitives.alternate import Alternate
from automaton.primitives.base import Firing, Keep, Primitive
from automaton.primitives.count import Count
from automaton.primitives.dwell import Dwell
from automaton.primitives.event import Event
from automaton.primitives.sequence import Sequence

__all__ = ["Alternate", "Count", "Dwell", "Event", "Firing", "Keep", "Primitive", "Sequence"]
