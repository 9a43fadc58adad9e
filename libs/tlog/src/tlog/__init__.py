"""Transparency log: RFC 6962 hashing and proofs, and the texts of C2SP that carry them. Pure: bytes in, bytes out."""

from tlog.bundles import decode_bundle, encode_bundle
from tlog.checkpoints import Checkpoint, encode_checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from tlog.compact_range import CompactRange
from tlog.errors import Code, ProofError
from tlog.hashing import EMPTY_ROOT, leaf_hash, leaf_hashes, node_hash, root_of
from tlog.notes import Note, Signature, VerifiedNote, parse_note, sign_note, verify_note
from tlog.plans import NodeId, Plan, consistency_plan, inclusion_plan
from tlog.proofs import root_from_inclusion, verify_consistency, verify_inclusion
from tlog.signatures import Ed25519Signer, Verifier
from tlog.tiles import Span, TileId, extend_tiles, node_in_tile, right_edge, tile_of, tile_path, tiles_for_size
from tlog.tlog_proof import TlogProof, encode_proof, parse_proof, verify_proof
from tlog.vkeys import COSIGNATURE, ED25519, VerifierKey, format_vkey, parse_vkey

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "EMPTY_ROOT",
    "Checkpoint",
    "Code",
    "CompactRange",
    "Ed25519Signer",
    "NodeId",
    "Note",
    "Plan",
    "ProofError",
    "Signature",
    "Span",
    "TileId",
    "TlogProof",
    "VerifiedNote",
    "Verifier",
    "VerifierKey",
    "consistency_plan",
    "decode_bundle",
    "encode_bundle",
    "encode_checkpoint",
    "encode_proof",
    "extend_tiles",
    "format_vkey",
    "inclusion_plan",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "node_in_tile",
    "parse_checkpoint",
    "parse_note",
    "parse_proof",
    "parse_vkey",
    "right_edge",
    "root_from_inclusion",
    "root_of",
    "sign_checkpoint",
    "sign_note",
    "tile_of",
    "tile_path",
    "tiles_for_size",
    "verify_checkpoint",
    "verify_consistency",
    "verify_inclusion",
    "verify_note",
    "verify_proof",
]
