"""A synthetic bank: customers of a few kinds with two months of money. Seeded: the same seed is the same bank, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from assent.events.v1.bank_pb2 import BankEvent, Product, Vulnerability
from harbour_bank.bank_events import DAY_MS, balance, event, payment, trait


@dataclass(frozen=True, slots=True)
class Kind:
    """What customers of one kind have in common. Money in cents; `share` in percent of all customers."""

    name: str
    share: int
    age: tuple[int, int]
    salary: tuple[int, int]
    cash: tuple[int, int]
    dining: tuple[int, int]
    holdings: tuple[str, ...] = ("current",)
    vulnerable: bool = False


KINDS = (
    Kind("saver", 25, (30, 65), (280_000, 480_000), (600_000, 3_000_000), (3_000, 12_000)),
    Kind("tight month", 25, (20, 45), (160_000, 240_000), (-20_000, 9_000), (8_000, 26_000)),
    Kind("diner", 20, (24, 50), (240_000, 420_000), (60_000, 300_000), (22_000, 60_000)),
    Kind("settled", 20, (40, 70), (300_000, 600_000), (200_000, 900_000), (5_000, 20_000), ("current", "savings")),
    Kind("student", 7, (18, 26), (0, 90_000), (5_000, 60_000), (4_000, 12_000)),
    Kind("in difficulty", 3, (25, 60), (120_000, 220_000), (-90_000, 20_000), (2_000, 6_000), vulnerable=True),
)
EMPLOYMENT = ("employed", "employed", "employed", "self_employed", "retired")
RESIDENCE = ("DE", "DE", "DE", "AT", "NL", "FR")
MONTHS = 2


def customers(count: int) -> list[str]:
    """The customers' numbers."""
    return [f"HB-{number:06d}" for number in range(1, count + 1)]


def events(count: int, *, seed: int, now_ms: int) -> Iterator[BankEvent]:
    """All bank events of `count` customers up to `now_ms`, customer by customer, each in order of time."""
    for customer in customers(count):
        yield from events_of(customer, random.Random(f"{seed}/{customer}"), now_ms)  # noqa: S311  data, not a secret


def events_of(customer: str, chance: random.Random, now_ms: int) -> Iterator[BankEvent]:
    """One customer's events."""
    kind = chance.choices(KINDS, [kind.share for kind in KINDS])[0]
    yield from sorted(_life(customer, kind, chance, now_ms), key=lambda e: (e.occurred_at_ms, e.event_id))


def _life(customer: str, kind: Kind, chance: random.Random, now_ms: int) -> Iterator[BankEvent]:
    start = now_ms - 75 * DAY_MS
    yield from _person(customer, kind, chance, now_ms)
    for holding in kind.holdings:
        opened = Product(holding=f"{customer}-{holding}", product_kind=holding)
        yield event(customer, f"open-{holding}", start - chance.randrange(3000) * DAY_MS, product_opened=opened)
    if kind.vulnerable:
        yield event(customer, "flag", start, vulnerability=Vulnerability(flag="hardship", state="set"))
    yield from _money(customer, kind, chance, now_ms)


def _person(customer: str, kind: Kind, chance: random.Random, now_ms: int) -> Iterator[BankEvent]:
    told: dict[str, str | int] = {
        "view.age_years": chance.randint(*kind.age),
        "view.residence": chance.choice(RESIDENCE),
        "view.employment": "student" if kind.name == "student" else chance.choice(EMPLOYMENT),
        "view.kyc_state": "verified",
        "view.card_state": chance.choices(("active", "shipped"), (95, 5))[0],
    }
    for name, value in told.items():
        yield event(customer, name, now_ms - DAY_MS, trait=trait(name, value))


def _money(customer: str, kind: Kind, chance: random.Random, now_ms: int) -> Iterator[BankEvent]:
    account = f"{customer}-current"
    cash, salary = chance.randint(*kind.cash), chance.randint(*kind.salary)
    for days in (70, 35, 1):
        yield event(customer, f"balance-{days}", now_ms - days * DAY_MS, balance=balance(account, "current", cash))
    if "savings" in kind.holdings:
        saved = balance(f"{customer}-savings", "savings", chance.randint(300_000, 2_500_000))
        yield event(customer, "saved", now_ms - DAY_MS, balance=saved)
    for month in range(MONTHS):
        yield from _month(customer, account, salary, kind, chance, now_ms - (30 * month + 3) * DAY_MS, month)


def _month(
    customer: str, account: str, salary: int, kind: Kind, chance: random.Random, at_ms: int, month: int
) -> Iterator[BankEvent]:
    if salary:
        paid = payment(account, "in", "payroll", salary, at_ms, counterparty="employer")
        yield event(customer, f"salary-{month}", at_ms, transaction=paid)
    rent = payment(account, "out", "household", 40_000 + salary // 5, at_ms + DAY_MS, counterparty="landlord")
    yield event(customer, f"rent-{month}", at_ms + DAY_MS, transaction=rent)
    streaming = payment(account, "out", "subscription", 1_299, at_ms, merchant="streaming")
    yield event(customer, f"streaming-{month}", at_ms, transaction=streaming)
    for number in range(4):
        day_ms = at_ms - chance.randrange(25) * DAY_MS
        amount = chance.randint(*kind.dining) // 4 + 1
        eaten = payment(account, "out", "card", amount, day_ms, merchant="bistro", category="restaurant")
        yield event(customer, f"dining-{month}-{number}", day_ms, transaction=eaten)
