"""Sets of facts as hypothesis makes them: few series and days, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from profile_service.domain.facts import DAY_MS, Fact, event_key, register_key, series_key

DIRECTIONS = ("in", "out")
KINDS = ("payroll", "card", "subscription")
START = 20_000 * DAY_MS


def transaction_key(
    direction: str = "out", kind: str = "card", merchant: str = "", category: str = "", **more: str
) -> str:
    fields = (
        direction,
        kind,
        more.get("currency", "EUR"),
        more.get("account", "a1"),
        merchant,
        category,
        more.get("counterparty", ""),
        "pos",
        "",
        "",
    )
    return series_key("transaction", "amount_minor", fields)


def balance_key(account: str = "a1", product: str = "current", measure: str = "balance_minor") -> str:
    return series_key("balance", measure, (account, product, "EUR"))


series = st.one_of(
    st.builds(transaction_key, st.sampled_from(DIRECTIONS), st.sampled_from(KINDS), st.sampled_from(("", "m1", "m2"))),
    st.builds(balance_key, st.sampled_from(("a1", "a2"))),
)
registers = st.one_of(
    st.tuples(st.just(register_key("flag", "hardship")), st.sampled_from(("set", "lifted"))),
    st.tuples(st.just(register_key("open", "h1")), st.booleans()),
    st.tuples(st.just(register_key("<opened", "h1")), st.just("current")),
    st.tuples(st.just(register_key("trait", "view.segment")), st.sampled_from(("young", "family"))),
)
times = st.integers(START, START + 70 * DAY_MS) | st.sampled_from((START, START + 1, START + 33 * DAY_MS))


@st.composite
def facts(draw: st.DrawFn, number: int) -> Fact:
    observations = draw(st.lists(st.tuples(series, st.integers(-1_000, 10**12)), max_size=3))
    return Fact(
        event_key(f"event-{number}"), draw(times), tuple(observations), tuple(draw(st.lists(registers, max_size=2)))
    )


@st.composite
def fact_sets(draw: st.DrawFn, max_size: int = 12) -> list[Fact]:
    return [draw(facts(number)) for number in range(draw(st.integers(0, max_size)))]
