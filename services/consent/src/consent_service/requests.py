"""Requests as commands. Every bad field is named; what only says no is never turned away for how it says it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn, TypeVar

from google.protobuf.message import Message

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service.commands import Check, Evaluate, FindRegistry, Look, Publish, RecordChoice, SetLink, Withdraw
from consent_service.domain.acceptance import Actor, Evidence, Item, Screen
from consent_service.domain.basis import DEFAULT_TTL_US, LONGEST_TTL_US
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.words import ALL, SELF, ActorType, Kind
from consent_service.ports import NoticeBytes, Request
from servicekit.errors import Invalid, Unimplemented

MOST_ITEMS: Final = 64
MOST_KEYS: Final = 256
MOST_IN_SET: Final = 64
MOST_DOCUMENT_BYTES: Final = 1 << 20
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TIME_LIMIT: Final = 1 << 53

CHOICE_KINDS: Final = {
    "GRANT": types_pb2.CHOICE_KIND_GRANT,
    "REFUSE": types_pb2.CHOICE_KIND_REFUSE,
    "WITHDRAW": types_pb2.CHOICE_KIND_WITHDRAW,
    "NOTICE_SERVED": types_pb2.CHOICE_KIND_NOTICE_SERVED,
}
_KINDS: Final = {number: Kind(name) for name, number in CHOICE_KINDS.items() if name != "WITHDRAW"}
_CATEGORIES: Final[Mapping[int, str]] = {
    number: name.removeprefix("DATA_CATEGORY_").lower() for name, number in DataCategory.items() if number
}
_NUMBERS: Final = {
    name.removeprefix("DATA_CATEGORY_").lower(): number for name, number in DataCategory.items() if number
}

T = TypeVar("T")


def category_number(category: str) -> DataCategory.ValueType:
    """The enum's number of a category."""
    return _NUMBERS[category]


def record_choice(request: pb.RecordChoiceRequest) -> RecordChoice:
    """A preference screen. One that only says no keeps what can be kept, and refuses nothing but what cannot be understood."""
    _bounded(request.items, "items", least=1, most=MOST_ITEMS)
    items = tuple(_item(item, f"items[{number}]") for number, item in enumerate(request.items))
    lenient = all(item.denial for item in items)
    screen = Screen(
        items=items,
        actor=_lenient_actor(request.actor) if lenient else _actor(request.actor),
        evidence=_lenient_evidence(request.evidence) if lenient else _evidence(request.evidence),
        notice=None if lenient or not request.HasField("notice") else _notice(request.notice, "notice"),
        event_us=request.event_time_us if request.HasField("event_time_us") else None,
        regimes=() if lenient else _names(request.regimes, "regimes"),
    )
    return RecordChoice(_request(request), _subject(request.subject_id), screen)


def withdraw(request: pb.WithdrawConsentRequest) -> Withdraw:
    """A withdrawal. Its selector must be understood; nothing else can turn it away."""
    return Withdraw(
        request=_request(request),
        subject=_subject(request.subject_id),
        scopes=_selected(request),
        actor=_lenient_actor(request.actor),
        reason=request.reason if _TOKEN.fullmatch(request.reason) else "",
        event_us=request.event_time_us if request.HasField("event_time_us") else None,
    )


def _selected(request: pb.WithdrawConsentRequest) -> tuple[Scope, ...]:
    selector = request.WhichOneof("selector")
    if selector == "all" and request.all:
        return (Scope(ALL),)
    if selector == "purposes":
        _bounded(request.purposes.ids, "purposes.ids", least=1, most=MOST_ITEMS)
        found = {_purpose(purpose, f"purposes.ids[{n}]") for n, purpose in enumerate(request.purposes.ids)}
        return tuple(map(Scope, sorted(found)))
    if selector != "scope":
        _bad("selector", "What to take back is needed.")
    return (_scope(request.scope, "scope"),)


def set_link(request: pb.SetSubjectLinkRequest) -> SetLink:
    """A wanted link."""
    survivor, absorbed = _subject(request.survivor, "survivor"), _subject(request.absorbed, "absorbed")
    if survivor == absorbed:
        _bad("absorbed", "A subject is not linked to itself.")
    evidence_ref = _optional(request.evidence_ref, "evidence_ref")
    return SetLink(_request(request), survivor, absorbed, request.linked, evidence_ref)


def check(request: pb.CheckConsentRequest) -> Check:
    """Keys to judge."""
    _bounded(request.keys, "keys", least=1, most=MOST_KEYS)
    return Check(
        subject=_subject(request.subject_id),
        keys=tuple(_key(key, f"keys[{number}]") for number, key in enumerate(request.keys)),
        at_us=_time(request.at_us, "at_us") if request.HasField("at_us") else None,
        regimes=_names(request.regimes, "regimes"),
        min_token=request.min_token,
    )


