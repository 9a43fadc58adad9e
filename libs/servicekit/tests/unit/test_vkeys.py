"""Verifier keys as C2SP signed notes have them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from servicekit.errors import Invalid
from servicekit.vkeys import VerifierKey, parse_vkey, read_vkeys, verifier_key

GO = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The example key of golang.org/x/mod/sumdb/note."""


def test_the_example_of_the_go_implementation_is_read():
    key = parse_vkey(GO)

    assert (key.name, key.key_id, str(key)) == ("PeterNeumann", "PeterNeumann+c74f20a3", GO)


@given(name=st.from_regex(r"[a-z./0-9]{1,20}", fullmatch=True), raw=st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read(name, raw):
    assert parse_vkey(str(VerifierKey(name, raw))) == VerifierKey(name, raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        GO.replace("c74f20a3", "c74f20a4"),
        GO.replace("PeterNeumann", "PeterNeuman"),
        GO[:-4],
        GO.replace("+AR", "+BB"),
        GO.replace("W", "!"),
        GO.replace("PeterNeumann", ""),
    ],
)
def test_a_key_that_is_not_itself_is_refused(text):
    with pytest.raises(Invalid):
        parse_vkey(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_a_name_that_would_not_read_back_is_refused(name):
    with pytest.raises(Invalid):
        verifier_key(name, Ed25519PrivateKey.generate().public_key())


def test_a_file_holds_a_key_per_line(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# old and new\n{GO}\n\n{GO}\n")

    assert read_vkeys(file) == [parse_vkey(GO), parse_vkey(GO)]
