"""What becomes of a failure, on both sides of a call and on a stream."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from servicekit import errors
from servicekit.status import CLASSES, Internal, Verdict, code_of, from_status, to_status, verdict_of


class TooOld(errors.Invalid):
    """The thing is too old."""

    reason = "TOO_OLD"


@pytest.mark.parametrize(
    ("error", "code", "verdict"),
    [
        (errors.Invalid, "INVALID_ARGUMENT", Verdict.DEAD_LETTER),
        (errors.Forbidden, "PERMISSION_DENIED", Verdict.DEAD_LETTER),
        (errors.FailedPrecondition, "FAILED_PRECONDITION", Verdict.DEAD_LETTER),
        (errors.NotFound, "NOT_FOUND", Verdict.NAK_WITH_DELAY),
        (errors.Conflict, "ABORTED", Verdict.NAK_AT_ONCE),
        (errors.Unavailable, "UNAVAILABLE", Verdict.NAK_WITH_BACKOFF),
        (errors.Unauthenticated, "UNAUTHENTICATED", Verdict.NAK_WITH_BACKOFF),
        (errors.AlreadyExists, "ALREADY_EXISTS", Verdict.NAK_WITH_BACKOFF),
        (errors.Exhausted, "RESOURCE_EXHAUSTED", Verdict.NAK_WITH_BACKOFF),
        (errors.DeadlineExceeded, "DEADLINE_EXCEEDED", Verdict.NAK_WITH_BACKOFF),
        (errors.Unimplemented, "UNIMPLEMENTED", Verdict.NAK_WITH_BACKOFF),
        (NotImplementedError, "UNIMPLEMENTED", Verdict.NAK_WITH_BACKOFF),
        (errors.AssentError, "INTERNAL", Verdict.NAK_WITH_BACKOFF),
        (KeyError, "INTERNAL", Verdict.NAK_WITH_BACKOFF),
        (TooOld, "INVALID_ARGUMENT", Verdict.DEAD_LETTER),
    ],
)
def test_every_error_has_its_row_in_both_tables(error, code, verdict):
    assert (code_of(error()).name, verdict_of(error())) == (code, verdict)


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def test_the_reason_leaves_with_the_services_domain():
    info = info_of(to_status(TooOld(age="7"), service="consent"))

    assert (info.reason, info.domain, dict(info.metadata)) == ("TOO_OLD", "consent.assent", {"age": "7"})


def test_our_bugs_keep_their_text_and_give_a_trace_id():
    status = to_status(ValueError("account 4711"), service="consent", trace_id="abc")

    assert b"4711" not in status.SerializeToString()
    assert dict(info_of(status).metadata) == {"trace_id": "abc"}


def test_a_plain_error_of_ours_is_a_bug_too():
    status = to_status(errors.AssentError("account 4711"), service="consent")

    assert b"4711" not in status.SerializeToString()


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@given(
    kind=st.sampled_from(sorted(set(CLASSES.values()) - {Internal}, key=lambda found: found.__name__)),
    text=words,
    reason=words,
    field=st.none() | words,
    retry_after_ms=st.none() | st.integers(0, 10**9),
    metadata=st.dictionaries(st.from_regex(r"m_[a-z]{1,10}", fullmatch=True), words, max_size=3),
)
def test_an_error_of_ours_arrives_as_it_was_raised(kind, text, reason, field, retry_after_ms, metadata):
    sent = kind(text, reason=reason, field=field, retry_after_ms=retry_after_ms, **metadata)
    status = status_pb2.Status.FromString(to_status(sent, service="x").SerializeToString())
    found = from_status(status)

    assert type(found) is kind
    assert (found.text, found.code, found.field, found.retry_after_ms, found.metadata, str(found)) == (
        (text, reason, field, retry_after_ms, metadata, str(sent))
    )


def test_a_status_of_a_stranger_is_read_as_far_as_it_goes():
    other = any_pb2.Any(type_url="type.googleapis.com/somebody.Else", value=b"x")
    found = from_status(status_pb2.Status(code=5, message="gone", details=[other]))

    assert (type(found), found.text, found.code) == (errors.NotFound, "gone", "NOT_FOUND")


def test_metadata_named_like_our_own_arguments_does_no_harm():
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="R", metadata={"self": "1", "field": "2", "ok": "3"}))

    assert from_status(status_pb2.Status(code=3, details=[packed])).metadata == {"ok": "3"}


def test_a_number_that_is_nobodys_is_internal():
    assert isinstance(from_status(status_pb2.Status(code=grpc.StatusCode.DATA_LOSS.value[0])), Internal)
