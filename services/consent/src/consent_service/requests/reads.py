"""Requests that read. Every bad field is named."""

from __future__ import annotations

import re
from typing import Final

from assent.consent.v1 import consent_service_pb2 as pb
from consent_service.commands import Check, Evaluate, FindRegistry, ListEvents, Look, Moment, Watch
from consent_service.domain.basis import DEFAULT_TTL_US, LONGEST_TTL_US
from consent_service.domain.choices import NoticeRef
from consent_service.requests import parts
from consent_service.requests.fields import bad, bounded, named, names, optional, purpose, time
from servicekit.partitions import PARTITIONS

MOST_KEYS: Final = 256
PAGE: Final = 100
LONGEST_PAGE: Final = 500
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PAGE_TOKEN: Final = re.compile(r"(0|[1-9][0-9]{0,15})")


def check(request: pb.CheckConsentRequest) -> Check:
    """Keys to judge."""
    bounded(request.keys, "keys", least=1, most=MOST_KEYS)
    return Check(
        subject=parts.subject(request.subject_id),
        keys=tuple(parts.key(key, f"keys[{number}]") for number, key in enumerate(request.keys)),
        at_us=time(request.at_us, "at_us") if request.HasField("at_us") else None,
        regimes=names(request.regimes, "regimes"),
        min_token=request.min_token,
    )


def evaluate(request: pb.EvaluateBasisRequest) -> Evaluate:
    """A basis to sign, or one to recompute."""
    ttl_us = request.ttl_ms * 1000 if request.HasField("ttl_ms") else DEFAULT_TTL_US
    if not 0 < ttl_us <= LONGEST_TTL_US:
        bad("ttl_ms", "A basis lives for 1 to 30,000 ms.")
    bounded(request.purposes, "purposes", most=MOST_KEYS)
    replayed = request.HasField("replay_position")
    if replayed and not request.HasField("at_us"):
        bad("at_us", "A basis is recomputed for the time at which it was given.")
    return Evaluate(
        subject=parts.subject(request.subject_id),
        channel=named(request.channel, "channel"),
        at_us=time(request.at_us, "at_us") if request.HasField("at_us") else None,
        regimes=names(request.regimes, "regimes"),
        purposes=tuple(purpose(value, f"purposes[{n}]") for n, value in enumerate(request.purposes)),
        min_token=request.min_token,
        ttl_us=ttl_us,
        replay=parts.position(request.replay_position, "replay_position") if replayed else None,
        replay_kid=_key_id(request.replay_key_id),
    )


def _key_id(value: str) -> str:
    name, plus, digits = value.partition("+")
    if value and not (plus and re.fullmatch(r"[0-9a-f]{8}", digits)):
        bad("replay_key_id", "A key's id is its name, + and 8 hexadecimal digits.")
    return f"{optional(name, 'replay_key_id')}{plus}{digits}"


def look(request: pb.GetConsentStateRequest) -> Look:
    """A state to show."""
    return Look(
        subject=parts.subject(request.subject_id),
        as_of=_moment(request, "as_of"),
        as_known_at=_moment(request, "as_known_at"),
        include_ended=request.include_ended,
    )


def _moment(request: pb.GetConsentStateRequest, name: str) -> Moment | None:
    """A time, or a place; not both."""
    timed, placed = request.HasField(f"{name}_us"), request.HasField(f"{name}_position")  # type: ignore[arg-type]
    if timed and placed:
        bad(f"{name}_position", "A time or a position is taken, not both.")
    if placed:
        return parts.position(getattr(request, f"{name}_position"), f"{name}_position")
    return time(getattr(request, f"{name}_us"), f"{name}_us") if timed else None


def list_events(request: pb.ListConsentEventsRequest) -> ListEvents:
    """A page of entries."""
    if not 0 <= request.page_size <= LONGEST_PAGE:
        bad("page_size", f"A page has 1 to {LONGEST_PAGE} entries.")
    if request.page_token and not _PAGE_TOKEN.fullmatch(request.page_token):
        bad("page_token", "The token is not of an earlier answer.")
    return ListEvents(
        subject=parts.subject(request.subject_id),
        after=int(request.page_token) if request.page_token else -1,
        amount=request.page_size or PAGE,
    )


def watch(request: pb.WatchConsentsRequest) -> Watch:
    """A stream to open."""
    for number, partition in enumerate(bounded(request.partitions, "partitions", most=PARTITIONS)):
        if partition >= PARTITIONS:
            bad(f"partitions[{number}]", f"Partitions are 0 to {PARTITIONS - 1}.")
    placed = request.HasField("after")
    return Watch(parts.position(request.after, "after") if placed else None, frozenset(request.partitions))


def find_registry(request: pb.GetRegistryRequest) -> FindRegistry:
    """A registry to show."""
    if request.digest and not _DIGEST.fullmatch(request.digest):
        bad("digest", "A digest is sha256: and 64 hexadecimal digits.")
    placed = request.HasField("position")
    if placed and request.digest:
        bad("position", "A digest or a position is taken, not both.")
    return FindRegistry(
        request.digest,
        _notice(request) if request.HasField("notice") else None,
        parts.position(request.position, "position") if placed else None,
    )


def _notice(request: pb.GetRegistryRequest) -> NoticeRef:
    """Which notice: whatever hash the caller states."""
    asked = request.notice
    return NoticeRef(named(asked.id, "notice.id"), asked.version, named(asked.locale, "notice.locale"))
