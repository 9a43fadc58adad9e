"""Snapshots as bytes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking_service.domain.counts import Count, Key, is_due, state_digest
from ranking_service.domain.snapshot import Snapshot, parse
from servicekit.errors import FailedPrecondition

NAMES = st.text("abc_", min_size=1, max_size=3)
COUNTS = st.dictionaries(st.builds(Key, NAMES, NAMES, NAMES), st.builds(Count, st.integers(1, 99), st.integers(0, 99)))


@given(COUNTS, st.randoms(use_true_random=False))
def test_a_snapshot_is_named_by_its_sums_whatever_their_order(counts, random):
    shuffled = list(counts.items())
    random.shuffle(shuffled)
    one, other = Snapshot(3, 5, counts), Snapshot(3, 5, dict(shuffled))

    assert (one.body, one.digest) == (other.body, other.digest)
    assert state_digest(counts) == state_digest(dict(shuffled))
    assert parse(one.body, one.digest) == one


def test_a_snapshot_that_is_not_what_its_name_says_is_refused():
    snapshot = Snapshot(1, 0, {Key("m", "a", "c"): Count(2, 1)})
    for body in (snapshot.body[:-1], snapshot.body.replace(b"2,1", b"2,2"), b""):
        with pytest.raises(FailedPrecondition) as refused:
            parse(body, snapshot.digest)
        assert refused.value.code == "SNAPSHOT_UNAVAILABLE"


def test_bytes_of_another_form_are_refused_although_their_digest_fits():
    for body in (b"{}", b"[]", b"nonsense", b'{"format":2}', Snapshot(1, 0, {}).body + b" "):
        with pytest.raises(FailedPrecondition):
            parse(body, f"sha256:{hashlib.sha256(body).hexdigest()}")


@pytest.mark.parametrize(
    ("published", "current", "expected"),
    [
        ({}, {}, False),
        ({}, {"a": (1, 0)}, True),
        ({"a": (1000, 5)}, {"a": (1009, 5)}, False),
        ({"a": (1000, 5)}, {"a": (1010, 6)}, True),
        ({"a": (1000, 5)}, {"a": (999, 5)}, True),
        ({"a": (1, 0)}, {}, True),
        ({"a": (50, 0)}, {"a": (50, 1)}, True),
    ],
)
def test_a_version_is_due_after_one_percent_of_the_evidence_or_when_something_was_unlearned(
    published, current, expected
):
    def sums(short):
        return {Key("m", name, "c"): Count(*count) for name, count in short.items()}

    assert is_due(sums(published), sums(current)) is expected
