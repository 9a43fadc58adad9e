"""One vocabulary of failure for every hop: pure, so that any domain may raise it.

`servicekit.status` turns these classes into a gRPC status and into a JetStream verdict; nothing else decides that.
The first line of a class's docstring is its message; `reason` is the stable code that callers branch on.
Texts, reasons and metadata leave the process: they never carry personal data.
"""

from __future__ import annotations

from typing import ClassVar


class AssentError(Exception):
    """Something went wrong."""

    reason: ClassVar[str] = "ASSENT_ERROR"

    def __init__(
        self,
        text: str | None = None,
        *,
        reason: str | None = None,
        field: str | None = None,
        retry_after_ms: int | None = None,
        **metadata: str,
    ) -> None:
        self.text = text or (type(self).__doc__ or "").strip().partition("\n")[0]
        self.code = reason or type(self).reason
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.metadata = metadata
        super().__init__(f"{field}: {self.text}" if field else self.text)


class Invalid(AssentError):
    """The request is not right as sent."""

    reason = "INVALID"


class Unauthenticated(AssentError):
    """The caller did not prove who it is."""

    reason = "UNAUTHENTICATED"


class Forbidden(AssentError):
    """The caller may not do this."""

    reason = "FORBIDDEN"


class FailedPrecondition(AssentError):
    """The system is not in the state that this needs."""

    reason = "FAILED_PRECONDITION"


class NotFound(AssentError):
    """There is no such thing, perhaps not yet."""

    reason = "NOT_FOUND"


class AlreadyExists(AssentError):
    """The same id was used before with other content."""

    reason = "ALREADY_EXISTS"


class Conflict(AssentError):
    """Somebody was first: read again and repeat."""

    reason = "CONFLICT"


class Exhausted(AssentError):
    """A limit is reached: repeat later."""

    reason = "EXHAUSTED"


class Unavailable(AssentError):
    """Something that this needs is away: repeat later."""

    reason = "UNAVAILABLE"


class DeadlineExceeded(AssentError):
    """The deadline passed before there was an answer."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(AssentError):
    """This is declared, and not built yet."""

    reason = "UNIMPLEMENTED"
