"""The registry document that the consent ledger judges by, derived from a bundle.

Its form is the ledger's: canonical JSON, every list sorted, absent fields omitted, times in microseconds. The ledger's own
copy counts; a bundle whose registry it refuses does not become active.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from catalog.digest import canonical, digest_of
from catalog.model import Bundle, Notice, Purpose, Regime

US_PER_MS = 1000

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NoticeText:
    """The exact bytes of one notice version in one locale."""

    id: str
    version: int
    locale: str
    bytes: bytes

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return hashlib.sha256(self.bytes).hexdigest()


def registry_document(bundle: Bundle) -> bytes:
    """The registry of a bundle, as the ledger stores it."""
    return canonical(
        {
            "v": 1,
            "default_regimes": sorted(bundle.default_regimes),
            "channels": sorted(channel.id for channel in bundle.channels),
            "recipients": sorted({"self", *(recipient.id for recipient in bundle.recipients)}),
            "regimes": [_regime(regime) for regime in sorted(bundle.regimes, key=lambda regime: regime.id)],
            "purposes": [_purpose(purpose) for purpose in sorted(bundle.purposes, key=lambda purpose: purpose.id)],
            "notices": list(_notices(bundle)),
        }
    )


def registry_digest(document: bytes) -> str:
    """`sha256:<hex>` of the document."""
    return digest_of(document)


def registry_notices(bundle: Bundle) -> tuple[NoticeText, ...]:
    """Every notice in every locale, by id, version and locale."""
    texts = (
        NoticeText(notice.id, notice.version, locale, text.encode())
        for notice in bundle.notices
        for locale, text in notice.texts.items()
    )
    return tuple(sorted(texts, key=lambda text: (text.id, text.version, text.locale)))


def _regime(regime: Regime) -> Json:
    described: dict[str, object] = {
        "id": regime.id,
        "allowed_bases": sorted(basis.upper() for basis in regime.allowed_bases),
        "max_event_age_us": regime.max_event_age * US_PER_MS,
        "window_us": regime.window * US_PER_MS,
        "notice_required": regime.notice_required,
    }
    if regime.max_validity is not None:
        described["max_validity_us"] = regime.max_validity * US_PER_MS
    if regime.signals:
        described["signals"] = {signal: sorted(tags) for signal, tags in regime.signals.items()}
    return described


def _purpose(purpose: Purpose) -> Json:
    described: dict[str, object] = {
        "id": purpose.id,
        "title": purpose.title,
        "bases": {regime: basis.upper() for regime, basis in purpose.lawful_basis.items()},
        "categories": sorted(purpose.categories),
        "recipients": sorted(purpose.recipients),
    }
    optional = {
        "special_ground": dict(purpose.special_ground),
        "tags": sorted(purpose.tags),
        "retired": purpose.retired,
    }
    described |= {name: value for name, value in optional.items() if value}
    return described if purpose.needs_consent else {**described, "needs_consent": False}


def _notices(bundle: Bundle) -> Iterator[Json]:
    by_key = {(notice.id, notice.version): notice for notice in bundle.notices}
    for text in registry_notices(bundle):
        notice = by_key[text.id, text.version]
        yield {
            "id": text.id,
            "version": text.version,
            "locale": text.locale,
            "sha256": text.sha256,
            "status": notice.state,
            "effective_from_us": notice.effective_from * US_PER_MS,
            "covers": _covers(notice),
        }


def _covers(notice: Notice) -> Json:
    return {
        "purposes": sorted(notice.purposes),
        "channels": sorted(notice.channels),
        "categories": sorted(notice.categories),
        "recipients": sorted(notice.recipients),
    }
