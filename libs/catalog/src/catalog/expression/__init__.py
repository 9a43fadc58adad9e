"""The predicate language of policies, signals, segments, audiences and context weights (eligibility.md section 3).

Theory: an expression is a tree of `all`, `any`, `not` over typed predicates on whole numbers, booleans, identifiers
and sets. Evaluation is strong Kleene logic: a predicate on a missing value is unknown, and unknown stays unknown
unless the other parts settle the matter. Nothing here can call code, and an empty `all` or `any` is an error,
because "nothing to check" must not mean "allowed".
"""

from catalog.expression.evaluate import Truth, evaluate, missing_causes, settle
from catalog.expression.parse import ExpressionInvalid, parse, scaled
from catalog.expression.tree import AllOf, AnyOf, Expression, Not, Operand, Predicate, attributes, predicates

__all__ = [
    "AllOf",
    "AnyOf",
    "Expression",
    "ExpressionInvalid",
    "Not",
    "Operand",
    "Predicate",
    "Truth",
    "attributes",
    "evaluate",
    "missing_causes",
    "parse",
    "predicates",
    "scaled",
    "settle",
]
