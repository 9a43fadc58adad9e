"""The parts that requests share. A denial's are read leniently: what cannot be kept of them is left out, and the denial stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.canonical import is_text
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.position import Position
from consent_service.domain.words import ALL, SELF, ActorType
from consent_service.ports import Request
from consent_service.requests.fields import (
    ID,
    MOST_IN_SET,
    bad,
    bounded,
    if_named,
    named,
    names,
    optional,
    purpose,
)
from servicekit.errors import Unimplemented

MOST_PURPOSES: Final = 64
MOST_ATTACHMENTS: Final = 16
MOST_EVIDENCE_BYTES: Final = 8 * 1024
_REQUEST_ID: Final = re.compile(r"[!-~][ -~]{14,62}[!-~]")
_LEDGER: Final = re.compile(r"[0-9a-f]{32}")
_CATEGORIES: Final[Mapping[int, str]] = {
    number: name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items() if number
}
_ACTORS: Final = {number: ActorType(name.removeprefix("ACTOR_TYPE_")) for name, number in types_pb2.ActorType.items()}
_NAMED: Final = ("method", "ui_variant", "locale", "session_ref")


def request_of(request: Any) -> Request:
    """The id, and a hash of all that the request asks for; what it waits for is no part of that."""
    awaited(request)
    found: str = request.request_id
    if not _REQUEST_ID.fullmatch(found):
        bad("request_id", "A request id has 16 to 64 printable ASCII characters.")
    asked: Message = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("wait_for")
    content = request.DESCRIPTOR.full_name.encode() + b"\x00" + asked.SerializeToString(deterministic=True)
    return Request(found, hashlib.sha256(content).digest())


def awaited(request: Any) -> None:
    """Raise Unimplemented for what cannot be waited for yet."""
    if request.wait_for not in types_pb2.WaitFor.values():
        bad("wait_for", "What to wait for is not known.")
    if request.wait_for in (types_pb2.WAIT_FOR_PROPAGATED, types_pb2.WAIT_FOR_WITNESSED):
        raise Unimplemented("COMMITTED and CHECKPOINTED can be waited for.", field="wait_for")


def subject(value: str, field: str = "subject_id") -> str:
    """A subject's id."""
    return named(value, field)


def scope(value: types_pb2.Scope, at: str) -> Scope:
    """As a denial says it: an empty set is any."""
    return Scope(
        purpose=purpose(value.purpose, f"{at}.purpose"),
        channels=frozenset(names(value.channels, f"{at}.channels")),
        categories=frozenset(
            category(number, f"{at}.categories[{n}]")
            for n, number in enumerate(bounded(value.categories, f"{at}.categories", most=MOST_IN_SET))
        ),
        recipients=frozenset(names(value.recipients, f"{at}.recipients")),
    )


def listed(value: Scope, at: str) -> Scope:
    """The scope of a grant, which lists what it means; unless it names others, it means the bank."""
    for name, found in (("channels", value.channels), ("categories", value.categories)):
        if not found:
            bad(f"{at}.{name}", "A grant lists what it allows.")
    return Scope(value.purpose, value.channels, value.categories, value.recipients or frozenset({SELF}))


def selected(request: pb.WithdrawConsentRequest | pb.RecordObjectionRequest) -> tuple[tuple[Scope, str], ...]:
    """The scopes that a selector means, each with the field that says so."""
    selector = request.WhichOneof("selector")
    if selector == "all" and request.all:
        return ((Scope(ALL), "all"),)
    if selector == "purposes":
        ids = bounded(request.purposes.ids, "purposes.ids", least=1, most=MOST_PURPOSES)
        found = {purpose(value, f"purposes.ids[{n}]"): f"purposes.ids[{n}]" for n, value in enumerate(ids)}
        return tuple((Scope(value), at) for value, at in sorted(found.items()))
    if selector != "scope":
        bad("selector", "What it is about is needed.")
    return ((scope(request.scope, "scope"), "scope"),)


