"""What every live view does, by the one of a run: whom it hears, what it carries, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.events import End, Status
from openclaw_nb.run import Run
from openclaw_nb.widgets.library import open_library
from openclaw_nb.widgets.stream import StreamView, show_run

from .streams import WIDGET, Feeder, Page, VirtualLoop, talk, timed_page

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(loop.time, monkeypatch)


@pytest.fixture
def feeder(loop: VirtualLoop, page: Page) -> Feeder:
    return Feeder(loop, prompt="a secret prompt", level=2)


# -- what a front end may say --------------------------------------------------------------------------

HOSTILE: list[Any] = [
    None,
    "stop",
    7,
    [],
    {},
    {"kind": "no such kind"},
    {"kind": ["stop"]},
    {"kind": "sync"},
    {"kind": "sync", "have": "0", "steps": 0},
    {"kind": "sync", "have": None, "steps": {}},
    {"kind": "sync", "have": 1.5, "steps": 0},
    {"kind": "lag"},
    {"kind": "lag", "ms": "1000"},
    {"kind": "lag", "ms": float("nan")},
    {"kind": "delta", "offset": 0, "text": "forged"},
    {"kind": "x" * (10 << 20)},
    {"x" * 1000: {"y": [1] * 1000}},
]


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: str(content)[:30])
def test_hostile_content_is_ignored_and_logged(
    page: Page, feeder: Feeder, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    view = StreamView(feeder.run)
    caplog.set_level(logging.DEBUG, "openclaw_nb")
    page.messages.clear()
    page.say(view, content)
    assert page.messages == []
    assert [record.name for record in caplog.records] == ["openclaw_nb"]
    assert len(caplog.records[0].getMessage()) < 2000
    feeder.end(view)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"content": None},
        {"content": {}},
        {"content": {"data": None}},
        {"content": {"data": {}}},
        {"content": {"data": {"method": "update", "state": {"_esm": "forged", "text": "forged", "into": "forged"}}}},
        {"content": {"data": {"method": "update", "state": "forged", "buffer_paths": 7}}},
        {"content": {"data": {"method": {"custom": 1}, "content": {"kind": "stop"}}}},
    ],
    ids=str,
)
def test_messages_of_any_shape_change_nothing(
    page: Page, feeder: Feeder, caplog: pytest.LogCaptureFixture, message: Any
) -> None:
    view = StreamView(feeder.run)
    before = view.get_state(["_esm", "_library", "into", "text", "status"])
    page.messages.clear()
    view.comm.handle_msg(message)
    assert view.get_state(["_esm", "_library", "into", "text", "status"]) == before
    assert page.messages == []
    assert len(caplog.records) == 1
    feeder.end(view)


def test_stop_cancels_the_run_and_a_failing_cancel_is_logged(page: Page, loop: VirtualLoop, caplog: Any) -> None:
    asked: list[str] = []

    def cancel(run: Run) -> None:
        asked.append(run.id)
        raise RuntimeError("no connection")

    feeder = Feeder(loop, cancel=cancel)
    view = StreamView(feeder.run)
    page.say(view, {"kind": "stop"})
    assert asked == [feeder.run.id]
    assert "no connection" in caplog.text
    feeder.end(view, Status.STOPPED)


def test_all_sends_come_from_the_thread_that_feeds(page: Page, thread: asyncio.AbstractEventLoop) -> None:
    feeder = Feeder(thread)
    view = StreamView(feeder.run)
    page.messages.clear()
    feeding = threading.Event()
    idents: set[int] = set()

    async def feed() -> None:
        for _ in range(50):
            feeder.text("word " * 20)
            idents.add(threading.get_ident())
            feeding.set()
            await asyncio.sleep(0.002)

    done = asyncio.run_coroutine_threadsafe(feed(), thread)
    assert feeding.wait(60)
    while not done.done():
        page.say(view, {"kind": "sync", "have": 0, "steps": 0})
        view.comm.handle_msg({"content": {"data": {"method": "request_state"}}})
        threading.Event().wait(0.001)
    assert {ident for _, ident, _, _, _ in page.messages} == idents
    thread.call_soon_threadsafe(feeder.run.push, End(Status.DONE))
    view.settled.result(60)


def test_a_run_goes_on_where_its_view_cannot(page: Page, feeder: Feeder, caplog: pytest.LogCaptureFixture) -> None:
    view = StreamView(feeder.run)

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("socket closed")

    view.comm.publish_msg = broken

    async def feed() -> None:
        feeder.text("x" * 5000)
        await asyncio.sleep(1)

    feeder.do(feed)
    feeder.end(view)
    assert feeder.run.result(0).text == "x" * 5000
    assert "socket closed" in caplog.text


# -- what travels --------------------------------------------------------------------------------------


def test_code_and_layout_travel_once_per_kernel(page: Page, loop: VirtualLoop) -> None:
    feeders = [Feeder(loop) for _ in range(5)]
    views = [StreamView(feeder.run) for feeder in feeders]
    opened = [data["state"] for _, _, kind, _, data in page.messages if kind == "comm_open"]
    assert [state["_model_name"] for state in opened] == ["LayoutModel", "WidgetModel", *["AnyModel"] * 5]
    assert {view._library for view in views} == {open_library().model_id}
    assert len({view.layout.model_id for view in views}) == 1
    assert all(len(view._esm.encode()) < 1200 for view in views)
    assert all(len(json.dumps(state)) < 2500 for state in opened[2:])
    for feeder, view in zip(feeders, views, strict=True):
        feeder.end(view)


def test_no_prompt_is_in_what_travels(page: Page, feeder: Feeder, shown: CapturingDisplayPublisher) -> None:
    view = StreamView(feeder.run)
    view.display()
    feeder.do(lambda: asyncio.sleep(0))
    feeder.end(view)
    assert "secret" not in json.dumps([message[4] for message in page.messages]) + json.dumps(shown.outputs)


# -- showing it, and its end ---------------------------------------------------------------------------


def test_every_display_becomes_one_bundle_without_a_widget(
    page: Page, feeder: Feeder, shown: CapturingDisplayPublisher
) -> None:
    view = show_run(feeder.run)
    assert show_run(feeder.run) is view
    assert [WIDGET in output["data"] for output in shown.outputs] == [True, True]
    ids = [output["transient"]["display_id"] for output in shown.outputs]

    async def feed() -> None:
        feeder.text("the **answer**")

    feeder.do(feed)
    feeder.end(view)
    finals = shown.outputs[2:]
    assert [output["transient"]["display_id"] for output in finals] == ids
    assert all(output["update"] and WIDGET not in output["data"] for output in finals)
    assert "<strong>answer</strong>" in finals[0]["data"]["text/html"]
    assert page.messages[-1][2] == "comm_close"
    assert view.comm is None

    view.redisplay()
    assert shown.outputs[4:] == finals
    view.display()
    assert shown.outputs[-1]["data"] == finals[0]["data"]
    assert not shown.outputs[-1]["update"]


def test_the_page_has_the_whole_text_when_it_reads_of_the_end(page: Page, feeder: Feeder) -> None:
    view = StreamView(feeder.run)
    id = view.model_id

    async def feed() -> None:
        for _ in range(200):
            feeder.text("word " * 10)
        feeder.run.push(End(Status.DONE))

    feeder.do(feed)
    view.settled.result(60)
    assert page.text(id) == feeder.run.text
    assert page.of(id)[-2]["content"]["status"] == "done"


def test_a_run_that_is_over_opens_no_widget(page: Page, feeder: Feeder, shown: CapturingDisplayPublisher) -> None:
    async def feed() -> None:
        feeder.text("done before")
        feeder.run.push(End(Status.DONE))

    feeder.do(feed)
    show_run(feeder.run).settled.result(0)
    assert page.messages == []
    assert "done before" in shown.outputs[0]["data"]["text/plain"]


def test_a_view_whose_widget_was_closed_still_shows_the_answer(
    page: Page, feeder: Feeder, shown: CapturingDisplayPublisher
) -> None:
    view = StreamView(feeder.run)
    view.display()
    ipywidgets.Widget.close_all()
    view.display()

    async def feed() -> None:
        feeder.text("the answer")

    feeder.do(feed)
    feeder.end(view)
    assert ["the answer" in output["data"]["text/plain"] for output in shown.outputs[-2:]] == [True, True]


def test_nothing_keeps_a_run_whose_view_is_done(page: Page, feeder: Feeder) -> None:
    view = show_run(feeder.run)
    feeder.end(view)
    gone = weakref.ref(feeder.run)
    del feeder.run
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("status", [Status.DONE, Status.STOPPED])
def test_no_timer_is_left(page: Page, feeder: Feeder, loop: VirtualLoop, status: Status) -> None:
    view = StreamView(feeder.run)

    async def feed() -> None:
        feeder.text("x" * 5000)

    feeder.do(feed)
    assert not all(timer.cancelled() for timer in loop._scheduled)
    feeder.end(view, status)
    assert all(timer.cancelled() for timer in loop._scheduled)
    page.messages.clear()
    loop.run_until_complete(asyncio.sleep(100))
    assert page.messages == []


def test_a_run_brings_the_pace_of_its_client(page: Page, feeder: Feeder) -> None:
    feeder.run.interval = 0.4
    view = show_run(feeder.run)
    page.messages.clear()
    feeder.do(lambda: talk(feeder, 4.0))
    assert 10 <= len(page.of(view)) <= 15
    feeder.end(view)
