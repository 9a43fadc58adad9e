"""Why an action is removed: every reason is made here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from catalog.values import Missing
from eligibility_service.domain.verdicts import Found, Test

STAGES = ("consent", "builtin", "eligibility", "applicability", "suitability", "suppression", "contact")
_RANK = {stage: rank for rank, stage in enumerate(STAGES)}
REMEMBERED = 4096
"""Reasons that are made once: customers share most of them, because most have no value, or one of few."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """What a rule says when it fails, whoever the customer is. Equal to itself only, as its tests are."""

    stage: str
    rule: str
    code: str
    text: str = ""
    disclose: str = "staff"


@lru_cache(REMEMBERED)
def failed(telling: Telling, test: Test, seen: Found) -> Reason:
    """A rule that does not hold, and the test that is to blame. A test sees values of one type, so True never meets 1 here."""
    told = telling
    return Reason(told.stage, told.rule, told.code, told.text, told.disclose, test.attribute, seen, test.needed)


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
