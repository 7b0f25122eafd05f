"""The live view over the real widget classes: a recording comm in place of the page, a loop whose time is virtual."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import selectors
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import comm
import ipywidgets
import pytest
from comm.base_comm import BaseComm
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.events import Delta, End, State, Status, Step
from openclaw_nb.run import Run
from openclaw_nb.widgets.library import close_library, open_library
from openclaw_nb.widgets.stream import StreamView, show_run

pytestmark = pytest.mark.usefixtures("shown")

WIDGET = "application/vnd.jupyter.widget-view+json"


class _VirtualSelector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on which sleeping takes no time."""

    def __init__(self) -> None:
        self.clock = _VirtualSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Page:
    """A front end: every message sent to it, with its loop time and thread, and what its model makes of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.messages: list[tuple[float, int, str, str, dict[str, Any]]] = []

    def of(self, view: StreamView | str) -> list[dict[str, Any]]:
        id = view if isinstance(view, str) else view.model_id
        return [data for _, _, _, comm_id, data in self.messages if comm_id == id]

    def custom(self, view: StreamView | str, kind: str) -> list[dict[str, Any]]:
        return [data["content"] for data in self.of(view) if data.get("content", {}).get("kind") == kind]

    def text(self, view: StreamView | str, lose: Callable[[dict[str, Any]], bool] = lambda message: False) -> str:
        """The answer, as js/src/lib/answer.ts puts it together; offsets count UTF-16 units."""
        units = b""
        for data in self.of(view):
            if "state" in data:
                state = data["state"].get("text", "").encode("utf-16-le")
                units = max(units, state, key=len)
            elif data.get("content", {}).get("kind") == "delta" and not lose(data["content"]):
                offset, text = 2 * data["content"]["offset"], data["content"]["text"].encode("utf-16-le")
                if offset <= len(units):
                    units = units[:offset] + text if offset + len(text) > len(units) else units
        return units.decode("utf-16-le")

    def say(self, view: StreamView, content: Any) -> None:
        view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def _recorder(page: Page) -> type[BaseComm]:
    class Recorder(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, *args: Any, **kwargs: Any) -> None:
            json.dumps(data, ensure_ascii=False).encode()  # it must be able to travel
            page.messages.append((page.clock(), threading.get_ident(), msg_type, self.comm_id, data or {}))

    return Recorder


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    page = Page(loop.time)
    monkeypatch.setattr(comm, "create_comm", _recorder(page))
    yield page
    close_library()
    ipywidgets.Widget.close_all()


class Feeder:
    """Pushes events into a run from its loop, keeping count of offsets and tokens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, **facts: Any) -> None:
        self.loop, self.run = loop, Run("0123456789", **facts)
        self.offset = self.tokens = 0

    def text(self, text: str) -> None:
        self.tokens += 1
        self.run.push(Delta(self.offset, text, self.tokens))
        self.offset += len(text)

    def do(self, steps: Any) -> None:
        """Run a coroutine function that feeds."""
        self.loop.run_until_complete(steps())

    def end(self, view: StreamView, status: Status = Status.DONE) -> None:
        async def end() -> None:
            self.run.push(End(status))

        self.do(end)
        view.settled.result(20)


async def talk(feeder: Feeder, seconds: float, rate: int = 100) -> None:
    for n in range(int(seconds * rate)):
        feeder.text(f"{n} ")
        await asyncio.sleep(1 / rate)


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
    page: Page, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = StreamView(feeder.run)
    id = view.model_id
    send = type(view.comm).publish_msg

    def slow(comm: BaseComm, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.02)
        send(comm, *args, **kwargs)

    monkeypatch.setattr(type(view.comm), "publish_msg", slow)
    page.messages.clear()
    feeder.do(lambda: talk(feeder, 2.0))
    sent = len(page.of(id))
    assert 4 <= sent <= 2.0 / (9 * 0.02) + 2  # time stands still in here while a message is sent
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
        patch.setattr(comm, "create_comm", _recorder(page))
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


@pytest.fixture
def thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


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
    feeding.wait(20)
    while not done.done():
        page.say(view, {"kind": "sync", "have": 0, "steps": 0})
        view.comm.handle_msg({"content": {"data": {"method": "request_state"}}})
        threading.Event().wait(0.001)
    assert {ident for _, ident, _, _, _ in page.messages} == idents
    thread.call_soon_threadsafe(feeder.run.push, End(Status.DONE))
    view.settled.result(20)


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
    view.settled.result(20)
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
