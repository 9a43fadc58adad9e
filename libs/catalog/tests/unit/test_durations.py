import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("999ms", 999), ("90s", 90_000), ("15m", 900_000), ("2h", 7_200_000), ("7d", 604_800_000), ("1w", 604_800_000)],
)
def test_each_unit_has_its_length(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-1s", "1 h", "1H", "05s", "1mo", "1s1ms"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_a_formatted_duration_parses_to_the_same_length(milliseconds):
    assert parse_duration(format_duration(milliseconds)) == milliseconds
