"""`assent ledger` for auditors: one command for each kind of question, asked of the service. docs/auditor.md has the questions."""

from __future__ import annotations

from typing import Final

from consent_service.auditing.commands.copies import copy, export
from consent_service.auditing.commands.lookups import events, registry, reliances, state, violations
from consent_service.auditing.commands.proofs import checkpoint, proof, prove, range_

COMMANDS: Final = (prove, state, events, registry, reliances, violations, export, range_, checkpoint, proof, copy)
