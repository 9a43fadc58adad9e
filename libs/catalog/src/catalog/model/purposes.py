"""purposes.yaml: the registry that the consent ledger keeps (consent.md section 3)."""

from __future__ import annotations

from typing import Literal

from catalog.frozen import Frozen, FrozenMap
from catalog.model.base import Bool, Category, Duration, Id, Instant, Int, Locale, Model, Text, Token

LawfulBasis = Literal["consent", "opt_out", "legitimate_interest", "contract", "legal_obligation"]


class Regime(Model):
    """A privacy regime as data. `signals` maps an opt-out signal to the purpose tags that it denies."""

    id: Token
    title: Text
    allowed_bases: tuple[LawfulBasis, ...]
    max_validity: Duration | None = None
    max_event_age: Duration = 7 * 86_400_000
    window: Duration = 0
    notice_required: Bool = True
    signals: Frozen[Token, tuple[Token, ...]] = FrozenMap()


class Recipient(Model):
    """Who may receive data; `self` is the bank."""

    id: Token
    title: Text


class Notice(Model):
    """The words people agreed to. A published version's bytes never change; VOID recalls every grant under it."""

    id: Token
    version: Int
    state: Literal["OPEN", "CLOSED", "VOID"] = "OPEN"
    effective_from: Instant
    purposes: tuple[Id, ...]
    categories: tuple[Category, ...]
    channels: tuple[Token, ...]
    recipients: tuple[Token, ...] = ("self",)
    texts: Frozen[Locale, Text]


class Purpose(Model):
    """Why data is used. Dots make the tree: a denial of `offers` covers `offers.credit`, a grant does not.

    `needs_consent: false` marks service purposes, which are allowed without a basis. `special_ground` names, per
    regime, the GDPR 9(2) ground (or its like) under which `sensitive` data may be read without explicit consent.
    """

    id: Id
    title: Text
    description: Text
    owner: Token
    categories: tuple[Category, ...]
    lawful_basis: Frozen[Token, LawfulBasis]
    needs_consent: Bool = True
    special_ground: Frozen[Token, Text] = FrozenMap()
    notices: tuple[Token, ...] = ()
    recipients: tuple[Token, ...] = ("self",)
    tags: tuple[Token, ...] = ()
    retired: Bool = False

    @property
    def parent(self) -> str | None:
        """The purpose above, or None at the top."""
        return self.id.rpartition(".")[0] or None