def evaluate(request: pb.EvaluateBasisRequest) -> Evaluate:
    """A basis to sign."""
    ttl_us = request.ttl_ms * 1000 if request.HasField("ttl_ms") else DEFAULT_TTL_US
    if not 0 < ttl_us <= LONGEST_TTL_US:
        _bad("ttl_ms", "A basis lives for 1 to 30,000 ms.")
    _bounded(request.purposes, "purposes", most=MOST_KEYS)
    return Evaluate(
        subject=_subject(request.subject_id),
        channel=_named(request.channel, "channel"),
        at_us=_time(request.at_us, "at_us") if request.HasField("at_us") else None,
        regimes=_names(request.regimes, "regimes"),
        purposes=tuple(_purpose(purpose, f"purposes[{n}]") for n, purpose in enumerate(request.purposes)),
        min_token=request.min_token,
        ttl_us=ttl_us,
    )


def look(request: pb.GetConsentStateRequest) -> Look:
    """A state to show."""
    return Look(
        subject=_subject(request.subject_id),
        as_of_us=_time(request.as_of_us, "as_of_us") if request.HasField("as_of_us") else None,
        as_known_at_us=_time(request.as_known_at_us, "as_known_at_us") if request.HasField("as_known_at_us") else None,
        include_ended=request.include_ended,
    )


def publish(request: pb.PublishRegistryRequest) -> Publish:
    """A registry to publish."""
    if not 0 < len(request.document) <= MOST_DOCUMENT_BYTES:
        _bad("document", "A document of at most 1 MiB is needed.")
    return Publish(
        request=_request(request),
        document=request.document,
        notices=tuple(_notice_bytes(notice, f"notices[{n}]") for n, notice in enumerate(request.notices)),
        approvers=_names(request.approvers, "approvers"),
    )


def find_registry(request: pb.GetRegistryRequest) -> FindRegistry:
    """A registry to show."""
    if request.digest and not _DIGEST.fullmatch(request.digest):
        _bad("digest", "A digest is sha256: and 64 hexadecimal digits.")
    notice = NoticeRef(request.notice.id, request.notice.version, request.notice.locale)
    return FindRegistry(request.digest, notice if request.HasField("notice") else None)


def _request(request: Message) -> Request:
    """The id, and a hash of the whole request."""
    found: str = request.request_id  # type: ignore[attr-defined]
    if not 16 <= len(found.encode()) <= 64 or not found.isprintable():
        _bad("request_id", "A request id has 16 to 64 printable bytes.")
    content = request.DESCRIPTOR.full_name.encode() + b"\x00" + request.SerializeToString(deterministic=True)
    return Request(found, hashlib.sha256(content).digest())


def _subject(value: str, field: str = "subject_id") -> str:
    return _named(value, field)


def _item(item: pb.Choice, at: str) -> Item:
    kind = _KINDS.get(item.kind)
    if kind is None:
        _bad(f"{at}.kind", "GRANT, REFUSE or NOTICE_SERVED is needed.")
    scope = _scope(item.scope, f"{at}.scope")
    if kind is Kind.REFUSE:
        return Item(kind, scope)
    return Item(
        kind=kind,
        scope=_listed(scope, f"{at}.scope"),
        explicit=item.explicit,
        from_us=_time(item.valid_from_us, f"{at}.valid_from_us") if item.HasField("valid_from_us") else None,
        to_us=_time(item.valid_to_us, f"{at}.valid_to_us") if item.HasField("valid_to_us") else None,
    )


def _scope(scope: types_pb2.Scope, at: str) -> Scope:
    return Scope(
        purpose=_purpose(scope.purpose, f"{at}.purpose"),
        channels=frozenset(_names(scope.channels, f"{at}.channels")),
        categories=frozenset(
            _category(number, f"{at}.categories[{n}]")
            for n, number in enumerate(_bounded(scope.categories, f"{at}.categories", most=MOST_IN_SET))
        ),
        recipients=frozenset(_names(scope.recipients, f"{at}.recipients")),
    )


def _listed(scope: Scope, at: str) -> Scope:
    """The scope of a grant, which lists what it means; unless it names others, it means the bank."""
    for name, values in (("channels", scope.channels), ("categories", scope.categories)):
        if not values:
            _bad(f"{at}.{name}", "A grant lists what it allows.")
    return Scope(scope.purpose, scope.channels, scope.categories, scope.recipients or frozenset({SELF}))


def _key(key: types_pb2.Key, at: str) -> Key:
    return Key(
        purpose=_purpose(key.purpose, f"{at}.purpose"),
        channel=_named(key.channel, f"{at}.channel"),
        category=_category(key.category, f"{at}.category"),
        recipient=_named(key.recipient, f"{at}.recipient") if key.recipient else SELF,
    )


