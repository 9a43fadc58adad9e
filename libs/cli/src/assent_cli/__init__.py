"""The assent command: embedded stack, demo and registered commands."""
