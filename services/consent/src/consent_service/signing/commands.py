"""`assent ledger vkey` and `rotate-key`: the checkpoint key, for those who keep it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assent.consent.v1 import checkpoint_key_service_pb2 as pb
from assent.consent.v1.checkpoint_key_service_pb2_grpc import CheckpointKeyServiceStub
from consent_service.asking import TIMEOUT_S, Asked
from consent_service.signing.rotation import entry_of
from servicekit.auth.identity import read_private_key
from servicekit.errors import AssentError
from tlog import Ed25519Signer, ProofError, VerifierKey, format_vkey

existing = click.Path(path_type=Path, dir_okay=False, exists=True)
origin_option = click.option("--origin", required=True, metavar="NAME", help="The log's name, which is its key's name.")
key_option = click.option("--key", required=True, type=existing, metavar="PEM", help="The checkpoint key in use.")


@click.command()
@origin_option
@key_option
def vkey(origin: str, key: Path) -> None:
    """Print the verifier key that auditors are given.

    \b
    Example:
      assent ledger vkey --origin bank.example/consent/harbour --key checkpoint.pem
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    click.echo(format_vkey(_vkey(origin, key)))


@click.command("rotate-key")
@origin_option
@key_option
@click.option(
    "--new",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PEM",
    help="Made unless it is there.",
)
@click.option(
    "--token-file",
    "token",
    type=existing,
    help="A file with an operator's token (scope consent.keys): append the entry. Without it, only say what it would be.",
)
@click.option("--server", default="127.0.0.1:50053", show_default=True, metavar="HOST:PORT", help="The ledger.")
@click.option("--ca", type=existing, help="The server's CA: use TLS.")
def rotate_key(origin: str, key: Path, new: Path, token: Path | None, server: str, ca: Path | None) -> None:
    """Make the next checkpoint key, append the entry that names both, and print what a rotation needs, as one JSON object.

    Then give auditors the new verifier key, and the signer the new file as CONSENT_SIGNER_KEY and the old one as
    CONSENT_SIGNER_RETIRING_KEY; later take the old one away. Repeating the command changes nothing.

    \b
    Example:
      assent ledger rotate-key --origin bank.example/consent/harbour --key checkpoint.pem --new checkpoint-2.pem --token-file operator.token
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    if not new.exists():
        _create(new)
    try:
        _, note = entry_of(_vkey(origin, key), _vkey(origin, new))
    except AssentError as error:
        raise click.ClickException(str(error)) from error
    said = {"entry": note, "old_vkey": note["old"], "new_vkey": note["new"]}
    click.echo(
        json.dumps(said if token is None else {**said, "index": _recorded(note, Asked(server, token, ca))}, indent=2)
    )


def _recorded(note: dict[str, str], asked: Asked) -> int:
    """The index of the entry."""
    request = pb.RecordRotationRequest(old_vkey=note["old"], new_vkey=note["new"])
    answer: pb.RecordRotationResponse = asked.one(
        CheckpointKeyServiceStub, lambda stub: stub.RecordRotation(request, timeout=TIMEOUT_S)
    )
    return answer.result.position.index


def _vkey(origin: str, path: Path) -> VerifierKey:
    try:
        return Ed25519Signer(origin, read_private_key(path)).vkey
    except (AssentError, ProofError) as error:
        raise click.ClickException(str(error)) from error


def _create(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
