"""The rules of eligibility: pure functions of a bundle and one request.

Theory. Every action passes seven stages, all of which are always evaluated: consent, builtin, eligibility, applicability,
suitability, suppression, contact. A rule is a predicate in strong Kleene logic; what ends unknown is settled by the rule's own
`missing`, and in protective rules (suppression, built-in) unknown is no. A rule judging an action sees a value only when the pair
(the action's purpose, the value's category) is allowed; protective rules read under `safeguarding`. Rules at all levels add up.
"""
