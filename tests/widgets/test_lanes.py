"""How a pool's run travels to its live view: one message for all lanes, nothing lost in any, and each its own words."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.errors import ConfigError, ModelError
from openclaw_nb.events import End, Status, Step
from openclaw_nb.run import Run
from openclaw_nb.widgets.lanes import LanesView

from .crew import Crew, chorus, news_of_lanes, states, texts, told
from .streams import Feeder, Page, VirtualLoop, timed_page

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(loop.time, monkeypatch)


@pytest.fixture
def crew(loop: VirtualLoop, page: Page) -> Crew:
    return Crew(loop, "coder", "tester", "reviewer")


# -- how often -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 20])
def test_lanes_at_80_tokens_a_second_take_20_messages_a_second(
    page: Page, loop: VirtualLoop, count: int, figure: Callable[[str, str], None]
) -> None:
    crew = Crew(loop, *(f"agent-{n}" for n in range(count)))
    view = crew.view()
    id = view.model_id
    page.say(view, {"kind": "sync", "lanes": []})
    crew.do(lambda: chorus(crew, 5, 80))
    assert loop.woken <= len(page.of(id)) + 5
    times = [at for at, _, kind, comm_id, _ in page.messages if comm_id == id and kind == "comm_msg"]
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    crew.end(view)
    assert texts(page, id, count) == crew.texts
    assert 10 <= most <= 22
    figure(f"lanes, {count} at 80 tokens/s", f"at most {most} comm messages in any second, text equal in every lane")


def test_one_message_holds_the_news_of_all_lanes(page: Page, loop: VirtualLoop) -> None:
    crew = Crew(loop, "coder", "tester", "reviewer")
    view = crew.view()

    async def feed() -> None:
        crew.feeders[0].text("x" * 1000)
        await asyncio.sleep(1)
        page.messages.clear()
        crew.feeders[1].text("first")
        await asyncio.sleep(0.01)
        crew.feeders[0].text("y")
        crew.feeders[2].text("🐍")
        crew.feeders[2].text("!")
        await asyncio.sleep(1)

    crew.do(feed)
    pieces = [[(n, news["offset"], news["text"]) for n, news in news_of_lanes([message]) if news["kind"] == "delta"]
              for message in told(page, view.model_id)]  # fmt: skip
    assert pieces == [[(1, 0, "first")], [(0, 1000, "y"), (2, 0, "🐍!")]]
    crew.end(view)


def test_a_lane_without_news_is_not_in_the_message(page: Page, loop: VirtualLoop) -> None:
    crew = Crew(loop, *(f"agent-{n}" for n in range(30)))
    view = crew.view()

    async def feed() -> None:
        crew.feeders[0].text("x" * 1000)
        await asyncio.sleep(1)
        page.messages.clear()
        crew.feeders[7].text("only this")
        await asyncio.sleep(1)

    crew.do(feed)
    assert [[lane["n"] for lane in message["lanes"]] for message in told(page, view.model_id)] == [[7]]
    crew.end(view)


def test_the_whole_of_many_lanes_is_not_sent_again_and_again(page: Page, loop: VirtualLoop) -> None:
    crew = Crew(loop, *(f"agent-{n}" for n in range(21)))
    view = crew.view()

    async def feed() -> None:
        for feeder in crew.feeders[:5]:
            feeder.text("x")
            await asyncio.sleep(0.1)

    page.messages.clear()
    crew.do(feed)
    assert not [data for data in page.of(view) if "state" in data]
    crew.end(view)


# -- losing nothing ------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.text(st.characters(), max_size=300), st.booleans()), max_size=20))
def test_lanes_of_a_page_that_loses_messages_end_equal(pieces: list[tuple[int, str, bool]]) -> None:
    with (
        closing(VirtualLoop()) as loop,
        pytest.MonkeyPatch.context() as patch,
        contextmanager(timed_page)(loop.time, patch) as page,
    ):
        crew = Crew(loop, "coder", "tester", "reviewer")
        view, lost = crew.view(), list[dict[str, Any]]()
        id = view.model_id

        def lose(message: dict[str, Any]) -> bool:
            return any(message is one for one in lost)

        async def feed() -> None:
            for number, text, loses in pieces:
                crew.feeders[number].text(text)
                await asyncio.sleep(0.1)
                lost.extend(told(page, id)[-1:] if loses else ())
            have = [units(text) for text in texts(page, id, 3, lose)]
            page.say(view, {"kind": "sync", "lanes": [[n, length, 0] for n, length in enumerate(have)]})
            await asyncio.sleep(1)

        crew.do(feed)
        clean = ["".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text) for text in crew.texts]
        assert texts(page, id, 3, lose) == clean
        crew.end(view)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_a_page_that_asks_gets_the_lanes_it_asks_for(page: Page, crew: Crew) -> None:
    view = crew.view()

    async def feed() -> None:
        for feeder in crew.feeders:
            feeder.text("🐍" * 500)
        crew.feeders[1].run.push(Step("a", "plan", 0, "steps", 1))
        await asyncio.sleep(1)
        page.messages.clear()
        page.say(view, {"kind": "sync", "lanes": [[1, 20, 0], [2, 1000, 0]]})
        await asyncio.sleep(1)

    crew.do(feed)
    again = [(n, news["kind"], news.get("offset")) for n, news in news_of_lanes(told(page, view.model_id))]
    assert again == [(1, "step", 0), (1, "delta", 20), (1, "state", None), (2, "state", None)]
    crew.end(view)


def test_a_rewritten_step_is_told_from_where_it_changed(page: Page, crew: Crew) -> None:
    view = crew.view()

    async def feed() -> None:
        crew.feeders[1].text("x" * 1000)
        crew.feeders[2].run.push(Step("a", "plan", 0, "🐍 one two", 1))
        await asyncio.sleep(1)
        page.messages.clear()
        crew.feeders[2].run.push(Step("a", "plan", 6, "three", 2, 0.5))
        await asyncio.sleep(1)

    crew.do(feed)
    (said,) = [(n, news) for n, news in news_of_lanes(told(page, view.model_id)) if news["kind"] == "step"]
    assert (said[0], said[1]["offset"], said[1]["text"], said[1]["seconds"]) == (2, 7, "three", 0.5)
    crew.end(view)


def test_a_page_that_was_never_heard_gets_the_whole_at_2_4_and_8_seconds(page: Page, crew: Crew) -> None:
    view = crew.view()

    async def feed() -> None:
        crew.feeders[0].text("x" * 5000)
        await asyncio.sleep(10)

    crew.do(feed)
    whole = [(round(at), len(data["state"]["lanes"])) for at, _, _, id, data in page.messages
             if id == view.model_id and "state" in data]  # fmt: skip
    assert whole[1:] == [(2, 3), (4, 3), (8, 3)]
    crew.end(view)


def test_a_page_that_comes_late_has_all_of_every_lane(page: Page, crew: Crew) -> None:
    view = crew.view(into="team")

    async def feed() -> None:
        crew.feeders[0].run.push(Step("a", "plan", 0, "one\ud800", 3, 0.5))
        crew.feeders[1].text("x" * 5000)

    crew.do(feed)
    page.messages.clear()
    view.comm.handle_msg({"content": {"data": {"method": "request_state"}}})
    crew.do(lambda: asyncio.sleep(0.001))
    state = page.of(view)[0]["state"]
    coder, tester, reviewer = state["lanes"]
    assert coder["steps"] == [{"key": "a", "title": "plan", "text": "one\ufffd", "tokens": 3, "seconds": 0.5}]
    assert (tester["name"], tester["text"], tester["status"]) == ("tester", "x" * 5000, "streaming")
    assert (reviewer["words"], reviewer["line"], reviewer["cost"]) == ("waiting", "", None)
    assert set(state["pool"]) == {"status", "words", "mode", "tokens", "seconds", "cost"}
    assert state["into"] == "team"
    crew.end(view)


def test_what_several_threads_tell_arrives(page: Page, thread: asyncio.AbstractEventLoop) -> None:
    """Agents with clients of their own are fed by the threads of those."""
    crew = Crew(thread, *(f"agent-{n}" for n in range(8)))
    view = crew.view()
    id = view.model_id
    page.messages.clear()

    def feed(feeder: Feeder) -> None:
        for n in range(500):
            feeder.text(f"{n} ")
            if n % 50 == 0:
                time.sleep(0.01)
        feeder.run.push(End(Status.DONE))
        view.settled.result(60)  # so that no other thread is known by the same number

    threads = [threading.Thread(target=feed, args=(feeder,)) for feeder in crew.feeders]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    view.settled.result(60)
    assert texts(page, id, 8) == crew.texts
    senders = {sender for _, sender, _, comm_id, data in page.messages if comm_id == id and data}
    assert len(senders) <= 2  # the loop, and who renders the end
    assert not senders & {one.ident for one in threads}


# -- the words of each lane ----------------------------------------------------------------------------


def test_lanes_in_line_say_so_and_move_up(page: Page, loop: VirtualLoop) -> None:
    crew = Crew(loop, "coder", "tester", "reviewer", "writer", at_once=2)
    view = crew.view()
    id = view.model_id

    async def feed() -> None:
        crew.feeders[0].text("x" * 1000)
        await asyncio.sleep(1)
        crew.feeders[0].run.push(End(Status.DONE, cost=0.25))
        await asyncio.sleep(1)

    crew.do(feed)
    assert states(page, id, 2) == [("waiting", "waits, 2 per task", "in line, next"), ("waiting", "waiting", "")]
    assert [line for _, _, line in states(page, id, 3)] == ["in line, 2 to go", "in line, next"]
    assert states(page, id, 0)[-1] == ("done", "done", "")
    assert all(lane["news"] for message in told(page, id) for lane in message["lanes"])
    assert [message["pool"]["words"] for message in told(page, id) if "pool" in message][-1] == "1 of 4 ended"
    crew.end(view)


def test_a_lane_that_fails_says_why_and_the_others_go_on(page: Page, crew: Crew) -> None:
    view = crew.view()
    id = view.model_id

    async def feed() -> None:
        crew.feeders[0].text("x" * 1000)
        crew.feeders[1].run.push(End(Status.FAILED, error=ModelError("the model is overloaded")))
        await asyncio.sleep(1)
        crew.feeders[0].text("y")
        await asyncio.sleep(1)

    crew.do(feed)
    assert states(page, id, 1)[-1] == ("failed", "the model is overloaded", "")
    assert texts(page, id, 3)[0].endswith("xy")
    crew.end(view)


# -- what a page may say -------------------------------------------------------------------------------

HOSTILE: list[Any] = [
    None, 7, [], {}, {"kind": "no such kind"}, {"kind": ["stop"]}, {"kind": "stop", "lane": 3},
    {"kind": "stop", "lane": -1}, {"kind": "stop", "lane": True},
    {"kind": "stop", "lane": "0"}, {"kind": "stop", "lane": None}, {"kind": "stop", "lane": [0]}, {"kind": "sync"},
    {"kind": "sync", "lanes": 7}, {"kind": "sync", "lanes": {"0": 1}}, {"kind": "sync", "lanes": [0, 0, 0]},
    {"kind": "sync", "lanes": [[0, 0]]}, {"kind": "sync", "lanes": [[3, 0, 0]]},
    {"kind": "sync", "lanes": [[0, "0", 0]]},
    {"kind": "sync", "lanes": [[0, 0, 0], [-1, 0, 0]]}, {"kind": "sync", "lanes": [[0, 1.5, 0]]},
    {"kind": "sync", "have": 0, "steps": 0}, {"kind": "lanes", "lanes": []}, {"kind": "x" * (10 << 20)},
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: str(content)[:40])
def test_hostile_content_is_ignored_and_logged(page: Page, crew: Crew, caplog: Any, content: Any) -> None:
    view = crew.view()
    caplog.set_level(logging.DEBUG, "openclaw_nb")
    page.messages.clear()
    page.say(view, content)
    crew.do(lambda: asyncio.sleep(0))
    assert page.messages == []
    assert [record.name for record in caplog.records] == ["openclaw_nb"]
    assert len(caplog.records[0].getMessage()) < 2000
    assert not any(lane.done() for lane in crew.work.lanes)
    crew.end(view)


@pytest.mark.parametrize("have", [-5, 0, 1, 2999, 10**400, True])
def test_any_place_may_be_asked_from_at_a_bounded_price(page: Page, crew: Crew, have: int) -> None:
    view = crew.view()

    async def feed() -> None:
        crew.feeders[1].text("🐍" * 500 + "!" * 1500)
        await asyncio.sleep(1)
        page.messages.clear()
        for _ in range(1000):
            page.say(view, {"kind": "sync", "lanes": [[1, have, 0]] * 10})
        await asyncio.sleep(1)

    crew.do(feed)
    assert len(told(page, view.model_id)) <= 2
    crew.end(view)


@pytest.mark.parametrize(("content", "asked"), [({"kind": "stop", "lane": 1}, [1]), ({"kind": "stop"}, [2, 1, 0])])
def test_a_page_stops_one_or_all(page: Page, loop: VirtualLoop, content: Any, asked: list[int]) -> None:
    stopped: list[Run] = []
    crew = Crew(loop, "coder", "tester", "reviewer", cancel=stopped.append)
    view = crew.view()
    page.say(view, content)
    assert [[feeder.run for feeder in crew.feeders].index(run) for run in stopped] == asked
    crew.end(view, Status.STOPPED)


def test_a_lane_that_waits_may_be_stopped(page: Page, loop: VirtualLoop) -> None:
    crew = Crew(loop, "coder", "tester", at_once=1)
    view = crew.view()
    page.say(view, {"kind": "stop", "lane": 1})
    crew.do(lambda: asyncio.sleep(1))
    assert texts(page, view.model_id, 2) == ["", ""]
    stopped = view.get_state("lanes")["lanes"][1]
    assert (stopped["status"], stopped["words"]) == ("stopped", "tester was not started: stopped by you")
    crew.end(view)


def test_it_is_of_a_pools_run() -> None:
    with pytest.raises(ConfigError, match="a LanesView is of a PoolRun"):
        LanesView(3)  # type: ignore[arg-type]
