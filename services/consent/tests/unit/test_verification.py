"""Verifying finds every change of an export; what is whole verifies, in one process or many, from any index on."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_samples import LEDGER, NOTICE, ORIGIN, VKEY, a_sample

from consent_service.domain import commitments as c
from consent_service.domain import export, verification
from consent_service.domain.export import (
    ChainLine,
    EntryLine,
    Header,
    NoticeLine,
    encode_line,
    export_lines,
    parse_line,
)
from consent_service.domain.leaf import encode, parse
from consent_service.domain.verification import Refused
from consent_service.verifying import Trust, verify_bundle, verify_export
from servicekit.basis import canonical
from servicekit.errors import Invalid
from tlog import Checkpoint, Ed25519Signer, encode_proof, inclusion_plan, leaf_hashes, root_of, sign_checkpoint

SMALL = 8
SAMPLE = a_sample()
LINES = SAMPLE.lines()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of eight entries, so that a small sample has many."""
    monkeypatch.setattr(verification, "BLOCK_BITS", 3)
    monkeypatch.setattr(verification, "BLOCK", SMALL)
    monkeypatch.setattr("consent_service.verifying.BLOCK", SMALL)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "export.jsonl"

    def write(lines):
        path.write_bytes(b"".join(lines))
        return path

    return write


def verdict(path, *known, vkey=VKEY, origin=ORIGIN):
    """What is refused, or OK."""
    try:
        verify_export(path, Trust(vkey, origin, known), processes=1)
    except Refused as refused:
        return refused.code
    return "OK"


def changed(number, **fields):
    """The export with some fields of one line changed; None takes a field away."""
    line = json.loads(LINES[number])
    line = {name: value for name, value in {**line, **fields}.items() if value is not None}
    return [*LINES[:number], json.dumps(line).encode() + b"\n", *LINES[number + 1 :]]


def b64(data):
    return base64.b64encode(data).decode()


def test_what_is_whole_verifies(written):
    report = verify_export(written(LINES), Trust(VKEY, ORIGIN, tuple(SAMPLE.notes.values())), processes=1)

    assert (report.first, report.end, report.signed) == (0, 40, 40)
    assert report.root == SAMPLE.range().root().hex()
    assert (report.checkpoints, report.known, report.notices, report.chains) == (3, 3, 1, 2)
    assert report.classes == {"1": 36, "2": 1, "3": 2, "4": 1}
    assert report.opened == sum(entry.pub is not None for entry in SAMPLE.entries)


def test_many_processes_say_the_same(written):
    path = written(LINES)
    one, two = (verify_export(path, Trust(VKEY, ORIGIN), processes=count) for count in (1, 2))

    assert one == two


@pytest.mark.parametrize("first", [0, 1, 7, 8, 9, 16, 20, 21, 39])
def test_an_export_may_begin_anywhere(written, first):
    report = verify_export(written(SAMPLE.lines(first)), Trust(VKEY, ORIGIN), processes=1)

    assert (report.first, report.end, report.root) == (first, 40, SAMPLE.range().root().hex())


def test_an_export_may_end_at_an_earlier_checkpoint(written):
    assert verdict(written(SAMPLE.lines(3, 21)), SAMPLE.notes[21]) == "OK"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_flipped_bit_is_found(written, data):
    """Of any line: of a leaf, body, salt, hash, signature, name or number. What still reads the same was not changed."""
    number = data.draw(st.integers(0, len(LINES) - 1))
    place, bit = data.draw(st.integers(0, len(LINES[number]) - 2)), data.draw(st.integers(0, 7))
    line = bytearray(LINES[number])
    line[place] ^= 1 << bit
    try:
        same = parse_line(bytes(line)) == parse_line(LINES[number])
    except Invalid:
        same = False

    assert (verdict(written([*LINES[:number], bytes(line), *LINES[number + 1 :]])) == "OK") is same


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40))
def test_every_deleted_entry_is_found(written, number):
    assert verdict(written(LINES[:number] + LINES[number + 1 :])) == "INDEX"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 39), st.integers(1, 39))
def test_every_reordering_is_found_also_when_the_indices_are_rewritten(written, one, other):
    if one == other:
        return
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    assert verdict(written(lines)) == "INDEX"
    for number in (one, other):
        lines[number] = encode_line(parse_line(lines[number])._replace(index=number - 1))

    assert verdict(written(lines)) in {"ROOT", "EPOCH", "TIME"}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 39))
