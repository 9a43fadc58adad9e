"""What the ledger means: choices and their fold, the registry, verdicts, links. Arithmetic only; times are epoch microseconds, UTC."""
