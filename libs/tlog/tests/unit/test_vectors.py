"""What others have published: the trees of the Certificate Transparency tests, keys and notes of Go and of C2SP, live logs."""

from __future__ import annotations

from base64 import b64decode

import pytest
from tlog_building import refused

from tlog import (
    EMPTY_ROOT,
    CompactRange,
    Ed25519Signer,
    Verifier,
    consistency_plan,
    encode_checkpoint,
    format_vkey,
    inclusion_plan,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    root_of,
    sign_note,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_note,
)

# github.com/transparency-dev/merkle, proof/verify_test.go, which has them from Certificate Transparency
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_1 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
LEAF_2 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_5 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEAF_7 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
NODE_1_2, NODE_3_4 = ROOTS[2], "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_5_6 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_7_8 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_1_4, NODE_5_8 = ROOTS[4], "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSIONS = [  # index, size, path
    (0, 8, [LEAF_2, NODE_3_4, NODE_5_8]),
    (5, 8, [LEAF_5, NODE_7_8, NODE_1_4]),
    (2, 3, [NODE_1_2]),
    (1, 5, [LEAF_1, NODE_3_4, LEAF_5]),
]
CONSISTENCIES = [
    (1, 1, []),
    (1, 8, [LEAF_2, NODE_3_4, NODE_5_8]),
    (6, 8, [NODE_5_6, NODE_7_8, NODE_1_4]),
    (2, 5, [NODE_3_4, LEAF_5]),
    (6, 7, [NODE_5_6, LEAF_7, NODE_1_4]),
]
HASHES = [leaf_hash(bytes.fromhex(data)) for data in INPUTS]


def raw(hashes):
    return [bytes.fromhex(each) for each in hashes]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_certificate_transparency(size):
    kept = CompactRange.empty()
    for each in HASHES[:size]:
        kept.append(each)

    assert root_of(HASHES[:size]).hex() == ROOTS[size]
    assert kept.root().hex() == ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing():
    assert EMPTY_ROOT.hex() == ROOTS[0]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSIONS)
def test_the_inclusion_proofs_of_certificate_transparency(index, size, proof):
    verify_inclusion(HASHES[index], index, size, raw(proof), bytes.fromhex(ROOTS[size]))

    plan = inclusion_plan(index, size)
    assert plan.proof([nodes_of_eight()[node] for node in plan.nodes]) == raw(proof)


@pytest.mark.parametrize(("size1", "size2", "proof"), CONSISTENCIES)
def test_the_consistency_proofs_of_certificate_transparency(size1, size2, proof):
    root1, root2 = raw([ROOTS[size1], ROOTS[size2]])
    verify_consistency(size1, root1, size2, root2, raw(proof))

    plan = consistency_plan(size1, size2)
    assert plan.proof([nodes_of_eight()[node] for node in plan.nodes]) == raw(proof)


def nodes_of_eight():
    levels = [HASHES, *([] for _ in range(3))]
    for level in range(3):
        pairs = zip(levels[level][::2], levels[level][1::2], strict=True)
        levels[level + 1] = [root_of(pair) for pair in pairs]
    return {(level, index): found for level, row in enumerate(levels) for index, found in enumerate(row)}


# golang.org/x/mod/sumdb/note, note_test.go
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
QUIP = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# c2sp.org/signed-note, "Verifier keys" and "Example"
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# c2sp.org/tlog-cosignature, introduction; its keys are not published
SPEC_COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa"
    " Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1"
    " jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
# The Go checksum database, its key as the go command has it, and two of its heads
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_ORIGIN = "go.sum database tree"
SUMDB_HEAD = (
    "go.sum database tree\n65209736\n5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=\n\n"
    "— sum.golang.org Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8=\n"
)
SUMDB_EARLIER = (
    "go.sum database tree\n31700353\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\n\n"
    "— sum.golang.org Az3grnmrIUEDFqHzAElIQCPNoRFRAAdFo47fooyWKMHb89k11GJh5zHIfNCOBmwn/C3YI8oW9/C8DJ87F61QqspBYwM=\n"
)
# A certificate log and its witnesses: a line of type 0x05, one of type 0x01, four of type 0x04
CT_ORIGIN = "arche2025h1.staging.ct.transparency.dev"
CT_KEY = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
CT_NOTE = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"
    "— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIg"
    "IpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n"
    "— arche2025h1.staging.ct.transparency.dev"
    " ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"
    "— transparency.dev/DEV:witness-little-garden"
    " 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n"
    "— remora.n621.de"
    " 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
)


