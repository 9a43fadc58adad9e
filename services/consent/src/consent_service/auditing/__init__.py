"""What auditors ask of the ledger."""