def test_a_truncated_tail_is_found_against_a_kept_note(written, end):
    """The liar signs nothing new: the export of the shorter log, with its earlier checkpoints, is itself in order."""
    lines = SAMPLE.lines(0, end)

    assert verdict(written(lines), SAMPLE.notes[40]) == "KNOWN"
    assert verdict(written([line for line in LINES if parse_line(line) not in SAMPLE.entries[end:]])) == "INDEX"


def test_entries_after_the_last_checkpoint_are_not_taken_for_signed(written):
    lines = [line for line in LINES if b"checkpoint" not in line[:22]]

    assert verdict(written(lines)) == "UNSIGNED"
    assert verdict(written(lines), SAMPLE.notes[21]) == "UNSIGNED"
    assert verdict(written(lines), SAMPLE.notes[40]) == "OK"


def test_an_entry_put_in_is_found(written):
    lines = [*LINES[:5], LINES[4], *LINES[5:]]

    assert verdict(written(lines)) == "INDEX"


def test_another_ledger_is_found(written):
    assert verdict(written(changed(0, ledger="00" * 16))) == "LEDGER"
    leaf = encode(parse(SAMPLE.entries[7].leaf)._replace(ledger=bytes(16)))
    assert verdict(written(changed(8, leaf=b64(leaf)))) == "LEDGER"


@pytest.mark.parametrize(("field", "code"), [("epoch", "EPOCH"), ("recorded_us", "TIME")])
@pytest.mark.parametrize("index", [8, 9, 35])
def test_epochs_and_times_that_go_back_are_found_even_if_they_are_signed(written, field, code, index):
    """At the begin of a block, too."""
    sample = a_sample()
    leaf = parse(sample.entries[index - 1].leaf)
    back = encode(parse(sample.entries[index].leaf)._replace(**{field: getattr(leaf, field) - 1}))
    sample.entries[index] = sample.entries[index]._replace(leaf=back)
    sample.notes.clear()
    sample.sign()

    assert verdict(written(sample.lines())) == code


@pytest.mark.parametrize("index", [0, 1, 5])
def test_a_body_that_is_not_the_one_committed_to_is_found(written, index):
    pub = json.loads(SAMPLE.entries[index].pub)
    assert verdict(written(changed(index + 1, pub=canonical({**pub, "event_time": 1}).decode()))) == "COMMITMENT"
    spaced = json.dumps(pub)
    assert verdict(written(changed(index + 1, pub=spaced))) == "COMMITMENT"


def test_a_salt_that_is_not_the_one_is_found(written):
    assert verdict(written(changed(5, salt_pub=b64(bytes(32))))) == "COMMITMENT"
    assert verdict(written(changed(5, salt_pub=None))) == "BODY"
    assert verdict(written(changed(5, pub=None))) == "BODY"
    assert verdict(written(changed(1, salt_pub=b64(bytes(32))))) == "BODY"


def test_a_subjects_body_may_be_absent_and_an_open_one_may_not(written):
    assert verdict(written(changed(5, pub=None, salt_pub=None))) == "OK"
    assert verdict(written(changed(1, pub=None))) == "BODY"
    assert verdict(written(changed(2, pub=None))) == "BODY"


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "LEDGER"}',
        b'{"kind":"LEDGER","kind":"LEDGER"}',
        b'{"kind":"GRANT"}',
        b"{}",
        b"[]",
        b'{"kind":1}',
        b"\xff",
    ],
)
def test_a_committed_body_that_reads_in_two_ways_or_as_another_class_is_found(written, body):
    sample = a_sample()
    leaf = encode(parse(sample.entries[0].leaf)._replace(c_pub=c.open_commitment(body)))
    sample.entries[0] = EntryLine(0, leaf, b"{}")
    sample.notes.clear()
    sample.sign()
    line = json.dumps({"type": "entry", "index": 0, "leaf": b64(leaf), "pub": body.decode(errors="surrogateescape")})
    lines = sample.lines()

    assert verdict(written([lines[0], line.encode() + b"\n", *lines[2:]])) in {"BODY", "COMMITMENT"}


def test_words_swapped_under_one_version_are_found(written):
    for number, line in enumerate(LINES):
        if b'"notice"' in line[:20]:
            assert verdict(written(changed(number, bytes=b64(b"We may use everything.")))) == "NOTICE"
            assert verdict(written(changed(number, version=2))) == "NOTICE"
            assert verdict(written(changed(number, locale="de"))) == "NOTICE"


def test_a_version_that_was_signed_with_two_texts_is_found(written):
    """The ledger's own lie: two entries name one version with different words."""
    sample = a_sample()
    other = NOTICE._replace(sha256="00" * 32)
    pub = canonical({**json.loads(sample.entries[5].pub), "notice": other._asdict()})
    leaf = encode(parse(sample.entries[5].leaf)._replace(c_pub=c.public_commitment(bytes(32), pub)))
    sample.entries[5] = EntryLine(5, leaf, pub, bytes(32))
    sample.people.clear()
    sample.notes.clear()
    sample.sign()

    assert verdict(written(sample.lines())) == "NOTICE"


