"""From YAML data to a typed expression, or the reason why not.

Long form: `{attr, op, value}`, `{all: [..]}`, `{any: [..]}`, `{not: ..}`. Short form, a map whose entries must all
hold: `{role: submit}` is eq (`is` for a boolean), `{role: [a, b]}` is in, `{ms: {gte: 3000, lt: 9000}}`,
`{field: {present: true}}`; `all`, `any` and `not` may stand among the entries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from catalog.expression.tree import (
    EXISTENCE_OPS,
    NUMBER_OPS,
    SET_OPS,
    TOKEN_OPS,
    AllOf,
    AnyOf,
    Expression,
    Not,
    Operand,
    Predicate,
)
from catalog.values import LIMIT, ValueType

Path = tuple[str | int, ...]
_SCALED = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,4})?)(%|x)")
_JOINS = ("all", "any", "not")
MAX_DEPTH = 32
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExpressionInvalid(ValueError):  # named like servicekit's Invalid
    """The expression cannot be understood; `path` leads to the part, `code` is stable."""

    def __init__(self, code: str, message: str, path: Path = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.path = code, message, path


def parse(data: object, types: Mapping[str, ValueType], path: Path = ()) -> Expression:
    """The typed expression; raises ExpressionInvalid. `types` is the closed list of what may be named."""
    if len(path) > 2 * MAX_DEPTH:
        raise ExpressionInvalid("TOO_DEEP", f"more than {MAX_DEPTH} levels", path)
    if not isinstance(data, Mapping) or not data:
        raise ExpressionInvalid("EMPTY", "a predicate is needed here; nothing to check must not mean allowed", path)
    if "attr" in data:
        return _long(data, types, path)
    parts = [part for key, value in data.items() for part in _entry(key, value, types, (*path, key))]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def scaled(text: str) -> int | None:
    """Basis points of `5%` (500) or `4x` (40000); None when it is written otherwise."""
    found = _SCALED.fullmatch(text)
    if not found:
        return None
    points = Decimal(found[1]) * (100 if found[2] == "%" else 10_000)
    return int(points) if points == int(points) else None


def _entry(key: str, value: object, types: Mapping[str, ValueType], path: Path) -> list[Expression]:
    if key == "not":
        return [Not(parse(value, types, path))]
    if key in _JOINS:
        join = AllOf if key == "all" else AnyOf
        return [join(_parts(value, types, path))]
    declared = _declared(key, types, path)
    if isinstance(value, Mapping) and not _is_money(value, declared):
        if not value:
            raise ExpressionInvalid("EMPTY", f"{key} has no test", path)
        return [_predicate(key, op, operand, declared, (*path, op)) for op, operand in value.items()]
    return [_predicate(key, _short_op(value, declared), value, declared, path)]


def _parts(value: object, types: Mapping[str, ValueType], path: Path) -> tuple[Expression, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ExpressionInvalid("EMPTY", f"{path[-1]} needs a list of at least one predicate", path)
    return tuple(parse(part, types, (*path, index)) for index, part in enumerate(value))


def _long(data: Mapping[str, object], types: Mapping[str, ValueType], path: Path) -> Expression:
    strange = sorted(set(data) - {"attr", "op", "value"})
    if strange:
        raise ExpressionInvalid("UNKNOWN_FIELD", f"{strange[0]} does not belong here", (*path, strange[0]))
    attribute, op = data["attr"], data.get("op")
    if not isinstance(attribute, str) or not isinstance(op, str):
        raise ExpressionInvalid("TYPE", "attr and op are needed, both text", path)
    return _predicate(attribute, op, data.get("value"), _declared(attribute, types, path), path)


def _declared(attribute: str, types: Mapping[str, ValueType], path: Path) -> ValueType:
    if attribute not in types:
        raise ExpressionInvalid("UNKNOWN_ATTRIBUTE", f"{attribute} is not declared", path)
    return types[attribute]


def _short_op(value: object, declared: ValueType) -> str:
    if isinstance(value, list | tuple):
        return "contains_any" if declared.kind == "set" else "in"
    return "is" if isinstance(value, bool) else "eq"


def _predicate(attribute: str, op: str, value: object, declared: ValueType, path: Path) -> Predicate:
    if op not in _operators(declared):
        allowed = " ".join(sorted(_operators(declared)))
        raise ExpressionInvalid("TYPE", f"{op} does not fit {attribute}, a {declared.kind}: use {allowed}", path)
    return Predicate(attribute, op, _operand(op, value, declared, path), declared)


def _operators(declared: ValueType) -> frozenset[str]:
    if declared.numeric:
        return NUMBER_OPS | EXISTENCE_OPS
    if declared.kind == "bool":
        return EXISTENCE_OPS | {"is"}
    return EXISTENCE_OPS | (SET_OPS if declared.kind == "set" else TOKEN_OPS)


def _operand(op: str, value: object, declared: ValueType, path: Path) -> Operand:
    if op in EXISTENCE_OPS:
        _require_nothing(op, value, path)
        return None
    if op in {"is", "empty"}:
        return _bool(op, value, path)
    if op == "between":
        return _bounds(value, declared, path)
    if op in {"in", "not_in"} or op.startswith("contains"):
        return _members(value, declared, path)
    return _literal(value, declared, path)


def _require_nothing(op: str, value: object, path: Path) -> None:
    if value is not None and value is not True:
        raise ExpressionInvalid(
            "TYPE", f"{op} takes no value; for the opposite use the other of present, missing", path
        )


def _bool(op: str, value: object, path: Path) -> bool:
    if op == "empty" and value is None:
        return True
    if not isinstance(value, bool):
        raise ExpressionInvalid("TYPE", f"{op} needs true or false", path)
    return value


def _bounds(value: object, declared: ValueType, path: Path) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ExpressionInvalid("TYPE", "between needs [low, high]", path)
    low, high = (_number(part, declared, path) for part in value)
    if low > high:
        raise ExpressionInvalid("TYPE", f"between {low} and {high} holds nothing", path)
    return (low, high)


def _members(value: object, declared: ValueType, path: Path) -> tuple[int, ...] | tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ExpressionInvalid("EMPTY", "a list of at least one value is needed", path)
    if declared.numeric:
        return tuple(sorted({_number(part, declared, path) for part in value}))
    return tuple(sorted({_token(part, declared, path) for part in value}))


def _literal(value: object, declared: ValueType, path: Path) -> int | str:
    return _number(value, declared, path) if declared.numeric else _token(value, declared, path)


def _token(value: object, declared: ValueType, path: Path) -> str:
    if not isinstance(value, str):
        raise ExpressionInvalid("TYPE", f"{value!r} is not text", path)
    if declared.values and value not in declared.values:
        raise ExpressionInvalid("UNKNOWN_VALUE", f"{value} is not one of {' '.join(declared.values)}", path)
    return value


def _number(value: object, declared: ValueType, path: Path) -> int:
    number = _amount(value, declared, path) if isinstance(value, Mapping) else _written(value, declared)
    if number is None or not -LIMIT <= number < LIMIT:
        raise ExpressionInvalid("TYPE", f"{value!r} is not a {_wanted(declared)}", path)
    return number


def _wanted(declared: ValueType) -> str:
    wanted = {
        "money": "whole number of minor units",
        "ratio": "number of basis points",
        "time": "time such as 2026-05-04",
    }
    return wanted.get(declared.kind, "whole number")


def _written(value: object, declared: ValueType) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return (
            instant(value) if declared.kind == "time" else scaled(value) if declared.kind in {"ratio", "int"} else None
        )
    return None


def instant(text: str) -> int | None:
    """Milliseconds UTC of an ISO 8601 date or time with a zone; None when it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        if len(text) != len("2026-05-04"):
            return None
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _is_money(value: Mapping[str, object], declared: ValueType) -> bool:
    return declared.kind == "money" and set(value) == {"minor", "currency"}


def _amount(value: Mapping[str, object], declared: ValueType, path: Path) -> int | None:
    if not _is_money(value, declared):
        return None
    if value["currency"] != declared.currency:
        raise ExpressionInvalid("CURRENCY", f"{value['currency']} is compared with {declared.currency}", path)
    return _written(value["minor"], declared)
