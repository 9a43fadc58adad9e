"""Changing the checkpoint key: an entry names both keys, and both sign until everybody knows the new one.

    assent ledger rotate-key --origin NAME --key OLD.pem --new NEW.pem --token-file FILE

What verifiers hold decides how long that takes: docs/signer.md has the steps.
"""

from __future__ import annotations

from consent_service.domain.words import Kind
from servicekit.errors import FailedPrecondition, Invalid
from tlog import ProofError, Verifier, VerifierKey, format_vkey, verify_checkpoint

EVENT = "KEY_ROTATED"


def entry_of(old: VerifierKey, new: VerifierKey) -> tuple[Kind, dict[str, str]]:
    """Kind and note of the ledger's own entry about it; Invalid unless these are two keys of one log."""
    if old.name != new.name or old.type != new.type:
        raise Invalid("Both keys are of one log and of one type.", field="new_vkey")
    if old.key == new.key:
        raise Invalid("The new key is the old one.", field="new_vkey")
    return Kind.LEDGER, {"event": EVENT, "new": format_vkey(new), "old": format_vkey(old)}


def require_in_use(key: VerifierKey, note: bytes) -> None:
    """Raise FailedPrecondition KEY_NOT_IN_USE unless the key has signed the note, which is the latest checkpoint's."""
    try:
        verify_checkpoint(note, [Verifier(format_vkey(key))], key.name)
    except ProofError:
        raise FailedPrecondition(
            "The old key did not sign the latest checkpoint.", reason="KEY_NOT_IN_USE", field="old_vkey"
        ) from None
