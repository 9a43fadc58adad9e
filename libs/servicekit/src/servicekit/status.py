"""What becomes of a failure: the only place that turns an error into a gRPC status or a JetStream verdict.

Two tables side by side, looked up along the class's MRO. What is not ours is our bug: INTERNAL, its text withheld.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from servicekit import errors

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailer that carries a serialized google.rpc.Status."""


class Verdict(enum.Enum):
    """What a consumer does with a message whose handler failed."""

    DEAD_LETTER = "publish to the dead letters, then term"
    NAK_WITH_DELAY = "redeliver after a while"
    NAK_AT_ONCE = "redeliver now"
    NAK_WITH_BACKOFF = "redeliver, each time later"


class Internal(errors.AssentError):
    """Something went wrong on our side."""

    reason = "INTERNAL"


GRPC: Final[Mapping[type[BaseException], grpc.StatusCode]] = {
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    NotImplementedError: grpc.StatusCode.UNIMPLEMENTED,  # what a generated base servicer raises
    BaseException: grpc.StatusCode.INTERNAL,
}

JETSTREAM: Final[Mapping[type[BaseException], Verdict]] = {
    errors.Invalid: Verdict.DEAD_LETTER,
    errors.Forbidden: Verdict.DEAD_LETTER,
    errors.FailedPrecondition: Verdict.DEAD_LETTER,
    errors.NotFound: Verdict.NAK_WITH_DELAY,
    errors.Conflict: Verdict.NAK_AT_ONCE,
    errors.Unavailable: Verdict.NAK_WITH_BACKOFF,
    BaseException: Verdict.NAK_WITH_BACKOFF,
}

CLASSES: Final[Mapping[int, type[errors.AssentError]]] = {
    code.value[0]: kind for kind, code in GRPC.items() if issubclass(kind, errors.AssentError)
}
"""The kit error of each status number; a number that is nobody's becomes Internal."""

CODES: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

_Row = TypeVar("_Row")


def _lookup(table: Mapping[type[BaseException], _Row], kind: type[BaseException]) -> _Row:
    return next(table[base] for base in kind.__mro__ if base in table)


def code_of(error: BaseException) -> grpc.StatusCode:
    """The gRPC status of an error."""
    return _lookup(GRPC, type(error))


def verdict_of(error: BaseException) -> Verdict:
    """What becomes of a message whose handler raised this."""
    return _lookup(JETSTREAM, type(error))


def to_status(error: BaseException, *, service: str, trace_id: str = "") -> status_pb2.Status:
    """The google.rpc.Status to send: reason, field and retry delay of our errors; only the trace id of all others."""
    code = code_of(error)
    known = _as_ours(error, code, trace_id)
    status = status_pb2.Status(code=code.value[0], message=str(known))
    _add(status, error_details_pb2.ErrorInfo(reason=known.code, domain=f"{service}.assent", metadata=known.metadata))
    if known.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(field=known.field, description=known.text)
        _add(status, error_details_pb2.BadRequest(field_violations=[violation]))
    if known.retry_after_ms is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(known.retry_after_ms)
        _add(status, retry)
    return status


def _as_ours(error: BaseException, code: grpc.StatusCode, trace_id: str) -> errors.AssentError:
    if isinstance(error, Internal):
        return error
    if code is grpc.StatusCode.INTERNAL:
        return Internal(trace_id=trace_id) if trace_id else Internal()
    return error if isinstance(error, errors.AssentError) else CLASSES[code.value[0]]()


def _add(status: status_pb2.Status, detail: Any) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def from_status(status: status_pb2.Status) -> errors.AssentError:
    """The kit error that a peer meant; unknown details are ignored."""
    kind = CLASSES.get(status.code, Internal)
    info, text, field, retry_after_ms = _details(status)
    metadata = {key: value for key, value in info.metadata.items() if key not in _TAKEN}
    return kind(
        text or status.message, reason=info.reason or None, field=field, retry_after_ms=retry_after_ms, **metadata
    )


_TAKEN: Final = frozenset({"self", "text", "reason", "field", "retry_after_ms"})


def _details(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, str, str | None, int | None]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, retry_after_ms = error_details_pb2.RetryInfo(), None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after_ms = retry.retry_delay.ToMilliseconds()
        else:
            detail.Unpack(info) or detail.Unpack(bad)
    first = bad.field_violations[0] if bad.field_violations else None
    return info, first.description if first else "", first.field if first else None, retry_after_ms


def from_rpc(error: grpc.aio.AioRpcError) -> errors.AssentError:
    """The kit error behind a gRPC client's exception, with or without rich details."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return from_status(status_pb2.Status.FromString(value))
    return from_status(status_pb2.Status(code=error.code().value[0], message=error.details() or ""))


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise kit errors where a gRPC stub raises its own."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from None
