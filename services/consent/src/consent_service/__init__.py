"""The consent service: the ledger of what a person allowed."""
