"""Proofs that are handed out verify offline, and nothing else does."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from signing_fakes import KEY, ORIGIN, START_US, MemoryTree, World, flipped

from assent.consent.v1 import audit_service_pb2 as pb
from consent_service.audit_rpc import AuditPorts, AuditServicer
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.proving import Audit
from servicekit.errors import FailedPrecondition, Invalid, NotFound
from tlog import (
    ProofError,
    TileId,
    Verifier,
    format_vkey,
    leaf_hash,
    leaf_hashes,
    root_of,
    verify_consistency,
    verify_proof,
)
from tlog.commands import tlog

SIZES = (3, 256, 300, 700, 1000)


class Audited(World):
    """A log that was signed at some sizes, a second apart."""

    def __init__(self):
        super().__init__()
        self.tree = MemoryTree(self.log)
        self.proofs = Proofs(self.tree)

    async def sign_at(self, *sizes):
        signer = self.signer()
        await signer.round()
        for size in sizes:
            self.rows.grow(size - len(self.rows.leaves))
            self.clock.advance(1_000_000)
            await signer.round()
        return self


@pytest.fixture(scope="module")
async def audited():
    return await Audited().sign_at(*SIZES)


@given(st.data())
async def test_every_proof_of_inclusion_verifies_offline(audited, data):
    size = data.draw(st.sampled_from((0, *SIZES)))
    index = data.draw(st.integers(0, (size or SIZES[-1]) - 1))

    proof = await audited.proofs.inclusion(index, size)

    leaf = leaf_hash(audited.rows.leaves[index])
    assert proof.leaf_hash == leaf
    assert verify_proof(proof.text, leaf, Verifier(KEY.vkey), ORIGIN).size == (size or SIZES[-1])


@given(st.integers(0, 999), st.integers(0, 10_000))
async def test_no_mutation_of_a_proof_verifies(audited, index, bit):
    proof = await audited.proofs.inclusion(index)
    hashes = list(proof.hashes)
    hashes[bit % len(hashes)] = flipped(hashes[bit % len(hashes)], bit)
    for other in (hashes, proof.hashes[:-1], [*proof.hashes, bytes(32)], proof.hashes[::-1]):
        changed = type(proof)(index, proof.leaf_hash, other, proof.signed)
        with pytest.raises(ProofError):
            verify_proof(changed.text, proof.leaf_hash, Verifier(KEY.vkey), ORIGIN)


async def test_the_command_accepts_what_was_handed_out(audited):
    proof = await audited.proofs.inclusion(123)
    question = {
        "bundle": proof.text,
        "leaf": b64encode(audited.rows.leaves[123]).decode(),
        "encoding": "base64",
        "vkeys": [format_vkey(KEY.vkey)],
        "origin": ORIGIN,
    }

    answer = CliRunner().invoke(tlog, ["verify-proof"], input=json.dumps(question))

    assert (answer.exit_code, answer.output) == (0, "OK proof 123 1000\n")


@pytest.mark.parametrize("size1", [1, 2, *SIZES])
@pytest.mark.parametrize("size2", SIZES)
async def test_what_was_signed_is_a_prefix_of_everything_signed_later(audited, size1, size2):
    if size1 > size2:
        with pytest.raises(Invalid):
            await audited.proofs.consistency(size1, size2)
        return
    proof = await audited.proofs.consistency(size1, size2)

    earlier = root_of(leaf_hashes(audited.rows.leaves[:size1]))
    verify_consistency(size1, earlier, size2, audited.rows.checkpoints[size2][0], proof.hashes)


async def test_no_proof_leads_across_a_fork(audited):
    other = await Audited().sign_at()
    other.rows.grow(100, salt=b"other")
    await other.sign_at(300, 700)

    proof = await other.proofs.consistency(300, 700)
    with pytest.raises(ProofError):
        verify_consistency(300, audited.rows.checkpoints[300][0], 700, other.rows.checkpoints[700][0], proof.hashes)


async def test_what_no_checkpoint_covers_is_to_be_asked_again():
    fresh = await Audited().sign_at(5)
    fresh.rows.grow(1)

    for asked in (
        fresh.proofs.inclusion(5),
        fresh.proofs.inclusion(1, 6),
        fresh.proofs.consistency(6),
        fresh.proofs.checkpoint(at_least=6),
        Audited().proofs.checkpoint(),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            await asked
        assert (refused.value.code, refused.value.retry_after_ms) == ("NOT_YET_CHECKPOINTED", 1000)


async def test_a_size_that_was_never_signed_has_no_proof(audited):
    for asked in (audited.proofs.inclusion(1, 301), audited.proofs.consistency(3, 301)):
        with pytest.raises(NotFound) as missing:
            await asked
        assert missing.value.code == "NO_CHECKPOINT"


async def test_checkpoints_are_found_by_size_and_by_time(audited):
    find = audited.proofs.checkpoint

    assert (await find()).size == 1000
    assert (await find(at_least=257)).size == 300
    assert (await find(at_least=256)).size == 256
    assert (await find(at_us=START_US + 2_500_000)).size == 256
    with pytest.raises(NotFound):
        await find(at_us=START_US)


async def test_a_tree_that_was_changed_gives_no_proof_until_it_is_put_right():
    changed = await Audited().sign_at(300)
    tile = TileId(0, 0)
    whole = changed.rows.tiles[tile]
    changed.rows.tiles[tile] = flipped(whole, 800)
    with pytest.raises(FailedPrecondition) as damaged:
        await changed.proofs.inclusion(4)
    assert damaged.value.code == "LOG_DAMAGED"
    changed.rows.tiles[tile] = whole

    assert (await changed.proofs.inclusion(4)).signed.size == 300


async def test_full_tiles_are_read_once():
    remembering = await Audited().sign_at(600)
    for index in (3, 4, 5):
        await remembering.proofs.inclusion(index)

    assert remembering.tree.asked.count(TileId(0, 0)) == 1


async def test_the_service_answers_with_the_proof_and_its_text(audited):
    audit = Audit(ledger=None, entries=None, proofs=audited.proofs, registries=None, clock=None)
    servicer = AuditServicer(AuditPorts(audit, tree=None, reliance=None))
    inclusion = pb.GetProofRequest(inclusion=pb.GetProofRequest.Inclusion(index=7, size=300))

    proof = await servicer.GetProof(inclusion, None)
    signed = await servicer.GetCheckpoint(pb.GetCheckpointRequest(at_least=257), None)

    assert (proof.size, proof.note) == (signed.size, signed.note)
    assert verify_proof(proof.tlog_proof, proof.leaf_hash, Verifier(KEY.vkey), ORIGIN).root == signed.root
    with pytest.raises(Invalid):
        await servicer.GetProof(pb.GetProofRequest(), None)
