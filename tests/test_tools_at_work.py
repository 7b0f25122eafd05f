"""Tools at work: what a model is told where one fails, where each runs, and what becomes of a cancelled call."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

from openclaw_nb.tools import Tool, Toolbox, ToolResult
from tests.spine import asynchronous


def call(function: Callable[..., Any], **arguments: Any) -> ToolResult:
    return asyncio.run(Tool(function).call(arguments))


async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n


# -- what goes wrong -----------------------------------------------------------------------------


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such\nplace"), "fails failed: ValueError: no such place"),
        (KeyError("x"), "fails failed: KeyError: 'x'"),
        (ZeroDivisionError(), "fails failed: ZeroDivisionError"),
        (SystemExit(2), "fails failed: SystemExit: 2"),
        (KeyboardInterrupt(), "fails failed: KeyboardInterrupt"),
        (StopIteration(3), "fails failed: StopIteration: 3"),
        (asyncio.CancelledError("from inside"), "fails failed: CancelledError: from inside"),
        (Unsayable(), "fails failed: Unsayable"),
        (ValueError("x" * 9_999), "fails failed: ValueError: " + "x" * 299 + "…"),
    ],
)
@pytest.mark.parametrize("on_loop", [False, True])
def test_a_failing_tool_is_one_line(error: BaseException, words: str, on_loop: bool) -> None:
    def fails() -> None:
        raise error

    async def fails_later() -> None:
        raise error

    fails_later.__name__ = "fails"
    if on_loop and isinstance(error, StopIteration):
        words = "fails failed: RuntimeError: coroutine raised StopIteration"
    assert call(fails_later if on_loop else fails) == ToolResult(words, failed=True)


def test_what_cannot_be_shown_says_that_it_ran() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("not me")

    def shy() -> Shy:
        return Shy()

    assert call(shy) == ToolResult(
        "shy failed: RuntimeError: not me (it ran, and what it gave cannot be shown)", failed=True
    )


def test_a_wrapper_that_hides_a_coroutine_says_so() -> None:
    @wraps(later)
    def hides(n: int) -> Any:
        return later(n)

    assert call(hides, n=1) == ToolResult(
        "later failed: TypeError: it gives a coroutine; write it with `async def`", failed=True
    )


# -- where it runs -------------------------------------------------------------------------------


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


@asynchronous
async def test_a_plain_function_does_not_hold_up_the_loop() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(60)
        return threading.current_thread().name

    task = asyncio.create_task(Tool(slow).call({}))
    while not begun.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.001)  # that this goes on is the test
    go_on.set()
    assert (await task).text == "openclaw tool slow"


@asynchronous
async def test_a_coroutine_function_runs_on_the_loop() -> None:
    async def where() -> bool:
        return asyncio.get_running_loop() is loop

    loop = asyncio.get_running_loop()
    assert (await Tool(where).call({})).text == "true"
    assert (await Tool(later).call({"n": 4})).text == "4"


@asynchronous
async def test_a_cancelled_call_drops_what_its_thread_gives() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Big:
        pass

    made: list[weakref.ref[Big]] = []

    def slow() -> Big:
        begun.set()
        assert go_on.wait(60)
        big = Big()
        made.append(weakref.ref(big))
        return big

    task = asyncio.create_task(Tool(slow).call({}))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    for thread in _threads("openclaw tool slow"):
        await asyncio.to_thread(thread.join, 60)
    gc.collect()
    [big] = made
    assert big() is None


@asynchronous
async def test_a_cancelled_coroutine_is_cancelled() -> None:
    stopped = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    task = asyncio.create_task(Tool(endless).call({}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


def test_a_thread_that_outlives_its_loop_harms_nobody() -> None:
    go_on = threading.Event()

    def slow() -> None:
        go_on.wait(60)

    async def leave() -> None:
        task = asyncio.create_task(Tool(slow).call({}))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    left = _threads("openclaw tool slow")
    go_on.set()
    for thread in left:
        assert thread.daemon, "it must not hold up the end of the process"
        thread.join(60)


# -- at a place ----------------------------------------------------------------------------------


@asynchronous
async def test_a_place_is_given_the_name_and_the_work_and_says_what_came_of_it() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    seen: list[tuple[str, bool]] = []

    async def place(name: str, work: Callable[[], Any]) -> ToolResult:
        seen.append((name, inspect.iscoroutinefunction(work)))
        given: ToolResult = await work() if inspect.iscoroutinefunction(work) else work()
        return ToolResult(f"{given.text} there", given.failed)

    tools = Toolbox([add, later])
    there = tools.at(place)
    assert await there.call("add", {"a": 1, "b": 2}) == ToolResult("3 there")
    assert await there.call("later", {"n": 4}) == ToolResult("4 there")
    assert await there.call("add", {"a": 1}) == await tools.call("add", {"a": 1})
    assert seen == [("add", False), ("later", True)], "what was not called went nowhere"
    assert await tools.call("add", {"a": 1, "b": 2}) == ToolResult("3")
    assert await there.at(None).call("add", {"a": 1, "b": 2}) == ToolResult("3")
    assert there == tools
