"""The proof of an entry, checked as a stranger would: with the ledger's public key and two texts, and without asking anybody."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import grpc

from assent.consent.v1 import audit_service_pb2 as audit
from assent.consent.v1 import types_pb2
from embedded.keys import Keys
from harbour_bank.clients import People
from harbour_bank.promises import StoryWentWrong, promise
from harbour_bank.report import Report
from servicekit.status import from_rpc
from tlog.answers import answer

if TYPE_CHECKING:  # the name exists in the stubs' types only
    from assent.consent.v1.audit_service_pb2_grpc import AuditServiceAsyncStub

CHECKPOINTED_S = 5.0


async def prove(entry: types_pb2.Entry, who: People, report: Report) -> None:
    """Show that the entry is in the signed log, and that nothing else passes for it."""
    sent = time.monotonic()
    proof = await _proof(entry.index, await who.auditor.audit())
    report.say(f"  under a signed checkpoint of {proof.size} entries {(time.monotonic() - sent) * 1000:.0f} ms later")
    said = _verified(proof, entry.leaf_hash, who.keys)
    promise(said == f"OK proof {entry.index} {proof.size}", "an entry that was acknowledged is proved")
    report.say(f"  $ assent tlog verify-proof    {said}")
    forged = _verified(proof, bytes([entry.leaf_hash[0] ^ 1]) + entry.leaf_hash[1:], who.keys)
    promise(forged.startswith("FAIL ROOT_MISMATCH"), "another entry is not")
    report.say(f"  with one bit of it changed    {forged}")


async def _proof(index: int, stub: AuditServiceAsyncStub) -> audit.GetProofResponse:
    """The proof, as soon as the signer has come to the entry."""
    request = audit.GetProofRequest(inclusion=audit.GetProofRequest.Inclusion(index=index))
    until = time.monotonic() + CHECKPOINTED_S
    while True:
        try:
            return await stub.GetProof(request)
        except grpc.aio.AioRpcError as error:
            if from_rpc(error).code != "NOT_YET_CHECKPOINTED" or time.monotonic() > until:
                raise StoryWentWrong(f"broken: an entry is under a checkpoint soon ({from_rpc(error).code})") from error
        await asyncio.sleep(0.05)


def _verified(proof: audit.GetProofResponse, leaf_hash: bytes, keys: Keys) -> str:
    """What `assent tlog verify-proof` prints, which reads exactly this on standard input."""
    question = {
        "bundle": proof.tlog_proof,
        "leaf_hash": leaf_hash.hex(),
        "vkeys": keys.checkpoint_keys.read_text().split(),
        "origin": keys.origin,
    }
    return answer("verify-proof", json.dumps(question).encode())
