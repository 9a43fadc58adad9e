"""What the commands of `assent tlog` answer: one line for the bytes of one JSON object. Pure, and never an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tlog.checkpoints import verify_checkpoint
from tlog.errors import ProofError
from tlog.hashing import leaf_hashes, root_of, same_root
from tlog.notes import verify_note
from tlog.proofs import verify_consistency, verify_inclusion
from tlog.request import Request
from tlog.signatures import Verifier
from tlog.strict import decode_base64
from tlog.tlog_proof import parse_proof, verify_proof


def answer(command: str, data: bytes) -> str:
    """`OK ...` or `FAIL CODE text`."""
    try:
        return f"OK {ANSWERS[command](Request(data))}"
    except ProofError as error:
        return f"FAIL {error}"
    except (ValueError, TypeError, RecursionError, MemoryError):
        # Not met in tests. A verifier that breaks has verified nothing, and says so in its one line.
        return "FAIL BAD_INPUT the input could not be understood"


def _inclusion(request: Request) -> str:
    leaf, index, size = request.leaf_hash(), request.integer("index"), request.integer("size")
    proof, root = request.hashes("proof"), request.hash("root")
    request.end()
    verify_inclusion(leaf, index, size, proof, root)
    return "inclusion"


def _consistency(request: Request) -> str:
    size1, root1 = request.integer("size1"), request.hash("root1")
    size2, root2 = request.integer("size2"), request.hash("root2")
    proof = request.hashes("proof")
    request.end()
    verify_consistency(size1, root1, size2, root2, proof)
    return "consistency"


def _note(request: Request) -> str:
    note = _note_bytes(request)
    vkeys, kind = request.texts("vkeys"), request.text("kind")
    if kind not in {"note", "checkpoint"}:
        raise ProofError("BAD_INPUT", "kind is neither note nor checkpoint")
    origin = request.text("origin") if kind == "checkpoint" else None
    request.end()
    verifiers = list(map(Verifier, vkeys))
    if origin is None:
        return f"note {','.join(verify_note(note, verifiers).names)}"
    checkpoint = verify_checkpoint(note, verifiers, origin)
    return f"checkpoint {checkpoint.size} {checkpoint.root.hex()}"


def _note_bytes(request: Request) -> bytes:
    if request.has("note_b64"):
        return decode_base64(request.text("note_b64"), "BAD_INPUT", "note_b64")
    return request.text("note").encode()


def _proof(request: Request) -> str:
    bundle, leaf = request.text("bundle"), request.leaf_hash()
    vkeys, origin = request.texts("vkeys"), request.text("origin")
    with_witnesses = request.has("witnesses") or request.has("quorum")
    witnesses = request.texts("witnesses") if with_witnesses else []
    quorum = request.integer("quorum") if with_witnesses else 0
    request.end()
    logs, cosigners = list(map(Verifier, vkeys)), list(map(Verifier, witnesses))
    checkpoint = verify_proof(bundle, leaf, logs, origin, cosigners, quorum)
    return f"proof {parse_proof(bundle).index} {checkpoint.size}"


def _root(request: Request) -> str:
    leaves = leaf_hashes(request.many_octets("leaves")) if request.has("leaves") else request.hashes("leaf_hashes")
    stated = request.hash("root") if request.has("root") else None
    request.end()
    root = root_of(leaves)
    if stated is not None:
        same_root(root, stated)
    return f"root {root.hex()}"


ANSWERS: Final[dict[str, Callable[[Request], str]]] = {
    "verify-inclusion": _inclusion,
    "verify-consistency": _consistency,
    "verify-note": _note,
    "verify-proof": _proof,
    "root": _root,
}
