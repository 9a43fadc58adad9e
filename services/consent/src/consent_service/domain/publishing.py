"""What may be published: a document that singles nobody out, and that takes nothing back which people were told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from consent_service.domain.registry import Notice, NoticeStatus, Purpose, Registry
from servicekit.errors import FailedPrecondition, Invalid

_PERSONAL: Final = re.compile(
    r"""\d{6,}                                  # a telephone, account or customer number
    | (?<![0-9a-z])(?=[0-9a-f]*\d)[0-9a-f]{12,}(?![0-9a-z])   # part of a random or hashed id
    | [^\s@]+@[^\s@]+\.[^\s@]+                  # a mail address""",
    re.VERBOSE | re.IGNORECASE,
)
_URLS: Final = frozenset({"url", "dpv_iri"})
_EXEMPT: Final = frozenset({"sha256"})


def refuse_personal(document: Any) -> None:
    """Raise Invalid PERSON_SINGLED_OUT for an id, text or URL that can stand for one person: the log keeps a registry for ever."""
    for at, name, value in _texts(document, "document", ""):
        if _PERSONAL.search(value) or (name in _URLS and not _public(value, name)):
            raise Invalid("It can single out a person.", field=at[:200], reason="PERSON_SINGLED_OUT")


def _texts(value: Any, at: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Every text of a document with its path and the field that holds it; keys of objects too."""
    if isinstance(value, str):
        yield at, name, value
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{at}[{number}]", name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield at, "", key
            if key not in _EXEMPT:
                yield from _texts(inner, f"{at}.{key}", key)


def _public(url: str, name: str) -> bool:
    """Whether everybody who follows the address looks the same: no user and no query in it, and no fragment but an IRI's."""
    try:
        parts: SplitResult = urlsplit(url)
    except ValueError:
        return False
    plain = "?" not in url and "@" not in url and (name == "dpv_iri" or "#" not in url)
    return parts.scheme == "https" and bool(parts.hostname) and plain and url.isascii() and url.isprintable()


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
    if new is None or _recalled(old, new) or _told(old) != _told(new):
        raise FailedPrecondition(
            "A published notice never changes but for its status, and VOID is for ever.",
            reason="NOTICE_CHANGED",
            notice=f"{old.ref.id} {old.ref.version} {old.ref.locale}",
        )


def _recalled(old: Notice, new: Notice) -> bool:
    return old.status is NoticeStatus.VOID and new.status is not NoticeStatus.VOID


def _told(notice: Notice) -> tuple[object, ...]:
    return notice.ref, notice.effective_from_us, notice.covers
