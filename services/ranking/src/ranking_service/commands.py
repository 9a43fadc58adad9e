"""Commands that need no service: `assent rank arbitrate`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import IO, Any, Final

import click

from ranking_service.domain.arbitration import HIGHEST_FACTOR, factor, order_key, priority
from servicekit.errors import Invalid

HIGHEST_PROPENSITY: Final = 2
"""Vendors print sampled propensities above 1."""
BAD_INPUT: Final = 2

Factors = tuple[float, float, float, float]
ARMS: Final[Mapping[str, Callable[[Factors], Factors]]] = {
    "full": lambda factors: factors,
    "no_lever": lambda factors: (*factors[:3], 1.0),
    "propensity_only": lambda factors: (factors[0], 1.0, 1.0, 1.0),
}
"""What is left of (P, V, C, L) in the arms that need neither bundle nor snapshot."""


@click.group()
def rank() -> None:
    """Arbitration and evaluation of what was learned."""


@rank.command()
@click.option("--arm", type=click.Choice(sorted(ARMS)), default="full", show_default=True, help="Which factors count.")
@click.option("--in", "source", type=click.File("r", encoding="utf-8"), default="-", help="JSON; default stdin.")
def arbitrate(arm: str, source: IO[str]) -> None:
    """Order candidates by ((P * V) * C) * L, bit for bit. Exit code 2 on bad input."""
    try:
        document = json.load(source, parse_float=Decimal, parse_constant=_not_a_number)
        answer = arbitrated(document, ARMS[arm])
    except (Invalid, ValueError, RecursionError) as error:
        click.echo(f"bad input: {error}", err=True)
        raise SystemExit(BAD_INPUT) from None
    click.echo(json.dumps(answer, default=float))


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def arbitrated(document: Any, arm: Callable[[Factors], Factors]) -> dict[str, Any]:
    """The answer to a document of section 3 whose fractions are Decimals. Raises Invalid naming the field at fault."""
    decisions = _list(_map(document, "document").get("decisions"), "decisions")
    return {"decisions": [_decision(each, arm, f"decisions[{place}]") for place, each in enumerate(decisions)]}


def _decision(decision: Any, arm: Callable[[Factors], Factors], at: str) -> dict[str, Any]:
    candidates = _list(_map(decision, at).get("candidates"), f"{at}.candidates")
    found = [_candidate(each, arm, f"{at}.candidates[{place}]") for place, each in enumerate(candidates)]
    ranked = [entry for _, entry in sorted(found, key=lambda pair: pair[0])]
    return {"id": decision.get("id"), "ranked": [{**entry, "rank": place} for place, entry in enumerate(ranked, 1)]}


def _candidate(given: Any, arm: Callable[[Factors], Factors], at: str) -> tuple[Any, dict[str, Any]]:
    candidate = _map(given, at)
    action, treatment = _text(candidate.get("action"), f"{at}.action"), candidate.get("treatment")
    p, v, c, lever = arm(_factors(candidate, at))
    worth = priority(p, v, c, lever)
    text = "" if treatment is None else _text(treatment, f"{at}.treatment")
    key = order_key(mandatory=_flag(candidate, "mandatory", at), priority=worth, action=action, treatment=text)
    shown = {"action": action, "treatment": treatment, "rank": 0, "priority": worth, "P": p, "V": v, "C": c, "L": lever}
    return key, shown


def _factors(candidate: Mapping[str, Any], at: str) -> Factors:
    """P, V, C and L; a factor that is absent is 1."""
    p = _number(candidate.get("propensity", 1), f"{at}.propensity", 0, HIGHEST_PROPENSITY)
    v = _number(candidate.get("value", 1), f"{at}.value", -math.inf, math.inf)
    percents = _list(candidate.get("context_percents") or [], f"{at}.context_percents")
    stated = _map(candidate.get("levers") or {}, f"{at}.levers")
    levers = [stated.get(level) for level in ("issue", "group", "action")]
    c = _weighted(candidate.get("context_weight"), percents, f"{at}.context_weight")
    return p, v, c, _weighted(candidate.get("lever"), levers, f"{at}.lever")


def _weighted(stated: Any, percents: list[Any], at: str) -> float:
    """The factor itself when it is stated, else the one that the percents give."""
    if stated is not None:
        return _number(stated, at, 0, HIGHEST_FACTOR)
    exact = [each for each in percents if each is not None]
    for each in exact:
        _number(each, at, -math.inf, math.inf)
    return factor(exact)


def _number(value: Any, at: str, low: float, high: float) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Invalid("not a number", field=at)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (low <= number <= high and math.isfinite(number)):
        raise Invalid("out of range", field=at)
    return number


def _map(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("not an object", field=at)
    return value


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid("not a list", field=at)
    return value


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise Invalid("not text", field=at)
    value.encode()  # an unpaired surrogate is a ValueError
    return value


def _flag(candidate: Mapping[str, Any], name: str, at: str) -> bool:
    value = candidate.get(name)
    if value not in (None, True, False) or not isinstance(value, bool | None):
        raise Invalid("neither true nor false", field=f"{at}.{name}")
    return bool(value)
