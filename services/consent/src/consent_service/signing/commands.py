"""`assent ledger vkey` and `rotate-key`: the checkpoint key, for those who keep it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

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
def rotate_key(origin: str, key: Path, new: Path) -> None:
    """Make the next checkpoint key and print what a rotation needs, as one JSON object.

    Nothing is changed but the new file: give it to the signer as CONSENT_SIGNER_KEY, the old one as
    CONSENT_SIGNER_RETIRING_KEY, and auditors the new verifier key; then take the old one away.

    \b
    Example:
      assent ledger rotate-key --origin bank.example/consent/harbour --key checkpoint.pem --new checkpoint-2.pem
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    if not new.exists():
        _create(new)
    try:
        _, note = entry_of(_vkey(origin, key), _vkey(origin, new))
    except AssentError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"entry": note, "old_vkey": note["old"], "new_vkey": note["new"]}, indent=2))


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
