"""What a request must be: parsed at the border, trusted inside. Every refusal names the field and never repeats its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assent.catalog.v1.value_pb2 import Attribute
from assent.events.v1.bank_pb2 import Identifier
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from catalog.model import Bundle
from catalog.values import Missing, conform
from servicekit.errors import Invalid, NotFound
from servicekit.values import plain

TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
LOCALE: Final = re.compile(r"[a-z]{2}(-[A-Z]{2})?")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{16,64}")
TIME_ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
IDENTIFIERS: Final = frozenset(
    {"subject_id", "customer_number", "visitor", "device", "email_hash", "phone_hash", "card_token"}
)
MOST_PLACEMENTS: Final = 16
MOST_ATTRIBUTES: Final = 32
MOST_MEMBERS: Final = 64
OURS: Final = frozenset(
    {"context.channel", "context.jurisdictions", "context.screen", "context.flow", "context.step"}
    | {"context.device_class", "context.time_zone"}
)
"""Attributes that have a field of their own, or that we find out ourselves."""
LONGEST_IDENTIFIER: Final = 256

Asked = pb.DecideRequest | pb.WatchDecisionsRequest


def check_decide(request: pb.DecideRequest, bundle: Bundle) -> None:
    """Raise Invalid or NotFound for the first thing that is not right."""
    _match(REQUEST_ID, request.request_id, "request_id", "16 to 64 characters of A-Z a-z 0-9 _ . : -")
    check_asked(request, bundle)


def check_watch(request: pb.WatchDecisionsRequest, bundle: Bundle) -> None:
    """As `check_decide`; a stream belongs to a session."""
    _match(TOKEN, request.session_id, "session_id", "a token of up to 64 characters")
    check_asked(request, bundle)


def check_asked(request: Asked, bundle: Bundle) -> None:
    """What both have in common."""
    check_identifier(request.subject)
    if request.session_id:
        _match(TOKEN, request.session_id, "session_id", "a token of up to 64 characters")
    if request.channel not in bundle.channel:
        raise NotFound("The bundle has no such channel", reason="UNKNOWN_CHANNEL", field="channel")
    if bundle.channel[request.channel].outbound and isinstance(request, pb.WatchDecisionsRequest):
        raise Invalid("Nobody watches this channel", reason="OUTBOUND_CHANNEL", field="channel")
    _match(LOCALE, request.locale, "locale", "a locale such as en-GB")
    _check_placements(request.placements, request.channel, bundle)
    _check_context(request.context, bundle)


def check_identifier(identifier: Identifier) -> None:
    """An identifier of a known type, and a value that could be one."""
    if identifier.type not in IDENTIFIERS:
        raise Invalid(
            f"One of {', '.join(sorted(IDENTIFIERS))}", reason="UNKNOWN_IDENTIFIER_TYPE", field="subject.type"
        )
    value = identifier.value
    if not 0 < len(value) <= LONGEST_IDENTIFIER or not value.isprintable():
        raise Invalid(f"1 to {LONGEST_IDENTIFIER} printable characters", reason="BAD_TEXT", field="subject.value")


def _check_placements(placements: Sequence[pb.PlacementRequest], channel: str, bundle: Bundle) -> None:
    if not 0 < len(placements) <= MOST_PLACEMENTS:
        raise Invalid(f"1 to {MOST_PLACEMENTS} placements", reason="BAD_COUNT", field="placements")
    seen: set[str] = set()
    for position, placement in enumerate(placements):
        field = f"placements[{position}].id"
        known = bundle.placement.get(placement.id)
        if known is None or channel not in known.channels:
            raise NotFound("The channel has no such placement", reason="UNKNOWN_PLACEMENT", field=field)
        if placement.id in seen:
            raise Invalid("Each placement once", reason="REPEATED", field=field)
        seen.add(placement.id)


def _check_context(context: pb.DecisionContext, bundle: Bundle) -> None:
    for name in ("screen", "flow", "step", "device_class"):
        if value := getattr(context, name):
            _match(TOKEN, value, f"context.{name}", "a token of up to 64 characters")
    if context.time_zone:
        _check_time_zone(context.time_zone)
    if len(context.attributes) > MOST_ATTRIBUTES:
        raise Invalid(f"At most {MOST_ATTRIBUTES} attributes", reason="BAD_COUNT", field="context.attributes")
    seen: set[str] = set()
    for position, attribute in enumerate(context.attributes):
        field = f"context.attributes[{position}]"
        _check_attribute(attribute, field, bundle)
        if attribute.name in seen:
            raise Invalid("Each attribute once", reason="REPEATED", field=f"{field}.name")
        seen.add(attribute.name)


def _check_time_zone(name: str) -> None:
    _match(TIME_ZONE, name, "context.time_zone", "an IANA time zone")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid("An IANA time zone", reason="BAD_TEXT", field="context.time_zone") from None


def _check_attribute(attribute: Attribute, field: str, bundle: Bundle) -> None:
    if attribute.name in OURS or not attribute.name.startswith("context.") or attribute.name not in bundle.types:
        raise Invalid(
            "The bundle declares no such context attribute", reason="UNKNOWN_ATTRIBUTE", field=f"{field}.name"
        )
    declared = bundle.types[attribute.name]
    value = conform(plain(attribute.value), declared)
    listed = declared.kind != "enum" or not declared.values or value in declared.values
    currency = attribute.value.money.currency if attribute.value.HasField("money") else declared.currency
    if isinstance(value, Missing) or not listed or currency != declared.currency:
        raise Invalid(f"A value of type {declared.kind} is declared", reason="BAD_TYPE", field=f"{field}.value")
    for text in (value,) if isinstance(value, str) else _members(value, f"{field}.value"):
        _match(TOKEN, text, f"{field}.value", "a token of up to 64 characters")


def _members(value: object, field: str) -> frozenset[str]:
    """The members of a set, which must not be too many; none of anything else."""
    if not isinstance(value, frozenset):
        return frozenset()
    if len(value) > MOST_MEMBERS:
        raise Invalid(f"At most {MOST_MEMBERS} members", reason="BAD_COUNT", field=field)
    return value


def _match(pattern: re.Pattern[str], value: str, field: str, needed: str) -> None:
    if not pattern.fullmatch(value):
        raise Invalid(needed, reason="BAD_TEXT" if value else "MISSING", field=field)
