"""The arithmetic of deciding: ids, budgets, arms, tracking tokens. No I/O, no messages."""
