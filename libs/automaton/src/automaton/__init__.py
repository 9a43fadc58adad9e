"""The signal engine: sequencing, primitives, timers, re-runs."""
