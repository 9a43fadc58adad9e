"""The header block of a call and of its reply, as bytes: written and read once per call, so nothing general.

A call:  `Assent-Deadline-Ms` (what is left when sent), `Assent-Caller-Token`, `traceparent`.
A reply: `Assent-Status` (gRPC number), and `Assent-Error` (base64 of google.rpc.Status) unless it is 0.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from google.rpc.status_pb2 import Status

LINE = b"NATS/1.0\r\n"
END = b"\r\n\r\n"
OK = LINE + b"Assent-Status: 0" + END
NO_RESPONDERS = b"NATS/1.0 503"

DEADLINE = b"Assent-Deadline-Ms"
TOKEN = b"Assent-Caller-Token"
TRACEPARENT = b"traceparent"
STATUS = b"Assent-Status"
ERROR = b"Assent-Error"


def write_call(deadline_ms: int, token: str, traceparent: str) -> bytes:
    """The headers of a call."""
    block = b"NATS/1.0\r\nAssent-Deadline-Ms: %d" % deadline_ms
    if token:
        block += b"\r\nAssent-Caller-Token: " + token.encode()
    if traceparent:
        block += b"\r\ntraceparent: " + traceparent.encode()
    return block + END


def write_error(status: Status) -> bytes:
    """The headers of a reply that is an error."""
    return (
        b"NATS/1.0\r\nAssent-Status: %d\r\nAssent-Error: %b" % (status.code, b64encode(status.SerializeToString()))
        + END
    )


def read(block: bytes | None) -> dict[bytes, bytes]:
    """Names and values; lines that are neither are left out."""
    lines = (line.partition(b": ") for line in (block or b"").split(b"\r\n"))
    return {name: value for name, colon, value in lines if colon}


def read_error(fields: dict[bytes, bytes]) -> Status:
    """The status of a reply that is an error; raises ValueError or a protobuf DecodeError when there is none."""
    return Status.FromString(b64decode(fields[ERROR], validate=True))


def write_fact(message_id: str, traceparent: str) -> bytes:
    """The headers of a message for a stream."""
    block = b"NATS/1.0\r\nNats-Msg-Id: " + message_id.encode()
    if traceparent:
        block += b"\r\ntraceparent: " + traceparent.encode()
    return block + END


def write_plain() -> bytes:
    """A block without headers, for requests of the JetStream API."""
    return b"NATS/1.0\r\n\r\n"


def write_expiring(seconds: int) -> bytes:
    """The headers of a message that its stream forgets after a while."""
    return b"NATS/1.0\r\nNats-TTL: %ds\r\n\r\n" % seconds


def write_expecting(revision: int) -> bytes:
    """The headers of a message that is stored only if the newest of its subject has this sequence; 0 means that there is none."""
    return b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n" % revision
