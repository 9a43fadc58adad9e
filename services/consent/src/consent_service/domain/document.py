"""Reading a registry document: everything is checked, every unknown field refused, every list sorted and without repeats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from consent_service.domain import values
from consent_service.domain.choices import NoticeRef
from consent_service.domain.registry import (
    ABSOLUTE_OBJECTION,
    Covers,
    Notice,
    NoticeStatus,
    Purpose,
    Regime,
    Registry,
)
from consent_service.domain.values import bad
from consent_service.domain.words import SELF, Basis
from servicekit.errors import FailedPrecondition

VERSION: Final = 1
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][A-Za-z0-9]{1,3})?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Profiles = Mapping[str, Mapping[str, Any]]
"""Regimes that a document may choose by name."""
_NONE: Final[Profiles] = {}


def read(value: Any, *, digest: str, index: int, profiles: Profiles = _NONE) -> Registry:
    """The registry that the parsed document gives; Invalid names the field that is wrong, FailedPrecondition TREE_INVALID a tree."""
    top = values.fields(value, "document", _TOP)
    if top["v"] != VERSION:
        bad("document.v", "This version of the format is not known.")
    registry = Registry(
        digest=digest,
        index=index,
        default_regimes=values.ids(top, "document", "default_regimes"),
        channels=frozenset(values.ids(top, "document", "channels")),
        recipients=frozenset(values.ids(top, "document", "recipients")),
        regimes=values.each(top, "regimes", partial(_regime, profiles), lambda found: found.id),
        purposes=values.each(top, "purposes", _purpose, lambda found: found.id),
        notices=values.each(top, "notices", _notice, lambda found: found.ref[:3]),
    )
    _consistent(registry)
    return registry


def _completed(profiles: Profiles, regime: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    """The regime with what its profile states, where it names one and does not state it itself."""
    if "profile" not in regime:
        return regime
    profile = profiles.get(str(regime["profile"]))
    if profile is None:
        bad(f"{at}.profile", "No such profile is shipped.")
    return {**profile, **{field: value for field, value in regime.items() if field != "profile"}}


def _regime(profiles: Profiles, value: Any, at: str) -> Regime:
    fields = values.fields(_completed(profiles, values.object_(value, at), at), at, _REGIME)
    allowed = values.texts(fields["allowed_bases"], f"{at}.allowed_bases")
    absolute = "absolute_objection"
    return Regime(
        id=values.id_(fields["id"], f"{at}.id"),
        allowed_bases=frozenset(values.basis(name, f"{at}.allowed_bases") for name in allowed),
        max_event_age_us=values.whole(fields["max_event_age_us"], f"{at}.max_event_age_us"),
        window_us=values.whole(fields["window_us"], f"{at}.window_us"),
        notice_required=values.flag(fields["notice_required"], f"{at}.notice_required"),
        max_validity_us=values.whole(fields["max_validity_us"], f"{at}.max_validity_us", least=1)
        if "max_validity_us" in fields
        else None,
        signals=_signals(fields.get("signals", {}), f"{at}.signals"),
        absolute_objection=frozenset(values.ids(fields, at, absolute)) if absolute in fields else ABSOLUTE_OBJECTION,
    )


def _signals(value: Any, at: str) -> dict[str, frozenset[str]]:
    return {
        values.id_(signal, at): frozenset(values.id_(tag, at) for tag in values.texts(tags, at))
        for signal, tags in values.object_(value, at).items()
    }


def _purpose(value: Any, at: str) -> Purpose:
    fields = values.fields(value, at, _PURPOSE)
    bases = {
        regime: values.basis(name, f"{at}.bases")
        for regime, name in values.map_(fields["bases"], f"{at}.bases").items()
    }
    needs_consent = values.flag(fields.get("needs_consent", True), f"{at}.needs_consent")
    if not needs_consent and {Basis.CONSENT, Basis.OPT_OUT} & set(bases.values()):
        bad(f"{at}.needs_consent", "A purpose whose basis is the person's choice needs it.")
    _described(fields, at)
    return Purpose(
        id=values.id_(fields["id"], f"{at}.id"),
        title=values.text(fields["title"], f"{at}.title", values.LONGEST_TEXT),
        bases=bases,
        categories=frozenset(values.categories(fields, at)),
        recipients=frozenset(values.ids(fields, at, "recipients")),
        channels=frozenset(values.ids(fields, at, "channels")) if "channels" in fields else None,
        special_ground=values.map_(fields.get("special_ground", {}), f"{at}.special_ground"),
        retired=values.flag(fields.get("retired", False), f"{at}.retired"),
        tags=frozenset(values.ids(fields, at, "tags")) if "tags" in fields else frozenset(),
    )


def _notice(value: Any, at: str) -> Notice:
    fields = values.fields(value, at, _NOTICE)
    covers = values.fields(fields["covers"], f"{at}.covers", _COVERS)
    _described(fields, at)
    ref = NoticeRef(
        values.id_(fields["id"], f"{at}.id"),
        values.whole(fields["version"], f"{at}.version", least=1),
        values.matching(fields["locale"], f"{at}.locale", _LOCALE),
        values.matching(fields["sha256"], f"{at}.sha256", _SHA256),
    )
    return Notice(
        ref=ref,
        status=NoticeStatus(values.one_of(fields["status"], f"{at}.status", tuple(NoticeStatus))),
        effective_from_us=values.whole(fields["effective_from_us"], f"{at}.effective_from_us"),
        covers=Covers(
            purposes=frozenset(values.ids(covers, f"{at}.covers", "purposes")),
            channels=frozenset(values.ids(covers, f"{at}.covers", "channels")),
            categories=frozenset(values.categories(covers, f"{at}.covers")),
            recipients=frozenset(values.ids(covers, f"{at}.covers", "recipients")),
        ),
    )


def _described(fields: Any, at: str) -> None:
    """What a purpose or notice says for people and for exports: texts that judge nothing."""
    for name in _DESCRIPTIONS:
        if name in fields:
            values.text(fields[name], f"{at}.{name}", values.LONGEST_TEXT)


def _consistent(registry: Registry) -> None:
    """Raise for a reference that leads nowhere: what is not listed could never be allowed, and nobody would know why."""
    regimes = registry.regimes or {}
    if not registry.default_regimes or not set(registry.default_regimes) <= set(regimes):
        bad("document.default_regimes", "At least one, each of them declared.")
    if SELF not in registry.recipients:
        bad("document.recipients", "The bank itself is a recipient.")
    for purpose in (registry.purposes or {}).values():
        _consistent_purpose(registry, purpose)
    for notice in (registry.notices or {}).values():
        _consistent_notice(registry, notice.covers)


def _consistent_purpose(registry: Registry, purpose: Purpose) -> None:
    at = f"document.purposes[{purpose.id}]"
    parent = purpose.id.rpartition(".")[0]
    if parent and registry.purpose(parent) is None:
        raise FailedPrecondition("A purpose has no parent.", reason="TREE_INVALID", purpose=purpose.id)
    for regime, basis in purpose.bases.items():
        declared = registry.regime(regime)
        if declared is None or basis not in declared.allowed_bases:
            bad(f"{at}.bases", "The regime is not declared, or does not allow this basis.")
    if not set(purpose.special_ground or {}) <= set(purpose.bases):
        bad(f"{at}.special_ground", "A ground needs a basis in its regime.")
    if not purpose.recipients <= registry.recipients or not (purpose.channels or frozenset()) <= registry.channels:
        bad(at, "It names a recipient or channel that is not declared.")


def _consistent_notice(registry: Registry, covers: Covers) -> None:
    declared = (registry.purposes or {}).keys(), registry.channels, registry.recipients
    named = covers.purposes, covers.channels, covers.recipients
    if not all(mine <= set(theirs) for mine, theirs in zip(named, declared, strict=True)):
        bad("document.notices.covers", "It names a purpose, channel or recipient that is not declared.")


# True marks a field that must be there.
_DESCRIPTIONS: Final = ("controller", "dpv_iri", "retention", "url", "withdrawal_method")
_TOP: Final = dict.fromkeys(("v", "default_regimes", "channels", "recipients", "regimes", "purposes", "notices"), True)
_REGIME: Final = {
    **dict.fromkeys(("id", "allowed_bases", "max_event_age_us", "window_us", "notice_required"), True),
    **dict.fromkeys(("max_validity_us", "signals", "absolute_objection"), False),
}
_PURPOSE: Final = {
    **dict.fromkeys(("id", "title", "bases", "categories", "recipients"), True),
    **dict.fromkeys(("channels", "special_ground", "needs_consent", "retired", "tags", *_DESCRIPTIONS), False),
}
_NOTICE: Final = {
    **dict.fromkeys(("id", "version", "locale", "sha256", "status", "effective_from_us", "covers"), True),
    **dict.fromkeys(_DESCRIPTIONS, False),
}
_COVERS: Final = dict.fromkeys(("purposes", "channels", "categories", "recipients"), True)
