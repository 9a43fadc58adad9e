"""Why an action is removed: every reason is made here."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.model import Rule
from catalog.values import Missing
from eligibility_service.domain.verdicts import Found, Test

STAGES = ("consent", "builtin", "eligibility", "applicability", "suitability", "suppression", "contact")
_RANK = {stage: rank for rank, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Reason:
    """One failure of one action. `seen` is the value that failed it, or the cause of its absence; None when there is no attribute."""

    stage: str
    rule: str
    code: str
    text: str = ""
    disclose: str = "staff"
    attribute: str = ""
    seen: Found | None = None
    needed: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Its place among an action's reasons: stage, then rule."""
        return _RANK[self.stage], self.rule

    @property
    def missing(self) -> str:
        """Why there was no value; empty when there was one, or none was asked for."""
        return self.seen.value if isinstance(self.seen, Missing) else ""


def failed(rule: Rule, test: Test, seen: Found) -> Reason:
    """A rule that does not hold, and the test that is to blame."""
    told = rule.reason
    return Reason(rule.stage, rule.id, told.code, told.text, told.disclose, test.attribute, seen, test.needed)


def built_in(
    code: str,
    *,
    stage: str = "builtin",
    disclose: str = "staff",
    attribute: str = "",
    seen: Found | None = None,
    needed: str = "",
) -> Reason:
    """A rule that nobody wrote and nobody can remove; its id follows from its code."""
    return Reason(stage, f"builtin.{code.lower()}", code, "", disclose, attribute, seen, needed)


def touching(rule: str, code: str, *, text: str = "", disclose: str = "staff", until_ms: int = 0) -> Reason:
    """A contact policy, a limit or quiet hours; `until_ms` says when it ends."""
    return Reason("contact", rule, code, text, disclose, needed=f"after {until_ms}" if until_ms else "")
