"""The example bank: its catalog, synthetic customers, a channel client, and the demonstration."""

from pathlib import Path

CATALOG = Path(__file__).parents[2] / "catalog"
"""The folder of its catalog."""
