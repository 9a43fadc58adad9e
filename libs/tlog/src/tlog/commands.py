"""`assent tlog`: check a proof without a service. Only the entry point imports this module; it alone needs click.

Each command reads one JSON object on standard input, prints one line and exits 0 (`OK ...`) or 1 (`FAIL CODE text`).
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from tlog.answers import answer
from tlog.request import MAX_REQUEST

# Whatever stands behind a command is answered in its one line, not with a usage text and exit code 2.
LOOSE: Final[dict[str, Any]] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": ["-h", "--help"],
}


@click.group()
def tlog() -> None:
    """Check proofs of a transparency log (RFC 6962, C2SP), offline and without a service.

    A command reads exactly one JSON object on standard input (UTF-8, at most 16 MiB), prints one line,
    `OK ...` or `FAIL CODE text`, and exits 0 or 1.

    \b
    Values:
      hash      64 hexadecimal digits, or 44 characters of base64
      integer   0 to 2^64 - 1
      bytes     a string, in the encoding that "encoding" names: hex, base64 or utf8
    \b
    Codes: BAD_INPUT BAD_SIZE BAD_INDEX BAD_PROOF_LENGTH ROOT_MISMATCH BAD_KEY BAD_NOTE BAD_SIGNATURE
      NO_KNOWN_SIGNATURE BAD_CHECKPOINT WRONG_ORIGIN BAD_BUNDLE QUORUM
    \b
    Try it:
      echo '{"leaves": ["one", "two"], "encoding": "utf8"}' | assent tlog root
    """  # noqa: D301  click reads the backspace: keep these lines as they are


@tlog.command("verify-inclusion", context_settings=LOOSE, short_help="Is this leaf at this index?")
@click.pass_context
def verify_inclusion(context: click.Context) -> None:
    """Check that a leaf is at an index of the tree with a size and a root. Prints `OK inclusion`.

    \b
    Fields: leaf_hash (hash), or leaf (bytes) and encoding; index, size (integer);
      proof (array of hash, from the leaf's sibling to the root's child); root (hash)
    \b
    Example, the second of two leaves:
      echo '{"leaf": "two", "encoding": "utf8", "index": 1, "size": 2,
             "proof": ["d0d7360ab79f58ab1e1e3fe64ad77e2ea0bc07e36b5f46ed2223edd9298df9e9"],
             "root": "4f55f619d9215235778b2b9f17d6f4915b16171214d152381293669764de722e"}' | assent tlog verify-inclusion
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    _run(context)


@tlog.command("verify-consistency", context_settings=LOOSE, short_help="Has the log only grown?")
@click.pass_context
def verify_consistency(context: click.Context) -> None:
    """Check that the tree of size1 is a prefix of the tree of size2. Prints `OK consistency`.

    \b
    Fields: size1, size2 (integer; size1 at least 1); root1, root2 (hash); proof (array of hash)
    \b
    Example, from one leaf to two:
      echo '{"size1": 1, "root1": "d0d7360ab79f58ab1e1e3fe64ad77e2ea0bc07e36b5f46ed2223edd9298df9e9", "size2": 2, "root2": "4f55f619d9215235778b2b9f17d6f4915b16171214d152381293669764de722e",
             "proof": ["ab1ab7f07c7c8fe0eff4ba6faa53c7e4412e91a599153e8aa4e01beece5b7825"]}' | assent tlog verify-consistency
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    _run(context)


@tlog.command("verify-note", context_settings=LOOSE, short_help="Who signed this note?")
@click.pass_context
def verify_note(context: click.Context) -> None:
    """Check a C2SP signed note, or the checkpoint that one states.

    Prints `OK note <names>`, in the order of the note's lines, or `OK checkpoint <size> <root>`. Lines of keys that
    are not in vkeys are ignored; one of a key that is must verify.

    \b
    Fields: note (string), or note_b64 (base64 of its bytes); vkeys (array of string);
      kind ("note" or "checkpoint"); origin (string, with kind "checkpoint" only)
    \b
    Example, a head of the Go checksum database:
      printf %s '{"note": "go.sum database tree\\n65209736\\n5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=\\n\\n— sum.golang.org Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8=\\n",
             "vkeys": ["sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"],
             "kind": "checkpoint", "origin": "go.sum database tree"}' | assent tlog verify-note
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    _run(context)


@tlog.command("verify-proof", context_settings=LOOSE, short_help="Is this entry in that signed log?")
@click.pass_context
def verify_proof(context: click.Context) -> None:
    """Check a C2SP tlog-proof: the leaf is under a checkpoint that the log has signed. Prints `OK proof <index> <size>`.

    \b
    Fields: bundle (string: the tlog-proof's text); leaf_hash (hash), or leaf (bytes) and encoding;
      vkeys (array of string: the log's key, or those of a rotation); origin (string);
      optional together: witnesses (array of string: vkeys of type 0x04) and quorum (integer)
    \b
    Example, a receipt and the entry it is about:
      printf %s '{"bundle": "c2sp.org/tlog-proof@v1\\nindex 1\\n0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=\\n\\nbank.example/consent/main\\n2\\nT1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=\\n\\n— bank.example/consent/main Pnei2m+fmy5rdKFp6rozikpaZki5TjcdTuGiSKhY/wiIgLXa+EjEwV0No70vjilIj61qr2xAbnyGTqxewBCnE9bnNAk=\\n",
             "leaf": "two", "encoding": "utf8", "origin": "bank.example/consent/main",
             "vkeys": ["bank.example/consent/main+3e77a2da+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"]}' | assent tlog verify-proof
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    _run(context)


@tlog.command("root", context_settings=LOOSE, short_help="What is the root of these leaves?")
@click.pass_context
def root(context: click.Context) -> None:
    """Compute the root of a tree from all of its leaves. Prints `OK root <root>`.

    \b
    Fields: leaf_hashes (array of hash), or leaves (array of bytes) and encoding;
      optional: root (hash to compare with; another one is ROOT_MISMATCH)
    \b
    Example:
      echo '{"leaves": ["one", "two"], "encoding": "utf8"}' | assent tlog root
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    _run(context)


def _run(context: click.Context) -> None:
    line = _answer(context)
    told = _print(f"{line}\n".encode())
    context.exit(0 if told and line.startswith("OK ") else 1)


def _print(line: bytes) -> bool:
    """Whether it could be printed: bytes, for a terminal's encoding may lack the letters of a name."""
    try:
        stdout = getattr(
            sys.stdout.buffer, "raw", sys.stdout.buffer
        )  # what is buffered would be tried again on leaving
        while line:
            line = line[stdout.write(line) :]
    except (OSError, AttributeError):  # a full disk, a reader that left; no sys.stdout when the caller has closed it
        return False
    return True


def _answer(context: click.Context) -> str:
    assert context.info_name is not None
    if context.args:
        return "FAIL BAD_INPUT the command takes no arguments: the object comes on standard input"
    try:
        data = sys.stdin.buffer.read(MAX_REQUEST + 1)
    except (OSError, AttributeError):  # there is no sys.stdin when the caller has closed it
        return "FAIL BAD_INPUT standard input cannot be read"
    return answer(context.info_name, data)
