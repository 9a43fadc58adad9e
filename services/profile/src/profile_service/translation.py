"""From an accepted bank event to a fact of the fold: which series it observes and which registers it sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from assent.events.v1.bank_pb2 import BankEvent
from profile_service.domain.facts import (
    COUNT,
    MEASURES,
    Fact,
    Registered,
    Scalar,
    date_ms,
    event_key,
    register_key,
    series_key,
)
from servicekit.errors import Invalid

Observations = tuple[tuple[str, int], ...]
Registers = tuple[tuple[str, Registered], ...]
Says = tuple[Observations, Registers]


def fact(event: BankEvent) -> Fact:
    """The fact of an event that was accepted before; Invalid for one that this code cannot read."""
    kind = event.WhichOneof("body") or ""
    try:
        observations, registers = _SAYS[kind](kind, getattr(event, kind))
    except (KeyError, ValueError):
        raise Invalid("The event is of a type that is not known here.", reason="UNKNOWN_TYPE", field="body") from None
    return Fact(event_key(event.event_id), event.occurred_at_ms, observations, registers)


def _transaction(_kind: str, t: Any) -> Says:
    key = (
        f"transaction\tamount_minor\t{t.direction}\t{t.kind}\t{t.currency}\t{t.account}\t{t.merchant}\t{t.merchant_category}"
        f"\t{t.counterparty}\t{t.channel}\t{t.country}\t{'1' if t.cross_border else ''}"
    )
    return ((key, t.amount_minor),), ()


def _balance(kind: str, b: Any) -> Says:
    fields = (b.account, b.product_kind, b.currency)
    present = (name for name in MEASURES[kind] if not name.startswith(("principal", "limit")) or b.HasField(name))
    return tuple((series_key(kind, name, fields), getattr(b, name)) for name in present), ()


def _counted(kind: str, *fields: str) -> Observations:
    return ((series_key(kind, COUNT, fields), 1),)


def _terms(p: Any) -> list[Scalar]:
    """Product kind, maturity as epoch ms, rate, limit; None for what was not said."""
    maturity = date_ms(p.maturity_date) if p.HasField("maturity_date") else None
    rate, limit = (getattr(p, name) if p.HasField(name) else None for name in ("rate_bp", "limit_minor"))
    return [p.product_kind, maturity, rate, limit]


def _opened(kind: str, p: Any) -> Says:
    first = (register_key("<opened", p.holding), p.product_kind)
    return _counted(kind, p.product_kind), (
        first,
        (register_key("open", p.holding), True),
        (register_key("holding", p.holding), _terms(p)),
    )


def _changed(kind: str, p: Any) -> Says:
    return _counted(kind, p.product_kind), ((register_key("holding", p.holding), _terms(p)),)


def _closed(kind: str, p: Any) -> Says:
    return _counted(kind, p.product_kind), ((register_key("open", p.holding), False),)


def _score(kind: str, c: Any) -> Says:
    return ((series_key(kind, "score", ()), c.score),), ()


def _vulnerability(kind: str, v: Any) -> Says:
    return _counted(kind, v.flag, v.state), ((register_key("flag", v.flag), v.state),)


def _complaint(kind: str, c: Any) -> Says:
    return _counted(kind, c.state, c.topic), ((register_key("complaint", c.topic), c.state),)


def _goal(kind: str, g: Any) -> Says:
    target = g.target_minor if g.HasField("target_minor") else None
    return _counted(kind, g.kind), (
        (register_key("goal", g.kind), [target, date_ms(g.date) if g.HasField("date") else None]),
    )


def _trait(_kind: str, t: Any) -> Says:
    return (), ((register_key("trait", t.name), _plain(t.value)),)


def _plain(value: Any) -> Registered:
    match value.WhichOneof("kind"):
        case "set":
            return sorted(set(value.set.ids))
        case "money":
            return int(value.money.amount_minor)
        case kind:
            return getattr(value, kind)  # type: ignore[no-any-return]  # a scalar of the oneof


_SAYS: Final[Mapping[str, Callable[[str, Any], Says]]] = {
    "transaction": _transaction,
    "balance": _balance,
    "product_opened": _opened,
    "product_changed": _changed,
    "product_closed": _closed,
    "application": lambda kind, a: (_counted(kind, a.product_kind, a.state), ()),
    "card_declined": lambda kind, c: (_counted(kind, c.reason), ()),
    "credit_score_changed": _score,
    "contact_made": lambda kind, c: (_counted(kind, c.channel, c.direction, c.topic), ()),
    "complaint": _complaint,
    "vulnerability": _vulnerability,
    "life_event": lambda kind, e: (_counted(kind, e.kind), ((register_key("life", e.kind), date_ms(e.date)),)),
    "goal": _goal,
    "preference": lambda kind, p: (_counted(kind, p.name), ((register_key("preference", p.name), p.value),)),
    "trait": _trait,
}
