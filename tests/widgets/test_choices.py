"""What a picker says in words, and its form that lasts: plain, deterministic where asked, and no markup of others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from openclaw_nb.outlook import Preview
from openclaw_nb.reasoning.costs import Tariff
from openclaw_nb.reasoning.estimates import CostEstimate, Experience, Observation, Query, estimate
from openclaw_nb.reasoning.levels import Decision, ReasoningLevel
from openclaw_nb.widgets.choices import Choices, bundle, choices

from .test_drawing import TAGS, Finder

DEEP = Decision(ReasoningLevel.DEEP, "auto: asks for a proof, 4 conditions", auto=True)


def estimates(
    tariff: Tariff = Tariff("mine", (1.0, 8.0)),  # noqa: B008 - frozen
    seen: Experience | None = None,
) -> Mapping[int, CostEstimate]:
    query = Query(tariff.model, 200)
    return {level: estimate(query, level, tariff, seen or Experience()) for level in (1, 2, 3, 4)}


def shown(level: int | str = "auto", decision: Decision = DEEP, **others: object) -> Choices:
    return choices(level, Preview(decision, estimates()), **others)  # type: ignore[arg-type]


def test_each_level_has_its_money_and_seconds_and_the_ranges_in_words() -> None:
    known = estimates()
    said = shown().choices
    assert [one.label for one in said] == ["Auto", "1 fast", "2 standard", "3 deep", "4 ultra"]
    assert said[0].figure == "would take 3"
    for level, one in enumerate(said[1:], 1):
        money, seconds = one.figure.split(" · ")
        assert float(money.removeprefix("$")) == pytest.approx(known[level], rel=0.05)
        assert float(seconds.removesuffix(" s").removesuffix(" min")) > 0
        about, between, tokens = one.detail.split("; ")
        assert about.startswith(f"about {money}, between $")
        assert between.startswith(f"about {seconds}, between ")
        assert tokens.endswith(" tokens")
    assert len({one.figure for one in said}) == 5


@pytest.mark.parametrize(
    ("tariff", "money", "detail"),
    [
        (Tariff("offline"), "free", "free; "),
        (Tariff("openai:nobody-has-heard-of-it"), "price unknown", "the price of its model is not known; "),
    ],
)
def test_what_costs_nothing_and_what_nobody_knows(tariff: Tariff, money: str, detail: str) -> None:
    for one in choices("auto", Preview(DEEP, estimates(tariff))).choices[1:]:
        assert one.figure.startswith(f"{money} · ")
        assert one.detail.startswith(detail)


def test_long_ones_are_minutes_and_short_ones_a_second() -> None:
    for seconds, words in ((0.2, "1 s"), (11.4, "11 s"), (600.0, "10 min")):
        seen = Experience()
        for _ in range(60):
            seen.add(Observation("mine", 2, 200, 200, 400, seconds))
        assert choices("auto", Preview(DEEP, estimates(seen=seen))).choices[2].figure.endswith(f" · {words}")


def test_levels_above_the_limit_are_off_and_say_why() -> None:
    limited = Decision(ReasoningLevel.STANDARD, "auto: asks for a proof, limited to 2 by the budget of $0.01")
    said = shown(decision=limited, max_level=2)
    assert [one.off for one in said.choices] == [False, False, False, True, True]
    assert (said.choices[3].figure, said.choices[3].detail) == ("limited to 2", "no level above 2 is allowed here")
    assert said.line == "asks for a proof, limited to 2 by the budget of $0.01"


def test_why_stands_below_whether_auto_is_chosen_or_not() -> None:
    assert shown().line == "asks for a proof, 4 conditions"
    assert shown(3).line == "auto: asks for a proof, 4 conditions"
    nothing = Decision(ReasoningLevel.STANDARD, "auto", auto=True)
    assert shown("auto", about="").line == shown(3, about="").line == "nothing was asked yet"
    assert shown("auto", nothing).line == "nothing in it asks for more"
    assert shown(3, nothing, trouble="no model is there").line == "no model is there"
    assert [shown(level).chosen for level in ("auto", 4)] == [0, 4]


def test_a_level_without_an_estimate() -> None:
    assert choices("auto", Preview(DEEP, {})).choices[4].figure == "no estimate"


def test_the_kept_form_says_in_words_what_is_chosen() -> None:
    kept = bundle(shown(3), place="here")
    assert kept["text/plain"].splitlines()[0].startswith("Auto        would take 3")
    assert [line[:6] for line in kept["text/plain"].splitlines() if line.endswith("  chosen")] == ["3 deep"]
    assert kept["text/plain"].splitlines()[-2:] == ["auto: asks for a proof, 4 conditions", "for the last prompt"]
    assert 'data-ocnb-level="here"' in kept["text/html"]
    assert "data-ocnb" not in bundle(shown())["text/html"]
    stripped = Finder()
    stripped.feed(kept["text/html"].partition("<style>")[0])
    assert "3 deep, chosen" in stripped.text


def test_where_it_is_static_what_was_measured_changes_nothing() -> None:
    fast, slow = Experience(), Experience()
    for _ in range(9):
        fast.add(Observation("mine", 2, 200, 200, 400, 1.0))
        slow.add(Observation("mine", 2, 200, 200, 400, 50.0))
    forms = [bundle(choices("auto", Preview(DEEP, estimates(seen=seen)), live=False)) for seen in (fast, slow)]
    assert forms[0] == forms[1]
    assert " s" not in forms[0]["text/plain"].split("\n")[1]
    assert "tokens" in forms[0]["text/plain"]


def test_nothing_in_it_is_read_as_markup() -> None:
    hostile = Decision(ReasoningLevel.DEEP, 'auto: <script>pwned()</script>"><img src=x onerror=pwned()>')
    html = bundle(shown(decision=hostile, about="<b onclick=x>"))["text/html"]
    finder = Finder()
    finder.feed(html.partition("<style>")[0])
    assert set(finder.found) == {"tbody", "b", "br", "small"} - TAGS
    assert "<script>pwned()</script>" in finder.text
    assert "\x1b" not in bundle(shown(decision=Decision(ReasoningLevel.DEEP, "auto: \x1b[2J")))["text/plain"]
