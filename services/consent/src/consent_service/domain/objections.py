"""The objection layer: OBJECT, RESTRICT and OPT_OUT, each over a subtree, and their lifting.

Per kind and key the last act counts, and a grant never lifts anything here. A lifting lifts only what is older by event time: a late
upload of one cannot undo an objection made since. Dropping a lifting that has nothing left to lift changes no verdict, because
whatever comes later is not lifted by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consent_service.domain.choices import Scope, Statement
from consent_service.domain.words import LIFTS, OBJECTIONS, Kind


def lifts_nothing(statements: Iterable[Statement], lift: Statement) -> bool:
    """Whether every objection that the lifting meets is as new as it by event time; with none to meet it does what it says."""
    met = [o for o in statements if o.kind is LIFTS[lift.kind] and o.scope.meets(lift.scope)]
    return bool(met) and not any(lift.lifts(objection) for objection in met)


def lifted(objection: Statement, statements: Iterable[Statement]) -> tuple[Scope, ...]:
    """Scopes for which the objection was lifted since."""
    return tuple(
        lift.scope
        for lift in statements
        if lift.index > objection.index and lift.lifts(objection) and lift.scope.meets(objection.scope)
    )


def pruned(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Without the liftings that have nothing left to lift. In index order, as always."""
    if all(statement.kind not in LIFTS for statement in statements):
        return statements
    return tuple(s for n, s in enumerate(statements) if s.kind not in LIFTS or _useful(s, statements[:n]))


def _useful(lift: Statement, before: Sequence[Statement]) -> bool:
    return any(lift.lifts(objection) and objection.scope.meets(lift.scope) for objection in before)


def standing(reaching: Iterable[Statement]) -> list[Statement]:
    """The objections that stand, of the statements that reach one key."""
    found: list[Statement] = []
    for statement in reaching:
        if statement.kind in OBJECTIONS:
            found.append(statement)
        elif statement.kind in LIFTS:
            found = [objection for objection in found if not statement.lifts(objection)]
    return found


def stands_throughout(statements: Sequence[Statement], kind: Kind, scope: Scope) -> bool:
    """Whether one objection of the kind stands for everything that the scope reaches as a denial."""
    return any(
        objection.kind is kind
        and objection.scope.denies_all(scope)
        and not any(hole.meets(scope) for hole in (*objection.exceptions, *lifted(objection, statements)))
        for objection in statements
    )


def stands_somewhere(statements: Sequence[Statement], kind: Kind, scope: Scope) -> bool:
    """Whether an objection of the kind may stand for a part of what the scope reaches."""
    return any(objection.kind is kind and objection.scope.meets(scope) for objection in statements)
