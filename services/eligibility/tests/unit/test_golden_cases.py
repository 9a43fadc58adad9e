"""What the example bank promises its customers, run through this engine."""

from __future__ import annotations

import pytest
from eligibility_builders import engine, harbour

from catalog.golden import run_case

BUNDLE = harbour()


@pytest.mark.parametrize("case", BUNDLE.cases, ids=lambda case: case.name)
def test_a_golden_case_keeps_its_ending(case):
    result = run_case(BUNDLE, case, engine)

    assert result.differences == ()
