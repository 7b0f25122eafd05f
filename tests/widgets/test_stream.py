"""How a run travels to its live view, over the real widget classes: how often, and that nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.events import State, Status, Step
from openclaw_nb.widgets.library import close_library
from openclaw_nb.widgets.stream import StreamView

from .streams import Feeder, Page, VirtualLoop, recorder, talk, timed_page

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(loop.time, monkeypatch)


@pytest.fixture
def feeder(loop: VirtualLoop, page: Page) -> Feeder:
    return Feeder(loop, prompt="a secret prompt", level=2)


# -- pace ----------------------------------------------------------------------------------------------


def test_first_delta_is_sent_at_once(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def one() -> None:
        feeder.text("first")
        assert page.text(view) == "first"

    feeder.do(one)
    feeder.end(view)


def test_a_burst_of_4000_tokens_in_a_second_needs_few_messages(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    id = view.model_id

    async def burst() -> None:
        for n in range(4000):
            feeder.text(f"{n:04} ")
            await asyncio.sleep(1 / 4000)

    feeder.do(burst)
    feeder.end(view)
    assert len(page.custom(id, "delta")) <= 12
    assert page.text(id) == feeder.run.text


def test_10000_deltas_a_second_make_at_most_20_messages_a_second(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    id = view.model_id

    async def flood() -> None:
        for _ in range(20_000):
            feeder.text("x")
            await asyncio.sleep(1 / 10_000)

    feeder.do(flood)
    feeder.end(view)
    times = [at for at, _, kind, comm_id, _ in page.messages if comm_id == id and kind == "comm_msg"]
    for start in times:
        assert sum(start <= at < start + 1 for at in times) <= 22  # 20, and the two changes of state
    assert page.text(id) == feeder.run.text


def test_quiet_text_is_not_held_back(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def slow() -> None:
        for word in ("one ", "two ", "three "):
            feeder.text(word)
            assert page.text(view) == feeder.run.text
            await asyncio.sleep(0.06)

    feeder.do(slow)
    feeder.end(view)


@pytest.mark.parametrize("interval", [0, -1, 1e-9])
def test_no_interval_floods_the_server(page: Page, feeder: Feeder, interval: float) -> None:
    view = StreamView(feeder.run, interval=interval)
    id = view.model_id

    async def flood() -> None:
        for _ in range(5_000):
            feeder.text("x")
            await asyncio.sleep(1 / 5_000)

    feeder.do(flood)
    feeder.end(view)
    assert len(page.of(id)) < 60


def test_a_slow_kernel_spends_a_tenth_of_the_time_on_sending(
    page: Page, feeder: Feeder, loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = StreamView(feeder.run)
    id = view.model_id
    send = type(view.comm).publish_msg

    def slow(comm: BaseComm, *args: Any, **kwargs: Any) -> None:
        loop.clock.now += 0.02
        send(comm, *args, **kwargs)

    monkeypatch.setattr(type(view.comm), "publish_msg", slow)
    page.messages.clear()
    feeder.do(lambda: talk(feeder, 2.0))
    sent = len(page.of(id))
    assert 4 <= sent <= 2.0 / (9 * 0.02) + 2
    feeder.end(view)
    assert page.text(id) == feeder.run.text


def test_a_page_that_is_behind_gets_fewer_messages_until_it_has_caught_up(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    id = view.model_id
    rates = []

    def rate() -> None:
        before = len(page.of(id))
        feeder.do(lambda: talk(feeder, 4.0))
        rates.append((len(page.of(id)) - before) / 4)

    rate()
    for milliseconds in (500, 60_000, 0):
        page.say(view, {"kind": "lag", "ms": milliseconds})
        rate()
    usual, behind, far_behind, again = rates
    assert usual > 10
    assert behind == pytest.approx(2, abs=0.5)
    assert far_behind == pytest.approx(1, abs=0.5)
    assert again > 10
    page.say(view, {"kind": "lag", "ms": 1000})
    feeder.text("the end")
    feeder.end(view)
    assert page.text(id) == feeder.run.text


# -- losing nothing ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    chunks=st.lists(st.text(st.characters(), min_size=1, max_size=700), min_size=1, max_size=12),
    pauses=st.lists(st.sampled_from([0.0, 0.01, 0.2]), min_size=12, max_size=12),
)
def test_any_text_in_any_pieces_arrives(chunks: list[str], pauses: list[float]) -> None:
    loop = VirtualLoop()
    page = Page(loop.time)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comm, "create_comm", recorder(page))
        feeder = Feeder(loop)
        view = StreamView(feeder.run)
        id = view.model_id

        async def feed() -> None:
            for chunk, pause in zip(chunks, pauses, strict=False):
                feeder.text(chunk)
                await asyncio.sleep(pause)

        feeder.do(feed)
        feeder.end(view)
        close_library()
    loop.close()
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in "".join(chunks))
    assert page.text(id) == expected


def test_offsets_are_utf16_units(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("🐍" * 500)
        await asyncio.sleep(1)
        feeder.text("é😀" * 500)
        await asyncio.sleep(1)
        feeder.text("!")
        await asyncio.sleep(1)

    feeder.do(feed)
    assert [delta["offset"] for delta in page.custom(view, "delta")] == [1000, 2500]
    feeder.end(view)


def test_state_is_current_whenever_it_is_asked_for(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run, into="plan")

    async def feed() -> None:
        feeder.run.push(Step("a", "plan", 0, "one\ud800", 3, 0.5))
        feeder.text("x" * 5000)
        feeder.text("\udc00 end")

    feeder.do(feed)
    state = view.get_state()
    assert state["text"] == "x" * 5000 + "\ufffd end"
    assert state["steps"] == [{"key": "a", "title": "plan", "text": "one\ufffd", "tokens": 3, "seconds": 0.5}]
    assert (state["status"], state["tokens"], state["level"], state["into"]) == (
        "streaming", 5, "level 2 standard", "plan",
    )  # fmt: skip
    assert view.get_state("tokens") == {"tokens": 5}
    assert "text" not in view.get_state(["_esm", "into"])
    page.messages.clear()
    view.comm.handle_msg({"content": {"data": {"method": "request_state"}}})
    feeder.do(lambda: asyncio.sleep(0.001))
    assert page.of(view)[0]["state"] == state | {"seconds": page.of(view)[0]["state"]["seconds"]}
    feeder.end(view)


def test_a_page_reloaded_before_the_first_token_is_answered(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    page.messages.clear()
    view.comm.handle_msg({"content": {"data": {"method": "request_state"}}})
    assert page.of(view)[0]["state"]["status"] == "waiting"
    feeder.end(view)


def test_a_view_opened_late_has_the_text_so_far(page: Page, feeder: Feeder) -> None:
    async def early() -> None:
        feeder.text("a" * 3000)

    feeder.do(early)
    view = StreamView(feeder.run)
    assert page.text(view) == "a" * 3000

    async def late() -> None:
        feeder.text("b" * 3000)

    feeder.do(late)
    assert page.text(view) == "a" * 3000 + "b" * 3000
    feeder.end(view)


def test_a_page_that_loses_messages_gets_them_when_it_says_so(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    dice = random.Random(5)
    lost: set[int] = set()

    def lose(message: dict[str, Any]) -> bool:
        return id(message) in lost

    async def feed() -> None:
        for n in range(400):
            feeder.text(f"{n} 🐍 ")
            await asyncio.sleep(0.05)
            for message in page.custom(view, "delta")[-1:]:
                if dice.random() < 0.3:
                    lost.add(id(message))
            if n % 10 == 9:
                page.say(view, {"kind": "sync", "have": _units(page.text(view, lose)), "steps": 0})
        page.say(view, {"kind": "sync", "have": _units(page.text(view, lose)), "steps": 0})
        await asyncio.sleep(1)

    feeder.do(feed)
    assert lost
    assert page.text(view, lose) == feeder.run.text
    feeder.end(view)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_what_was_asked_for_is_sent_once(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("small ")
        page.say(view, {"kind": "sync", "have": 0, "steps": 0})
        await asyncio.sleep(1)
        feeder.text("x" * 5000)
        await asyncio.sleep(1)

    feeder.do(feed)
    assert [delta["offset"] for delta in page.custom(view, "delta")] == [6]
    feeder.end(view)


def test_steps_travel_by_pieces_and_again_where_they_are_missing(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("x" * 3000)
        await asyncio.sleep(1)
        feeder.run.push(Step("a", "think", 0, "🐍one ", 1))
        await asyncio.sleep(1)
        feeder.run.push(Step("a", "think", 5, "two three", 3))
        await asyncio.sleep(1)
        feeder.run.push(Step("a", "think", 9, "four", 4, 0.5))
        await asyncio.sleep(1)

    feeder.do(feed)
    pieces = [(step["offset"], step["text"], step["seconds"]) for step in page.custom(view, "step")]
    assert pieces == [(0, "🐍one ", None), (6, "two three", None), (10, "four", 0.5)]
    page.messages.clear()
    page.say(view, {"kind": "sync", "have": 3000, "steps": 14})
    feeder.do(lambda: asyncio.sleep(1))
    assert page.custom(view, "step") == []
    page.say(view, {"kind": "sync", "have": 3000, "steps": 2})
    feeder.do(lambda: asyncio.sleep(1))
    assert [(step["offset"], step["text"]) for step in page.custom(view, "step")] == [(0, "🐍one two four")]
    feeder.end(view)


def test_a_page_that_was_never_heard_gets_the_whole_at_2_4_and_8_seconds(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("x" * 5000)
        await asyncio.sleep(20)

    feeder.do(feed)
    whole = [round(at) for at, _, kind, id, data in page.messages if id == view.model_id and "state" in data]
    assert whole[1:] == [2, 4, 8, 16]
    page.messages.clear()
    page.say(view, {"kind": "sync", "have": 5000, "steps": 0})
    feeder.do(lambda: asyncio.sleep(100))
    assert [data for data in page.of(view) if "state" in data] == []
    feeder.end(view)


def test_changes_of_state_are_told_in_words(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    id = view.model_id

    async def feed() -> None:
        feeder.text("x" * 3000)
        await asyncio.sleep(1)
        feeder.run.push(State(Status.RECONNECTING, "reconnecting, attempt 2 of 5"))
        await asyncio.sleep(1)
        feeder.text("y")
        await asyncio.sleep(1)

    feeder.do(feed)
    feeder.end(view, Status.STOPPED)
    told = [(state["status"], state["words"]) for state in page.custom(id, "state")]
    assert told[:3] == [("streaming", ""), ("reconnecting", "reconnecting, attempt 2 of 5"), ("streaming", "")]
    assert told[3][0] == "stopped"


@pytest.mark.parametrize("have", [-5, 0, 1, 2999, 3000, 3001, 10**400, True])
def test_any_place_may_be_asked_from_at_a_bounded_price(page: Page, feeder: Feeder, have: int) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("🐍" * 500)
        feeder.text("!" * 1500)
        await asyncio.sleep(1)
        page.messages.clear()
        for _ in range(1000):
            page.say(view, {"kind": "sync", "have": have, "steps": 0})
        await asyncio.sleep(1)

    feeder.do(feed)
    assert len(page.custom(view, "delta")) <= 2
    for delta in page.custom(view, "delta"):
        assert delta["text"] == feeder.run.text.encode("utf-16-le")[2 * delta["offset"] :].decode("utf-16-le")
    feeder.end(view)
