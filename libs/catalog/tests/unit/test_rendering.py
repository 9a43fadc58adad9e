import pytest

from catalog.rendering import NotRenderable, Renderer, render
from catalog.values import Missing

VALUES = {
    "view.balance": 4210,
    "view.salary_next": 1_780_000_000_000,
    "view.dining_month": 23_450,
    "view.dining_share": 1_850,
    "view.maturity_days": 1,
    "view.maturing_amount": 1_500_000,
    "view.first_name": '<b>"Eve"</b>',
    "derived.products": 1_234,
    "view.days_since_contact": 3,
}


@pytest.fixture(scope="session")
def renderer(harbour):
    return Renderer(harbour)


def slots(renderer, treatment, locale="en-GB", channel="mobile", values=VALUES):
    [rendered] = renderer.render([treatment], locale, channel, values)
    return rendered.slots


def test_money_and_dates_are_written_as_the_locale_does(renderer):
    english, german = (slots(renderer, "low_balance_alert.card", locale) for locale in ("en-GB", "de-DE"))

    assert english["title"] == "Your balance is down to €42.10"
    assert "28 May 2026" in english["body"]
    assert german["title"] == "Noch 42,10\N{NO-BREAK SPACE}€ auf Ihrem Konto"
    assert "28. Mai 2026" in german["body"]


def test_ratios_are_percent(renderer):
    assert "18.5% of your spending" in slots(renderer, "budget_coaching.plain")["body"]


@pytest.mark.parametrize(("days", "words"), [(0, "today"), (1, "tomorrow"), (7, "in 7 days")])
def test_numbers_choose_the_plural(renderer, days, words):
    title = slots(renderer, "deposit_maturity_alert.card", values={"view.maturity_days": days})["title"]

    assert title == f"Your deposit matures {words}"


def test_a_missing_value_uses_the_declared_alternative(renderer):
    [rendered] = renderer.render(["low_balance_alert.card"], "en-GB", "mobile", {"view.balance": Missing.NO_CONSENT})

    assert rendered.slots["title"] == "Your balance is low"
    assert rendered.without == ("view.balance", "view.salary_next")


def test_a_value_of_the_wrong_type_counts_as_missing(renderer):
    assert slots(renderer, "low_balance_alert.card", values={"view.balance": "42"})["title"] == "Your balance is low"


def test_values_are_escaped_for_the_channel(harbour):
    channels = [
        channel.model_copy(update={"escaping": "html"}) if channel.id == "advisor" else channel
        for channel in harbour.channels
    ]
    escaped = Renderer(harbour.model_copy(update={"channels": tuple(channels)}))

    assert slots(escaped, "advisor_briefing.desk", channel="advisor")["title"] == (
        "Before you talk to &lt;b&gt;&quot;Eve&quot;&lt;/b&gt;"
    )


def test_control_and_direction_characters_never_reach_a_text(renderer):
    title = slots(
        renderer, "advisor_briefing.desk", channel="advisor", values={**VALUES, "view.first_name": "A\u202eb\x00c"}
    )["title"]

    assert title == "Before you talk to A b c"


@pytest.mark.parametrize(
    ("wanted", "found"), [("de-DE", "de-DE"), ("de-AT", "de-DE"), ("fr-FR", "en-GB"), ("", "en-GB")]
)
def test_the_locale_falls_back_along_its_chain(renderer, wanted, found):
    [rendered] = renderer.render(["home_everyday.plain"], wanted, "web", {})

    assert rendered.locale == found


def test_a_text_missing_in_one_locale_is_taken_from_its_fallback(harbour):
    german = harbour.messages["de-DE"].replace("home-everyday =", "home-someday =")
    half = harbour.model_copy(update={"messages": {**harbour.messages, "de-DE": german}})

    [rendered] = render(half, ["home_everyday.plain"], "de-DE", "web", {})

    assert (rendered.locale, rendered.slots["title"]) == ("en-GB", "Your accounts")


def test_a_channel_shows_only_the_slots_it_has(renderer):
    assert set(slots(renderer, "low_balance_alert.push", channel="push")) == {"title", "body"}


def test_a_treatment_of_another_channel_is_refused(renderer):
    with pytest.raises(NotRenderable, match="not a treatment on chat"):
        renderer.render(["low_balance_alert.card"], "en-GB", "chat", {})


def test_every_treatment_can_be_said_with_and_without_values(harbour, renderer):
    for action in harbour.actions:
        for treatment in action.treatments:
            for channel in treatment.channels:
                for locale in harbour.bank.locale_ids:
                    for values in ({}, VALUES):
                        words = slots(renderer, treatment.id, locale, channel, values)
                        assert all(text and "{" not in text for text in words.values())


def test_rendering_is_a_function_of_its_inputs(harbour):
    names = [
        treatment.id for action in harbour.actions for treatment in action.treatments if "web" in treatment.channels
    ]

    assert render(harbour, names, "de-DE", "web", VALUES) == Renderer(harbour).render(names, "de-DE", "web", VALUES)


def test_reasons_and_fallbacks_have_words(renderer):
    assert renderer.text("reason-min-age", "de-DE") == "Dieses Produkt ist für Erwachsene."
    assert renderer.fallback("home_everyday", "fr-FR") == "Accounts first"
