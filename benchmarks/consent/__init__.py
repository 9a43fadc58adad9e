"""Measures of the consent ledger, each a program of its own, and all of them: `python -m benchmarks consent --help`."""