def test_a_registry_whose_document_is_not_the_one_of_its_digest_is_found(written):
    sample = a_sample()
    body = json.loads(sample.entries[1].pub)
    body["document"] = body["document"].replace("choices", "chances")
    pub = canonical(body)
    leaf = encode(parse(sample.entries[1].leaf)._replace(c_pub=c.open_commitment(pub)))
    sample.entries[1] = EntryLine(1, leaf, pub)
    sample.notes.clear()
    sample.sign()

    assert verdict(written(sample.lines())) == "BODY"


def test_a_forked_checkpoint_is_found(written):
    sample = a_sample()
    sample.notes[21] = sample.sign(root=bytes(32), size=21)
    assert verdict(written(sample.lines())) == "ROOT"


def test_a_known_note_of_another_fork_is_found(written):
    other = a_sample()

    assert verdict(written(LINES), other.notes[10]) == "FORK"
    assert verdict(written(LINES), *SAMPLE.notes.values()) == "OK"


def test_a_known_note_from_before_the_export_cannot_be_compared(written):
    lines = SAMPLE.lines(20)

    assert verdict(written(lines), SAMPLE.notes[10]) == "KNOWN"
    assert verdict(written(lines), SAMPLE.notes[21]) == "OK"


def test_a_changed_frontier_is_found(written):
    lines = SAMPLE.lines(20)
    header = parse_line(lines[0])
    for frontier in ((bytes(32), *header.frontier[1:]), header.frontier[::-1], header.frontier[1:], ()):
        found = verdict(written([encode_line(replace(header, frontier=frontier)), *lines[1:]]))
        assert found == ("ROOT" if len(frontier) == len(header.frontier) else "FORMAT")


def test_a_signature_by_nobody_known_is_found(written):
    stranger = Ed25519Signer(ORIGIN, bytes(32))
    other = sign_checkpoint(Checkpoint("bank.example/consent/other", 40, SAMPLE.range().root()), [SIGNER_OF_OTHER])

    assert verdict(written(LINES), sign_checkpoint(Checkpoint(ORIGIN, 40, SAMPLE.range().root()), [stranger])) == (
        "NO_KNOWN_SIGNATURE"
    )
    assert verdict(written(LINES), other) != "OK"
    assert verdict(written(LINES), b"no note") == "BAD_NOTE"
    assert verdict(written(LINES), origin="bank.example/consent/other") == "WRONG_ORIGIN"


SIGNER_OF_OTHER = Ed25519Signer("bank.example/consent/other", bytes(range(32)))


def test_a_filtered_export_is_not_taken_for_the_log(written):
    assert verdict(written(changed(0, filtered=True))) == "FILTERED"


def test_a_chain_that_leaves_an_entry_out_is_found(written):
    for number, line in enumerate(LINES):
        if b'"chain"' in line[:20]:
            chain = parse_line(line)
            for indices in (chain.indices[1:], chain.indices[:-1], (*chain.indices, 39), ()):
                lines = [*LINES[:number], encode_line(ChainLine(chain.key, indices)), *LINES[number + 1 :]]
                assert verdict(written(lines)) == "CHAIN"
            lines = [*LINES[:number], encode_line(ChainLine(bytes(32), chain.indices)), *LINES[number + 1 :]]
            assert verdict(written(lines)) == "CHAIN"


def test_an_erasure_ends_the_chain_that_it_closes(written):
    person = SAMPLE.people[-1]
    chain = encode_line(ChainLine(person.key.chain, tuple(person.indices)))

    assert person.indices[-1] == 39
    assert verdict(written([*LINES, chain])) == "OK"


def test_erasing_changes_no_leaf_and_no_root(written):
    """What is taken away are bodies: the erased person's export lines lose them, and all proofs stay."""
    assert SAMPLE.entries[SAMPLE.people[-1].indices[0]].pub is None
    assert verdict(written(LINES), SAMPLE.notes[10]) == "OK"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"\n"],
        [b"{}\n"],
        LINES[1:],
        [LINES[0], *LINES],
        [LINES[0], b"nonsense\n", *LINES[1:]],
        [LINES[0].replace(b'"v":1', b'"v":2'), *LINES[1:]],
        [LINES[0].replace(b'"v":1', b'"v":1,"v":1'), *LINES[1:]],
        [LINES[0].replace(b'"v":1', b'"v":1,"x":null'), *LINES[1:]],
        [LINES[0].replace(b'"from":0', b'"from":true'), *LINES[1:]],
        [LINES[0].replace(b'"from":0', b'"from":50'), *LINES[1:]],
        [LINES[0], LINES[1].replace(b'"type":"entry"', b'"type":"entry","type":"entry"'), *LINES[2:]],
        [LINES[0], LINES[1].replace(b'"index":0', b'"index":0.0'), *LINES[2:]],
    ],
)
def test_what_is_no_export_is_refused(written, lines):
    assert verdict(written(lines)) == "FORMAT"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert verdict(tmp_path / "none") == "FORMAT"


