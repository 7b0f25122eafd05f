"""waiting: a cell goes on at the end of its run, or at an interrupt, and not for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from openclaw_nb import waiting
from openclaw_nb.errors import ModelError
from openclaw_nb.events import End, Status
from openclaw_nb.run import Run
from openclaw_nb.waiting import Waker, until_done, until_done_async, until_settled

END = End(Status.DONE)
FAILED = End(Status.FAILED, error=ModelError("it broke"))


def soon(run: Run, end: End) -> None:
    threading.Timer(0.05, run.push, [end]).start()


@pytest.mark.parametrize("end", [END, FAILED], ids=["done", "failed"])
def test_until_a_run_has_ended_however(end: End) -> None:
    blocking, awaited = Run("r"), Run("s")
    soon(blocking, end)
    until_done(blocking, None)
    assert blocking.done()
    soon(awaited, end)
    asyncio.run(until_done_async(awaited, None))
    assert awaited.done()


def test_no_longer_than_one_wants() -> None:
    run = Run("r")
    until_done(run, 0.05)
    asyncio.run(until_done_async(run, 0.05))
    assert not run.done()


def test_the_last_form_of_a_view_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class View:
        settled: Future[None] = Future()

    monkeypatch.setattr(waiting, "RENDER", 0.05)
    until_settled(View())


# -- interrupts ------------------------------------------------------------------------------------


def interrupt(thread: int, over: threading.Event) -> None:
    """As soon as the loop of that thread sleeps: what comes sooner would be seen on the way there."""
    while not over.wait(0.1):
        if sys._current_frames()[thread].f_code.co_name == "select":
            os.kill(os.getpid(), signal.SIGINT)
            return


def heard(work: Coroutine[Any, Any, None], limit: float = 60) -> bool:
    """Whether a SIGINT cancels work that is awaited as ipykernel does, before its loop would wake up by itself."""

    async def cell() -> bool:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon(task.cancel))
        sender = threading.Thread(target=interrupt, args=[threading.get_ident(), over := threading.Event()])
        sender.start()
        at_last = loop.time() + limit
        try:
            await asyncio.wait({task}, timeout=limit)  # this is what wakes it up at last
            return loop.time() < at_last
        finally:
            over.set()
            sender.join()  # or it would interrupt the tests
            signal.signal(signal.SIGINT, before)

    return asyncio.run(cell())


async def asleep() -> None:
    await asyncio.Event().wait()


def test_an_interrupt_reaches_what_waits_for_a_run() -> None:
    assert heard(until_done_async(Run("r"), None))


def test_an_interrupt_reaches_whatever_is_awaited_while_somebody_wakes_the_loop() -> None:
    waker = Waker()

    async def cell() -> None:
        waker.start()
        await asleep()

    assert heard(cell())


def test_from_its_end_on_nobody_does() -> None:
    waker = Waker()

    async def cell() -> None:
        waker.start()
        waker.stop()
        await asleep()

    assert not heard(cell(), 1.5)


def test_without_a_loop_there_is_nothing_to_wake() -> None:
    waker = Waker()
    waker.start()
    waker.stop()