@pytest.mark.parametrize("vkey", [PETER, ENOCH, SPEC_KEY, SUMDB_KEY, CT_KEY, REMORA])
def test_published_keys_are_read_and_written(vkey):
    assert format_vkey(parse_vkey(vkey)) == vkey


def test_every_part_and_every_near_miss_of_a_published_key_is_refused():
    for start in range(len(PETER)):
        for stop in range(start, len(PETER) + 1):
            if stop - start < len(PETER):
                with refused("BAD_KEY"):
                    parse_vkey(PETER[start:stop])
    for at, letter in enumerate(PETER):
        with refused("BAD_KEY"):
            parse_vkey(PETER[:at] + chr(ord(letter) + 1) + PETER[at + 1 :])


def test_gos_key_of_another_length_is_refused():
    with refused("BAD_KEY"):
        parse_vkey("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==")


def test_gos_note_is_signed_byte_for_byte():
    peter = Ed25519Signer("PeterNeumann", b64decode(PETER_SEED)[1:])

    assert format_vkey(peter.vkey) == PETER
    assert sign_note(QUIP, [peter]) == f"{QUIP}\n{PETER_LINE}".encode()


def test_gos_note_verifies_under_one_key_and_under_both():
    note = f"{QUIP}\n{PETER_LINE}{ENOCH_LINE}".encode()

    assert verify_note(note, [Verifier(PETER)]) == (QUIP, ("PeterNeumann",))
    assert verify_note(note, [Verifier(ENOCH), Verifier(PETER)]) == (QUIP, ("PeterNeumann", "EnochRoot"))
    with refused("NO_KNOWN_SIGNATURE"):
        verify_note(note, [])


@pytest.mark.parametrize(
    "note",
    [
        QUIP,
        QUIP + "\n",
        QUIP + "\n" + PETER_LINE[:-1],
        "\x01" + QUIP + "\n" + PETER_LINE,
        QUIP + "\n" + PETER_LINE.replace("PeterNeumann", "Bad Name"),
        QUIP + "\n" + PETER_LINE + "Unexpected line.\n",
        QUIP + "\n" + PETER_LINE * 101,
    ],
)
def test_what_go_calls_malformed_is_malformed(note):
    with refused("BAD_NOTE"):
        verify_note(note.encode(), [Verifier(PETER)])


def test_c2sps_note_verifies():
    assert verify_note(SPEC_NOTE.encode(), [Verifier(SPEC_KEY)]).names == ("example.com/foo",)


def test_c2sps_cosigned_checkpoint_is_read():
    note = parse_note(SPEC_COSIGNED.encode())

    assert parse_checkpoint(note.text).size == 20852163
    assert [(name, key_id.hex(), len(signature)) for name, key_id, signature in note.signatures] == [
        ("example.com/behind-the-sofa", "033de0ae", 64),
        ("witness.example.com/w1", "8d66cf3f", 72),
    ]


@pytest.mark.parametrize("head", [SUMDB_HEAD, SUMDB_EARLIER])
def test_a_head_of_the_go_checksum_database_verifies(head):
    checkpoint = verify_checkpoint(head.encode(), [Verifier(SUMDB_KEY)], SUMDB_ORIGIN)

    assert str(checkpoint.size) == head.split("\n")[1]
    assert encode_checkpoint(checkpoint) == head.partition("\n\n")[0] + "\n"


def test_a_live_cosignature_verifies_beside_the_logs_own():
    note, verifiers = CT_NOTE.encode(), [Verifier(REMORA), Verifier(CT_KEY)]

    assert verify_checkpoint(note, verifiers, CT_ORIGIN).size == 1432088532
    assert verify_note(note, verifiers).names == (CT_ORIGIN, "remora.n621.de")


def test_a_live_cosignature_covers_its_time():
    line = CT_NOTE.split("\n")[-2]
    with refused("BAD_SIGNATURE"):
        verify_note(CT_NOTE.replace(line, line.replace("BqEiEg", "BqEiEh")).encode(), [Verifier(REMORA)])
