"""Reading a registry document: everything is checked, every unknown field refused, every list sorted and without repeats."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from consent_service.domain.choices import NoticeRef
from consent_service.domain.registry import Covers, Notice, NoticeStatus, Purpose, Regime, Registry
from consent_service.domain.words import CATEGORIES, SELF, Basis
from servicekit.errors import FailedPrecondition, Invalid

VERSION: Final = 1
_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*")
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][A-Za-z0-9]{1,3})?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LIMIT: Final = 1 << 53

T = TypeVar("T")


def read(value: Any, *, digest: str, index: int) -> Registry:
    """The registry that the parsed document gives; Invalid names the field that is wrong, FailedPrecondition TREE_INVALID a tree."""
    top = _fields(value, "document", _TOP)
    if top["v"] != VERSION:
        _bad("document.v", "This version of the format is not known.")
    registry = Registry(
        digest=digest,
        index=index,
        default_regimes=_ids(top, "document", "default_regimes"),
        channels=frozenset(_ids(top, "document", "channels")),
        recipients=frozenset(_ids(top, "document", "recipients")),
        regimes=_each(top, "regimes", _regime, lambda found: found.id),
        purposes=_each(top, "purposes", _purpose, lambda found: found.id),
        notices=_each(top, "notices", _notice, lambda found: found.ref[:3]),
    )
    _consistent(registry)
    return registry


def _regime(value: Any, at: str) -> Regime:
    fields = _fields(value, at, _REGIME)
    return Regime(
        id=_id(fields["id"], f"{at}.id"),
        allowed_bases=frozenset(_basis(name, f"{at}.allowed_bases") for name in _texts(fields, at, "allowed_bases")),
        max_event_age_us=_whole(fields["max_event_age_us"], f"{at}.max_event_age_us"),
        window_us=_whole(fields["window_us"], f"{at}.window_us"),
        notice_required=_flag(fields["notice_required"], f"{at}.notice_required"),
        max_validity_us=_whole(fields["max_validity_us"], f"{at}.max_validity_us", least=1)
        if "max_validity_us" in fields
        else None,
    )


def _purpose(value: Any, at: str) -> Purpose:
    fields = _fields(value, at, _PURPOSE)
    bases = {regime: _basis(name, f"{at}.bases") for regime, name in _map(fields["bases"], f"{at}.bases").items()}
    if not _flag(fields.get("needs_consent", True), f"{at}.needs_consent") and {Basis.CONSENT, Basis.OPT_OUT} & set(
        bases.values()
    ):
        _bad(f"{at}.needs_consent", "A purpose whose basis is the person's choice needs it.")
    return Purpose(
        id=_id(fields["id"], f"{at}.id"),
        title=_text(fields["title"], f"{at}.title", 4000),
        bases=bases,
        categories=frozenset(_categories(fields, at)),
        recipients=frozenset(_ids(fields, at, "recipients")),
        channels=frozenset(_ids(fields, at, "channels")) if "channels" in fields else None,
        special_ground=_map(fields.get("special_ground", {}), f"{at}.special_ground"),
        retired=_flag(fields.get("retired", False), f"{at}.retired"),
    )


def _notice(value: Any, at: str) -> Notice:
    fields = _fields(value, at, _NOTICE)
    covers = _fields(fields["covers"], f"{at}.covers", _COVERS)
    ref = NoticeRef(
        _id(fields["id"], f"{at}.id"),
        _whole(fields["version"], f"{at}.version", least=1),
        _matching(fields["locale"], f"{at}.locale", _LOCALE),
        _matching(fields["sha256"], f"{at}.sha256", _SHA256),
    )
    return Notice(
        ref=ref,
        status=NoticeStatus(_one_of(fields["status"], f"{at}.status", tuple(NoticeStatus))),
        effective_from_us=_whole(fields["effective_from_us"], f"{at}.effective_from_us"),
        covers=Covers(
            purposes=frozenset(_ids(covers, f"{at}.covers", "purposes")),
            channels=frozenset(_ids(covers, f"{at}.covers", "channels")),
            categories=frozenset(_categories(covers, f"{at}.covers")),
            recipients=frozenset(_ids(covers, f"{at}.covers", "recipients")),
        ),
    )


def _consistent(registry: Registry) -> None:
    """Raise for a reference that leads nowhere: what is not listed could never be allowed, and nobody would know why."""
    regimes = registry.regimes or {}
    if not registry.default_regimes or not set(registry.default_regimes) <= set(regimes):
        _bad("document.default_regimes", "At least one, each of them declared.")
    if SELF not in registry.recipients:
        _bad("document.recipients", "The bank itself is a recipient.")
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
            _bad(f"{at}.bases", "The regime is not declared, or does not allow this basis.")
    if not set(purpose.special_ground or {}) <= set(purpose.bases):
        _bad(f"{at}.special_ground", "A ground needs a basis in its regime.")
    if not purpose.recipients <= registry.recipients or not (purpose.channels or frozenset()) <= registry.channels:
        _bad(at, "It names a recipient or channel that is not declared.")


def _consistent_notice(registry: Registry, covers: Covers) -> None:
    declared = (registry.purposes or {}).keys(), registry.channels, registry.recipients
    named = covers.purposes, covers.channels, covers.recipients
    if not all(mine <= set(theirs) for mine, theirs in zip(named, declared, strict=True)):
        _bad("document.notices.covers", "It names a purpose, channel or recipient that is not declared.")


def refuse_change(old: Registry, new: Registry) -> None:
    """Raise FailedPrecondition when the new registry takes back what people were told under the old one."""
    for purpose in (old.purposes or {}).values():
        _refuse_purpose_change(purpose, new.purpose(purpose.id))
    for notice in (old.notices or {}).values():
        _refuse_notice_change(notice, new.notice(notice.ref))


def _refuse_purpose_change(old: Purpose, new: Purpose | None) -> None:
    if new is None or (old.retired and not new.retired):
        raise FailedPrecondition(
            "A purpose is retired, never removed, and does not come back.", reason="PURPOSE_REMOVED", purpose=old.id
        )
    same_bases = all(new.bases.get(regime) is basis for regime, basis in old.bases.items())
    if not same_bases or any(new.ground(regime) != old.ground(regime) for regime in old.bases):
        raise FailedPrecondition(
            "A purpose's lawful basis never changes: another basis is another purpose.",
            reason="BASIS_CHANGED",
            purpose=old.id,
        )


def _refuse_notice_change(old: Notice, new: Notice | None) -> None:
    recalled = old.status is NoticeStatus.VOID and new is not None and new.status is not NoticeStatus.VOID
    if (
        new is None
        or recalled
        or (old.ref, old.effective_from_us, old.covers)
        != (
            new.ref,
            new.effective_from_us,
            new.covers,
        )
    ):
        raise FailedPrecondition(
            "A published notice never changes but for its status, and VOID is for ever.",
            reason="NOTICE_CHANGED",
            notice=f"{old.ref.id} {old.ref.version} {old.ref.locale}",
        )


# Reading one value at a time. True marks a field that must be there.
_TOP: Final = dict.fromkeys(("v", "default_regimes", "channels", "recipients", "regimes", "purposes", "notices"), True)
_REGIME: Final = {
    **dict.fromkeys(("id", "allowed_bases", "max_event_age_us", "window_us", "notice_required"), True),
    **dict.fromkeys(("max_validity_us", "signals"), False),
}
_PURPOSE: Final = {
    **dict.fromkeys(("id", "title", "bases", "categories", "recipients"), True),
    **dict.fromkeys(("channels", "special_ground", "needs_consent", "retired", "tags"), False),
}
_NOTICE: Final = dict.fromkeys(("id", "version", "locale", "sha256", "status", "effective_from_us", "covers"), True)
_COVERS: Final = dict.fromkeys(("purposes", "channels", "categories", "recipients"), True)


def _bad(field: str, text: str) -> NoReturn:
    raise Invalid(text, field=field, reason="REGISTRY_INVALID")


def _fields(value: Any, at: str, known: Mapping[str, bool]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _bad(at, "An object is needed.")
    missing = sorted(name for name, needed in known.items() if needed and name not in value)
    strange = sorted(set(value) - set(known))
    if missing or strange:
        _bad(f"{at}.{(missing or strange)[0]}"[:200], "The field is missing." if missing else "The field is not known.")
    return value


def _each(fields: Mapping[str, Any], name: str, make: Callable[[Any, str], T], key: Callable[[T], Any]) -> dict[Any, T]:
    values = fields[name]
    if not isinstance(values, list):
        _bad(f"document.{name}", "A list is needed.")
    made = [make(value, f"document.{name}[{number}]") for number, value in enumerate(values)]
    keys = [key(item) for item in made]
    _sorted(keys, f"document.{name}")
    return dict(zip(keys, made, strict=True))


def _sorted(values: Sequence[Any], at: str) -> None:
    if any(one >= other for one, other in pairwise(values)):
        _bad(at, "The list is sorted and has no repeats.")


def _texts(fields: Mapping[str, Any], at: str, name: str) -> tuple[str, ...]:
    values = fields[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        _bad(f"{at}.{name}", "A list of texts is needed.")
    _sorted(values, f"{at}.{name}")
    return tuple(values)


def _ids(fields: Mapping[str, Any], at: str, name: str) -> tuple[str, ...]:
    return tuple(_id(value, f"{at}.{name}") for value in _texts(fields, at, name))


def _categories(fields: Mapping[str, Any], at: str) -> tuple[str, ...]:
    return tuple(_one_of(value, f"{at}.categories", CATEGORIES) for value in _texts(fields, at, "categories"))


def _map(value: Any, at: str) -> dict[str, str]:
    if not isinstance(value, dict):
        _bad(at, "An object is needed.")
    return {_id(key, at): _text(inner, at, 4000) for key, inner in value.items()}


def _basis(value: Any, at: str) -> Basis:
    return Basis(_one_of(value, at, tuple(Basis)))


def _one_of(value: Any, at: str, known: Sequence[str]) -> str:
    if value not in known:
        _bad(at, "The word is not known.")
    return str(value)


def _id(value: Any, at: str) -> str:
    return _matching(value, at, _ID)


def _matching(value: Any, at: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(_text(value, at, 128)):
        _bad(at, "The text does not have the form that is needed.")
    return str(value)


def _text(value: Any, at: str, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        _bad(at, "A text of a bounded length is needed.")
    return value


def _whole(value: Any, at: str, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _LIMIT:
        _bad(at, "A whole number in range is needed.")
    return value


def _flag(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        _bad(at, "True or false is needed.")
    return value
