"""Changing the checkpoint key: an entry names both keys, and both sign until everybody knows the new one.

    assent ledger rotate-key --origin NAME --key OLD.pem --new NEW.pem

What verifiers hold decides how long that takes: docs/signer.md has the steps.
"""

from __future__ import annotations

from consent_service.domain.words import Kind
from servicekit.errors import Invalid
from tlog import VerifierKey, format_vkey

EVENT = "KEY_ROTATED"


def entry_of(old: VerifierKey, new: VerifierKey) -> tuple[Kind, dict[str, str]]:
    """Kind and note of the ledger's own entry about it; Invalid unless these are two keys of one log."""
    if old.name != new.name or old.type != new.type:
        raise Invalid("Both keys are of one log and of one type.", field="new")
    if old.key == new.key:
        raise Invalid("The new key is the old one.", field="new")
    return Kind.LEDGER, {"event": EVENT, "new": format_vkey(new), "old": format_vkey(old)}