def _actor(actor: types_pb2.Actor) -> Actor:
    return Actor(
        type=_actor_type(actor.type, "actor.type"),
        id=_optional(actor.id, "actor.id"),
        auth_level=_optional(actor.auth_level, "actor.auth_level"),
        on_behalf_ref=_optional(actor.on_behalf_ref, "actor.on_behalf_ref"),
    )


def _actor_type(number: int, at: str) -> ActorType:
    names = types_pb2.ActorType.items()
    found = next((name for name, known in names if known == number), None)
    if found is None:
        _bad(at, "The type of actor is not known.")
    return ActorType(found.removeprefix("ACTOR_TYPE_"))


def _lenient_actor(actor: types_pb2.Actor) -> Actor:
    """Whoever says no: what cannot be kept is left out; nobody named is the customer."""
    known = {number for _, number in types_pb2.ActorType.items()}
    kind = _actor_type(actor.type, "actor.type") if actor.type in known else ActorType.UNSPECIFIED
    return Actor(
        type=ActorType.CUSTOMER if not actor.type else kind,
        id=_if_named(actor.id),
        auth_level=_if_named(actor.auth_level),
        on_behalf_ref=_if_named(actor.on_behalf_ref),
    )


_UNSEALED: Final = ("free_text", "attachment_refs")


def _evidence(evidence: types_pb2.Evidence) -> Evidence:
    for name in _UNSEALED:
        if getattr(evidence, name):
            raise Unimplemented(
                "This evidence can only be kept sealed, which is not built yet.", field=f"evidence.{name}"
            )
    return Evidence(
        method=_optional(evidence.method, "evidence.method"),
        ui_variant=_optional(evidence.ui_variant, "evidence.ui_variant"),
        locale=_optional(evidence.locale, "evidence.locale"),
        session_ref=_optional(evidence.session_ref, "evidence.session_ref"),
    )


def _lenient_evidence(evidence: types_pb2.Evidence) -> Evidence:
    """Evidence of a denial: what cannot be kept is left out, and named."""
    fields = ("method", "ui_variant", "locale", "session_ref")
    bad = [name for name in fields if getattr(evidence, name) and not _ID.fullmatch(getattr(evidence, name))]
    return Evidence(
        method=_if_named(evidence.method),
        ui_variant=_if_named(evidence.ui_variant),
        locale=_if_named(evidence.locale),
        session_ref=_if_named(evidence.session_ref),
        dropped=(*(name for name in _UNSEALED if getattr(evidence, name)), *bad),
    )


def _notice(notice: types_pb2.NoticeRef, at: str) -> NoticeRef:
    if len(notice.sha256) != 32:
        _bad(f"{at}.sha256", "A SHA-256 has 32 bytes.")
    return NoticeRef(
        _named(notice.id, f"{at}.id"), notice.version, _named(notice.locale, f"{at}.locale"), notice.sha256.hex()
    )


def _notice_bytes(notice: pb.Notice, at: str) -> NoticeBytes:
    digest = hashlib.sha256(notice.bytes).hexdigest()
    ref = NoticeRef(_named(notice.id, f"{at}.id"), notice.version, _named(notice.locale, f"{at}.locale"), digest)
    return NoticeBytes(ref, notice.bytes)


def _category(number: int, at: str) -> str:
    found = _CATEGORIES.get(number)
    if found is None:
        _bad(at, "The data category is not known.")
    return found


def _purpose(value: str, at: str) -> str:
    if len(value) > 128 or not _PURPOSE.fullmatch(value):
        _bad(at, "A purpose's id is needed.")
    return value


def _names(values: Iterable[str], at: str) -> tuple[str, ...]:
    listed = _bounded(list(values), at, most=MOST_IN_SET)
    return tuple(sorted({_named(value, f"{at}[{number}]") for number, value in enumerate(listed)}))


def _named(value: str, at: str) -> str:
    if not _ID.fullmatch(value):
        _bad(at, "An id of 1 to 128 letters, digits and ._:@/- is needed.")
    return value


def _optional(value: str, at: str) -> str:
    return _named(value, at) if value else ""


def _if_named(value: str) -> str:
    return value if _ID.fullmatch(value) else ""


def _time(value: int, at: str) -> int:
    if not 0 <= value < _TIME_LIMIT:
        _bad(at, "Epoch microseconds are needed.")
    return value


def _bounded(values: Sequence[T], at: str, *, least: int = 0, most: int) -> Sequence[T]:
    if not least <= len(values) <= most:
        _bad(at, f"{least} to {most} are taken.")
    return values


def _bad(field: str, text: str) -> NoReturn:
    raise Invalid(text, field=field)
