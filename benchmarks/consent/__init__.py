"""Measures of the consent ledger, each a program of its own."""
