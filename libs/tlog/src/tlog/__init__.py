"""Transparency log: RFC 6962 hashing, proofs, checkpoints."""
