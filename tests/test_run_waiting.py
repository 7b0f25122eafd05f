"""Run, waited for where others need the thread meanwhile, or from inside the very run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from openclaw_nb import waits
from openclaw_nb.errors import DeadlockError, RunTimeout
from openclaw_nb.events import Delta, End, State, Status
from tests.test_run import PATIENCE, feed, new_run


class Serving:
    """A thread's own way to wait: it does what else there is to do."""

    def __init__(self, *work: Callable[[], None]) -> None:
        self.work = list(work)
        self.asked: list[float | None] = []

    def wait(self, future: Future[object], timeout: float | None) -> None:
        self.asked.append(timeout)
        while self.work and not future.done():
            self.work.pop(0)()


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    def serve(*work: Callable[[], None]) -> Serving:
        serving = Serving(*work)
        waits.waiter.wait = serving.wait
        return serving

    yield serve
    waits.waiter.wait = None


def apart(work: Callable[[], None]) -> Callable[[], None]:
    """On a thread of its own, as the one that feeds a run is."""

    def done() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE)

    return done


def test_its_thread_serves_others_while_it_waits(serve: Callable[..., Serving]) -> None:
    run = new_run()
    serving = serve(apart(lambda: feed(run, ["one"])))
    assert run.result(5) == "one"
    assert run.result(5) == "one"
    assert serving.asked == [5], "and what is done is not waited for"


def test_its_thread_serves_others_between_two_deltas(serve: Callable[..., Serving]) -> None:
    run = new_run()
    pushed = [Delta(0, "a", 1), Delta(1, "b", 2), State(Status.STREAMING, "goes on"), End(Status.DONE)]
    serve(*(apart(lambda event=event: run.push(event)) for event in pushed))  # type: ignore[misc]
    assert list(run) == ["a", "b"]
    assert run._listeners == []


def test_in_time_it_gives_up_there_too(serve: Callable[..., Serving]) -> None:
    serve()
    with pytest.raises(RunTimeout, match=r"did not end within 0.5 s; it goes on"):
        new_run().result(0.5)


def test_code_of_a_run_cannot_wait_for_that_very_run() -> None:
    run = new_run(agent="coder")

    async def awaited() -> None:
        await run

    async def read() -> None:
        async for _ in run:
            pass

    def wait() -> None:
        waits.part_of.set((run.id, "coder"))
        ways: list[Callable[[], object]] = [run.result, lambda: list(run), lambda: asyncio.run(awaited())]
        for way in [*ways, lambda: asyncio.run(read())]:
            with pytest.raises(DeadlockError, match="coder → coder: none of these would ever end"):
                way()

    contextvars.copy_context().run(wait)
    assert run._listeners == []
