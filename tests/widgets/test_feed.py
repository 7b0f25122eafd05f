"""What a feed says, put together again as a page does: by offsets in UTF-16 units."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.events import Delta, State, Status, Step
from openclaw_nb.run import Run
from openclaw_nb.widgets.feed import LIVE, Feed, clean

any_text = st.text(st.characters(), max_size=60)


class Page:
    """Text of a run as one front end has it."""

    def __init__(self) -> None:
        self.units = b""

    @property
    def have(self) -> int:
        return len(self.units) // 2

    def take(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["kind"] == "delta" and message["offset"] <= self.have:
                end = message["text"].encode("utf-16-le")
                self.units = max(self.units, self.units[: 2 * message["offset"]] + end, key=len)


def push(run: Run, text: str) -> None:
    run.push(Delta(len(run.text), text, run.tokens + 1))


@given(st.lists(st.tuples(any_text, st.booleans(), st.booleans())))
def test_two_pages_that_lose_messages_end_equal(pieces: list[tuple[str, bool, bool]]) -> None:
    run = Run("r")
    feed, one, two = Feed(run), Page(), Page()
    for text, one_hears, two_hears in pieces:
        push(run, text)
        news = feed.news()
        one.take(news if one_hears else [])
        two.take(news if two_hears else [])
    for page in (one, two):
        feed.ask(page.have, 0)
    last = feed.news()
    one.take(last)
    two.take(last)
    assert one.units == two.units == clean(run.text).encode("utf-16-le")


def test_a_structured_answer_is_code() -> None:
    run = Run("r", output="City")
    feed, page = Feed(run), Page()
    assert feed.state()["text"] == ""
    for piece in ('{"a_b', '_c": 1', "}"):
        push(run, piece)
        page.take(feed.news())
    assert page.units.decode("utf-16-le") == '```json\n{"a_b_c": 1}' == feed.state()["text"]
    feed.ask(page.have - 3, 0)
    assert [news["offset"] for news in feed.news() if news["kind"] == "delta"] == [page.have - 3]


def test_a_structured_answer_that_is_code_already() -> None:
    run = Run("r", output="City")
    push(run, "```json\n{}")
    assert Feed(run).state()["text"] == "```json\n{}"


@given(any_text, st.integers(-3, 200))
def test_asking_from_anywhere_gives_whole_characters(text: str, have: int) -> None:
    run = Run("r")
    feed = Feed(run)
    push(run, text)
    feed.news()
    feed.ask(have, 0)
    for message in feed.news():
        if message["kind"] == "delta":
            assert message["offset"] <= max(have, 0)
            assert clean(text).encode("utf-16-le")[2 * message["offset"] :].decode("utf-16-le") == message["text"]


@given(any_text)
def test_clean_text_travels_and_keeps_its_length(text: str) -> None:
    assert len(clean(text).encode().decode()) == len(text)
    assert clean(text) == text or any("\ud800" <= character <= "\udfff" for character in text)


def test_what_did_not_change_is_not_said() -> None:
    run = Run("r", level=3, level_reason="tagged complex")
    feed = Feed(run)
    push(run, "one")
    run.push(Step("a", "plan", 0, "two", 1))
    kinds = [message["kind"] for message in feed.news()]
    assert kinds == ["step", "delta", "state"]
    assert feed.news() == []
    run.push(State(Status.RECONNECTING, "reconnecting, attempt 1 of 5"))
    (said,) = feed.news()
    assert {key: said[key] for key in ("kind", "status", "words", "level")} == {
        "kind": "state", "status": "reconnecting", "words": "reconnecting, attempt 1 of 5",
        "level": "level 3 deep, tagged complex",
    }  # fmt: skip


def test_a_rewritten_step_is_said_from_where_it_changed() -> None:
    run = Run("r")
    feed = Feed(run)
    run.push(Step("a", "plan", 0, "🐍 one two", 1))
    feed.news()
    feed.rewritten("a", 6)
    run.push(Step("a", "plan", 6, "three", 2))
    assert [(m["offset"], m["text"]) for m in feed.news() if m["kind"] == "step"] == [(7, "three")]


def test_the_state_has_every_live_key_and_is_the_smaller_thing_at_first() -> None:
    run = Run("r")
    feed = Feed(run)
    assert set(feed.state()) == set(LIVE)
    assert feed.small
    push(run, "x" * 2001)
    assert not feed.small