def key(value: types_pb2.Key, at: str) -> Key:
    """A key to judge."""
    return Key(
        purpose=purpose(value.purpose, f"{at}.purpose"),
        channel=named(value.channel, f"{at}.channel"),
        category=category(value.category, f"{at}.category"),
        recipient=named(value.recipient, f"{at}.recipient") if value.recipient else SELF,
    )


def category(number: int, at: str) -> str:
    """A data category."""
    found = _CATEGORIES.get(number)
    if found is None:
        bad(at, "The data category is not known.")
    return found


def actor(value: types_pb2.Actor) -> Actor:
    """Who acts."""
    if value.type not in _ACTORS:
        bad("actor.type", "The type of actor is not known.")
    return Actor(
        type=_ACTORS[value.type],
        id=optional(value.id, "actor.id"),
        auth_level=optional(value.auth_level, "actor.auth_level"),
        on_behalf_ref=optional(value.on_behalf_ref, "actor.on_behalf_ref"),
    )


def lenient_actor(value: types_pb2.Actor) -> Actor:
    """Whoever says no: what cannot be kept is left out; nobody named is the customer."""
    return Actor(
        type=_ACTORS.get(value.type, ActorType.UNSPECIFIED) if value.type else ActorType.CUSTOMER,
        id=if_named(value.id),
        auth_level=if_named(value.auth_level),
        on_behalf_ref=if_named(value.on_behalf_ref),
    )


def evidence(value: types_pb2.Evidence) -> Evidence:
    """Evidence of what widens."""
    if value.ByteSize() > MOST_EVIDENCE_BYTES:
        bad("evidence", "Evidence has at most 8 KiB.")
    refs = bounded(value.attachment_refs, "evidence.attachment_refs", most=MOST_ATTACHMENTS)
    ids: dict[str, Any] = {name: optional(getattr(value, name), f"evidence.{name}") for name in _NAMED}
    return Evidence(
        **ids,
        attachment_refs=tuple(named(ref, f"evidence.attachment_refs[{n}]") for n, ref in enumerate(refs)),
        free_text=_words(value.free_text),
    )


def _words(value: str) -> str:
    if not is_text(value):
        bad("evidence.free_text", "A text without NUL and without unpaired surrogates is needed.")
    return value


def lenient_evidence(value: types_pb2.Evidence) -> Evidence:
    """Evidence of a denial: what cannot be kept is left out, and named."""
    refs = tuple(filter(ID.fullmatch, value.attachment_refs[:MOST_ATTACHMENTS]))
    kept: dict[str, Any] = {name: if_named(getattr(value, name)) for name in _NAMED}
    left = types_pb2.Evidence(**kept, attachment_refs=refs, free_text=value.free_text).ByteSize() > MOST_EVIDENCE_BYTES
    words = "" if left or not is_text(value.free_text) else value.free_text
    dropped = [name for name in _NAMED if kept[name] != getattr(value, name)]
    if len(refs) < len(value.attachment_refs):
        dropped.insert(0, "attachment_refs")
    if words != value.free_text:
        dropped.insert(0, "free_text")
    return Evidence(**kept, dropped=tuple(dropped), attachment_refs=refs, free_text=words)


def notice(value: types_pb2.NoticeRef, at: str) -> NoticeRef:
    """The words that were shown."""
    if len(value.sha256) != 32:
        bad(f"{at}.sha256", "A SHA-256 has 32 bytes.")
    return NoticeRef(
        named(value.id, f"{at}.id"), value.version, named(value.locale, f"{at}.locale"), value.sha256.hex()
    )


def position(value: types_pb2.Position, at: str) -> Position:
    """A place in a ledger."""
    if not _LEDGER.fullmatch(value.ledger):
        bad(f"{at}.ledger", "A ledger's id has 32 hexadecimal digits.")
    return Position(value.ledger, value.epoch, value.index)
