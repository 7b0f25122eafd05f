"""The picker over a real pool with agents at work, and a recording comm in place of the page."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb import OpenClawAgent, PoolPicker, Runtime, ThreadPool
from openclaw_nb.errors import ConfigError
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.widgets import placed
from openclaw_nb.widgets.library import static
from openclaw_nb.widgets.placed import MOST
from openclaw_nb.widgets.pool import kept_form

from .pages import Page, wait_until
from .test_drawing import TAGS, Finder

pytestmark = pytest.mark.usefixtures("shown")


class Gated:
    """Waits with its answer until the gate is open."""

    name = "gated"

    def __init__(self) -> None:
        self.gate = threading.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        await asyncio.to_thread(self.gate.wait)
        yield TextDelta("done")


@pytest.fixture
def model() -> Gated:
    return Gated()


@pytest.fixture
def pool(model: Gated) -> Iterator[ThreadPool]:
    with ThreadPool() as pool:
        yield pool
        model.gate.set()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


@pytest.fixture
def begin(pool: ThreadPool, model: Gated) -> Callable[[int], Any]:
    """Give a task to so many agents, and wait until they are at work or in line."""

    def begun(count: int) -> Any:
        known = pool.at_work + pool.waiting
        run = pool.execute([OpenClawAgent(f"a{n}", model=model) for n in range(count)], "q")
        wait_until(lambda: pool.at_work + pool.waiting == known + count)
        return run

    return begun


def put(page: Page, picker: PoolPicker, ask: Any = 1, **wishes: Any) -> None:
    page.say(picker, {"kind": "set", "ask": ask, **wishes})


def last(page: Page, picker: PoolPicker) -> dict[str, Any]:
    return page.states(picker)[-1]


def size(page: Page, picker: PoolPicker) -> tuple[int, int]:
    return last(page, picker)["max_threads"], last(page, picker)["max_per_task"]


def use(page: Page, picker: PoolPicker) -> tuple[int, int]:
    return last(page, picker)["at_work"], last(page, picker)["waiting"]


# -- linked both ways ----------------------------------------------------------------------------------


def test_a_size_set_anywhere_changes_every_picker_of_that_pool(pool: ThreadPool, page: Page) -> None:
    pickers = [PoolPicker(pool), PoolPicker(pool)]
    other = PoolPicker(ThreadPool(5, 2))
    assert [size(page, picker) for picker in (*pickers, other)] == [(10, 3), (10, 3), (5, 2)]
    pool.max_threads = 4
    pool.max_per_task = 1
    for picker in pickers:
        wait_until(lambda picker=picker: size(page, picker) == (4, 1))
    assert len(page.states(other)) == 1


def test_what_is_set_holds_for_the_pool_and_for_its_other_pickers(pool: ThreadPool, page: Page) -> None:
    picker, other = PoolPicker(pool), PoolPicker(pool)
    put(page, picker, ask=7, max_threads=20)
    wait_until(lambda: last(page, picker)["answered"] == 7)
    assert (pool.max_threads, pool.max_per_task, size(page, picker)) == (20, 3, (20, 3))
    put(page, other, ask=8, max_threads=6, max_per_task=6)
    wait_until(lambda: size(page, picker) == (6, 6))
    assert (pool.max_threads, pool.max_per_task) == (6, 6)
    assert (last(page, other)["answered"], last(page, picker)["answered"]) == (8, 7)


def test_runs_change_the_use_and_a_change_reaches_those_who_wait(
    pool: ThreadPool, begin: Callable[[int], Any], model: Gated, page: Page
) -> None:
    picker = PoolPicker(pool)
    assert use(page, picker) == (0, 0)
    run = begin(5)
    wait_until(lambda: use(page, picker) == (3, 2))
    put(page, picker, max_per_task=4)
    wait_until(lambda: use(page, picker) == (4, 1))
    put(page, picker, max_threads=2, ask=2)
    wait_until(lambda: last(page, picker)["answered"] == 2)
    assert (use(page, picker), size(page, picker)) == ((4, 1), (2, 4))  # those at work go on
    model.gate.set()
    run.result(60)
    wait_until(lambda: use(page, picker) == (0, 0))


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wish", [{"max_threads": 0}, {"max_threads": 5000}, {"max_threads": -(2**53)}, {"max_per_task": 0}]
)
def test_what_the_pool_refuses_is_said_and_what_was_stays(pool: ThreadPool, page: Page, wish: dict[str, int]) -> None:
    picker, other = PoolPicker(pool), PoolPicker(pool)
    (name,) = wish
    with pytest.raises(ConfigError) as refused:
        setattr(pool, name, wish[name])
    put(page, picker, **wish)
    wait_until(lambda: last(page, picker)["answered"] == 1)
    assert (last(page, picker)["line"], last(page, picker)["tone"]) == (str(refused.value), "bad")
    assert (size(page, picker), last(page, other)["line"]) == ((10, 3), "")
    put(page, picker, ask=2, max_threads=11)
    wait_until(lambda: last(page, picker)["answered"] == 2)
    assert (last(page, picker)["line"], last(page, picker)["tone"], size(page, picker)) == ("", "", (11, 3))


def test_of_two_wishes_the_good_one_is_taken(pool: ThreadPool, page: Page) -> None:
    picker = PoolPicker(pool)
    put(page, picker, max_threads=0, max_per_task=2)
    wait_until(lambda: last(page, picker)["answered"] == 1)
    assert (size(page, picker), last(page, picker)["tone"]) == ((10, 2), "bad")


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "set"}, {"kind": "set", "ask": 1}, {"kind": "set", "max_threads": 3},
        {"kind": "set", "ask": 1, "max_threads": "3"}, {"kind": "set", "ask": 1, "max_threads": 3.0},
        {"kind": "set", "ask": 1, "max_threads": True}, {"kind": "set", "ask": 1, "max_threads": None},
        {"kind": "set", "ask": 1, "max_threads": 10**400}, {"kind": "set", "ask": 1, "max_threads": -(10**400)},
        {"kind": "set", "ask": "1", "max_threads": 3}, {"kind": "set", "ask": -1, "max_threads": 3},
        {"kind": "set", "ask": 10**400, "max_threads": 3}, {"kind": "set", "ask": 1, "timeout": 3},
        {"kind": "set", "ask": 1, "max_threads": 3, "_closed": 1}, {"kind": "set", "ask": 1, "x" * 10_000_000: 3},
        {"kind": "close", "ask": 1, "max_threads": 3}, {"kind": None}, "set", None,
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_ignored(
    pool: ThreadPool, page: Page, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    picker = PoolPicker(pool)
    before = len(page.sent)
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        page.say(picker, content)
    (record,) = caplog.records
    assert "ignored a message" in record.getMessage()
    assert len(record.getMessage()) < 300
    assert (pool.max_threads, pool.max_per_task, len(page.sent), picker._thread) == (10, 3, before, None)


def test_a_page_cannot_change_the_state(pool: ThreadPool, page: Page) -> None:
    picker = PoolPicker(pool)
    before = picker.state
    picker._handle_msg({"content": {"data": {"method": "update", "state": {"state": {"max_threads": 4}}}}})
    assert (picker.state, pool.max_threads) == (before, 10)


def test_a_thousand_changes_at_once_are_a_few_messages_and_the_last_is_told(pool: ThreadPool, page: Page) -> None:
    picker = PoolPicker(pool, interval=0.2)
    for count in range(1, 1001):
        pool.max_threads = count
        put(page, picker, ask=count, max_per_task=count)
    wait_until(lambda: last(page, picker)["answered"] == 1000)
    assert (size(page, picker), pool.max_per_task) == ((1000, 1000), 1000)
    assert len(page.states(picker)) < 30


# -- the form that lasts -------------------------------------------------------------------------------


def test_the_kept_form_follows(
    pool: ThreadPool,
    begin: Callable[[int], Any],
    page: Page,
    shown: CapturingDisplayPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(placed, "CALM", 0.1)
    picker = PoolPicker(pool)
    picker._ipython_display_()
    assert shown.outputs[0]["data"]["text/plain"] == "0 of 10 at work, at most 3 per task"
    assert f'data-ocnb-pool="{picker.place}"' in shown.outputs[0]["data"]["text/html"]
    begin(4)
    wait_until(lambda: shown.outputs[-1]["data"]["text/plain"] == "3 of 10 at work, at most 3 per task, 1 waits")
    begin(2)
    picker.close()
    assert shown.outputs[-1]["data"]["text/plain"] == "5 of 10 at work, at most 3 per task, 1 waits"
    assert "data-ocnb" not in shown.outputs[-1]["data"]["text/html"]


@pytest.mark.parametrize("count", [1, 10, 24, 25, 1000])
def test_it_is_a_square_for_each_thread_or_a_bar_and_words_without_a_style(
    pool: ThreadPool, begin: Callable[[int], Any], count: int
) -> None:
    pool.max_threads = count
    begin(4)
    html, _, style = kept_form(pool)["text/html"].partition("<style>")
    at_work = min(3, count)
    squares = html.count("<i></i>"), html.count('<i class="ocnb-on"></i>')
    assert squares == ((0, 0) if count > 24 else (count - at_work, at_work))
    assert (f"width:{300 / count:g}%" in html) == (count > 24)
    assert style.removesuffix("</style></div>") == static("pool.css").strip()
    page = Finder()
    page.feed(html)
    assert set(page.found) == {"i"} - TAGS
    said = f"{at_work} of {count} at work, at most 3 per task, {4 - at_work} {'waits' if at_work == 3 else 'wait'}"
    assert page.text == kept_form(pool)["text/plain"] == said


def test_more_at_work_than_there_are_threads_now_fill_all(pool: ThreadPool, begin: Callable[[int], Any]) -> None:
    begin(3)
    pool.max_threads = 2
    assert kept_form(pool)["text/plain"] == "3 of 2 at work, at most 3 per task"
    assert kept_form(pool)["text/html"].count('<i class="ocnb-on"></i>') == 2


def test_static_output_says_nothing_of_the_use_and_opens_no_widget(
    pool: ThreadPool,
    begin: Callable[[int], Any],
    page: Page,
    shown: CapturingDisplayPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    PoolPicker(pool)._ipython_display_()
    begin(5)
    PoolPicker(pool)._ipython_display_()
    assert shown.outputs[0]["data"] == shown.outputs[1]["data"] == kept_form(pool, live=False)
    assert shown.outputs[0]["data"]["text/plain"] == "10 threads, at most 3 per task"
    assert "data-ocnb" not in shown.outputs[0]["data"]["text/html"]
    assert (page.sent, pool._slots._listeners) == ([], [])


# -- its pool ------------------------------------------------------------------------------------------


def test_without_a_pool_it_is_the_notebooks_own(page: Page) -> None:
    picker = PoolPicker()
    Runtime.shared().pool.max_threads = 5
    wait_until(lambda: size(page, picker) == (5, 3))
    with pytest.raises(ConfigError, match=r"is of a ThreadPool, .* not of 'main'"):
        PoolPicker("main")  # type: ignore[arg-type]


def test_it_outlives_its_runtime(pool: ThreadPool, page: Page) -> None:
    picker = PoolPicker()
    Runtime.shared().close()
    put(page, picker, max_threads=4)
    wait_until(lambda: last(page, picker)["answered"] == 1)
    picker.close()
    assert Runtime.running() is None


def test_no_listener_is_left_behind(pool: ThreadPool, page: Page) -> None:
    for _ in range(20):
        PoolPicker(pool).close()
    assert pool._slots._listeners == []
    pickers = [PoolPicker(pool) for _ in range(MOST + 2)]
    assert len(pool._slots._listeners) == MOST
    assert [picker.comm is None for picker in pickers[:3]] == [True, True, False]


def test_the_built_files_are_small() -> None:
    assert len(static("pool.js").encode()) < 11_000
    assert len(static("pool.css").encode()) < 4_000