def test_the_order_of_fields_and_spaces_of_a_line_do_not_matter(written):
    lines = [json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n" for line in LINES]

    assert verdict(written(lines)) == "OK"


def test_the_place_of_lines_without_entries_does_not_matter(written):
    rest = list(LINES[1:])
    others = [line for line in rest if b'"entry"' not in line[:20]]
    entries = [line for line in rest if b'"entry"' in line[:20]]
    for number, line in enumerate(others):
        entries.insert(random.Random(number).randrange(len(entries)), line)

    assert verdict(written([LINES[0], *entries])) == "OK"


@given(
    st.builds(
        EntryLine, st.integers(0, 2**64 - 1), st.binary(max_size=200), st.none() | st.text('aé"\\\n').map(str.encode)
    ),
)
def test_an_entry_line_is_read_back(line):
    assert parse_line(encode_line(line)) == line


printable = st.text('"\\ab{}:,\n\x7fé', max_size=30)


@given(
    st.integers(0, 10**17),
    st.binary(min_size=162, max_size=162),
    printable,
    st.binary(min_size=32, max_size=32),
    st.data(),
)
def test_the_quick_way_to_read_a_line_reads_what_the_careful_one_does(index, leaf, pub, salt, data):
    """Also when some bytes are changed, put in or taken out."""
    line = bytearray(encode_line(EntryLine(index, leaf, pub.encode(), salt)))
    for _ in range(data.draw(st.integers(0, 2))):
        place, byte = data.draw(st.integers(0, len(line) - 1)), data.draw(st.sampled_from(b'"\\,:}a0= \n\xff'))
        line[place : place + data.draw(st.integers(0, 1))] = bytes([byte])
    quick = export._quickly(bytes(line))
    if quick is not None:
        assert quick == export._carefully(bytes(line))


def test_most_lines_are_read_quickly():
    assert sum(export._quickly(encode_line(entry)) == entry for entry in SAMPLE.entries) == len(SAMPLE.entries) - 4


def test_other_lines_are_read_back():
    header = Header(LEDGER, ORIGIN, 3, 9, (bytes(32), b"\x01" * 32), filtered=True)
    for line in (header, NoticeLine("a", 2, "de", b"\x00\xff"), ChainLine(bytes(32), (1, 2))):
        assert parse_line(encode_line(line)) == line
    assert list(export_lines(header, [ChainLine(bytes(32), ())]))[1].endswith(b"\n")


def bundle(index, size=40):
    leaves = leaf_hashes([entry.leaf for entry in SAMPLE.entries[:size]])
    plan = inclusion_plan(index, size)
    nodes = []
    for node in plan.nodes:
        low = node.index << node.level
        nodes.append(root_of(leaves[low : low + (1 << node.level)]))
    return encode_proof(index, plan.proof(nodes), SAMPLE.notes[size])


@pytest.mark.parametrize("index", [0, 8, 39])
def test_a_bundle_verifies_its_leaf_and_no_other(index):
    trust = Trust(VKEY, ORIGIN, (SAMPLE.notes[40],))
    report = verify_bundle(bundle(index), SAMPLE.entries[index].leaf, trust)

    assert (report.end, report.root) == (40, SAMPLE.range().root().hex())
    with pytest.raises(Refused) as caught:
        verify_bundle(bundle(index), SAMPLE.entries[index - 1].leaf, trust)
    assert caught.value.code == "ROOT_MISMATCH"
    with pytest.raises(Refused) as caught:
        verify_bundle(bundle(index), SAMPLE.entries[index].leaf[:-1], trust)
    assert caught.value.code == "LEAF"


def test_a_bundle_is_compared_with_known_notes_of_its_size():
    for note, code in ((a_sample().notes[40], "FORK"), (SAMPLE.notes[21], "KNOWN")):
        with pytest.raises(Refused) as caught:
            verify_bundle(bundle(3), SAMPLE.entries[3].leaf, Trust(VKEY, ORIGIN, (note,)))
        assert caught.value.code == code
