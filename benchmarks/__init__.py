"""Measurements of the suite, each as a ratio to its floor in the same run: `python -m benchmarks --help`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
