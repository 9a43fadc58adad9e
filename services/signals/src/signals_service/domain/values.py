"""What a value of an event may be: no free text, nothing that looks like an account or a card."""

from __future__ import annotations

import re
from typing import Final

Scalar = int | bool | str

TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
SESSION: Final = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
EVENT_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}"
)
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SEVEN_DIGITS: Final = re.compile(r"[0-9]{7}")
_NUMBERS: Final = re.compile(r"[0-9](?:[0-9_.:-]*[0-9])?")
_CARD: Final = range(12, 20)
"""Digits of card and account numbers that the Luhn check is made for."""


def is_token(value: str) -> bool:
    """Whether the text is written as a token."""
    return TOKEN.fullmatch(value) is not None


def is_sensitive(value: Scalar) -> bool:
    """Whether a token has seven digits in a row, or a number in it passes the Luhn check."""
    text = str(value)
    if isinstance(value, str) and _SEVEN_DIGITS.search(text):
        return True
    return any(_luhn_windows(re.sub("[^0-9]", "", found)) for found in _NUMBERS.findall(text))


def _luhn_windows(digits: str) -> bool:
    """Whether the digits, all of them or a card's number inside, pass."""
    return any(
        luhn(digits[start : start + length])
        for length in _CARD
        for start in range(len(digits) - length + 1)
        if length >= 15 or len(digits) == length
    )


def luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
