"""Waits: a wait that would never end is refused with the way it goes, and who waits for a pool lends its place."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from contextvars import copy_context

import pytest

from openclaw_nb import waits
from openclaw_nb.errors import DeadlockError
from openclaw_nb.waits import part_of, places, wait, waiting_for


class Work:
    """Runs that can be waited for."""

    def __init__(self, *names: str, pool: bool = True) -> None:
        self.runs = {f"id {name}": name for name in names}
        self.takes_slots = pool

    def unended(self) -> dict[str, str]:
        return self.runs


class Lane:
    def __init__(self, *above: str, name: str = "a") -> None:
        self.name = name
        self.on_top = {f"id {name}": name for name in above}
        self.lent = 0

    def above(self) -> dict[str, str]:
        return self.on_top

    def lend(self) -> None:
        self.lent += 1

    def take_back(self) -> None:
        self.lent -= 1


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    places.clear()
    assert not waits._waits
    assert not waits._since
    waits._changes()
    assert not waits._lent


def waits_for(stack: ExitStack, name: str, work: Work) -> None:
    """The run of this name waits for it."""

    def enter() -> None:
        part_of.set((f"id {name}", name))
        stack.enter_context(waiting_for(work))

    copy_context().run(enter)


def test_a_cycle_is_refused_with_its_way() -> None:
    with ExitStack() as stack:
        waits_for(stack, "a", Work("x", "b"))
        waits_for(stack, "b", Work("c", pool=False))
        with pytest.raises(DeadlockError, match=r"^c → a → b → c: none of these would ever end, as each waits for the"):
            waits_for(stack, "c", Work("y", "a"))
        with pytest.raises(DeadlockError, match="d → d: none"):
            waits_for(stack, "d", Work("d"))
        waits_for(stack, "c", Work("y"))


def test_what_lies_on_top_of_it_on_its_thread_comes_first() -> None:
    places["id a"] = Lane("d")
    with ExitStack() as stack:
        waits_for(stack, "a", Work("b"))
        with pytest.raises(DeadlockError, match="d → a → d"):
            waits_for(stack, "d", Work("a"))


def test_an_agent_is_called_by_its_own_name_in_its_task() -> None:
    places["id a"] = Lane(name="coder-2")
    with pytest.raises(DeadlockError, match="coder-2 → a: none"), ExitStack() as stack:
        waits_for(stack, "a", Work("a"))


def test_what_has_ended_is_not_waited_for() -> None:
    work = Work("a")
    with ExitStack() as stack:
        waits_for(stack, "b", work)
        work.runs.clear()
        waits_for(stack, "a", Work("b"))


def test_who_waits_for_a_pool_lends_its_place_and_who_waits_for_a_run_keeps_it() -> None:
    lane = places["id a"] = Lane()
    with ExitStack() as stack:
        waits_for(stack, "a", Work("b", pool=False))
        assert lane.lent == 0
        with ExitStack() as inner:
            waits_for(inner, "b", Work("c"))
            assert lane.lent == 1, "as the run that it waits for needs a slot to get on"
        assert lane.lent == 0
        waits_for(stack, "a", Work("d"))
        waits_for(stack, "a", Work("e"))
        assert lane.lent == 1, "once, however much it waits for"
    assert lane.lent == 0


def test_who_is_needed_again_is_told_once() -> None:
    lane, work = Lane(), Work("b")
    places["id a"] = lane
    with ExitStack() as stack:
        waits_for(stack, "a", work)
        assert waits.resumed() == []
        work.runs.clear()
        assert waits.resumed() == [lane]
        assert waits.resumed() == []
    assert lane.lent == 1, "whoever was told so takes it back"


def test_code_of_no_run_waits_for_anything() -> None:
    with waiting_for(Work("a")):
        assert not waits._waits


def test_two_that_begin_to_wait_for_each_other_at_once() -> None:
    """One of them is refused, whichever, and the other waits."""
    for _ in range(200):
        barrier, refused = threading.Barrier(2), list[str]()

        def enter(name: str, other: str, barrier: threading.Barrier = barrier, refused: list[str] = refused) -> None:
            part_of.set((f"id {name}", name))
            barrier.wait()
            try:
                with waiting_for(Work(other)):
                    barrier.wait(60)
            except DeadlockError as error:
                refused.append(str(error))
                barrier.abort()
            except threading.BrokenBarrierError:
                pass

        threads = [threading.Thread(target=enter, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [words] = refused
        assert words.startswith(("a → b → a", "b → a → b"))


def test_to_wait_ends_in_time_and_lets_a_thread_do_it_its_own_way() -> None:
    future: Future[int] = Future()
    wait(future, 0.01)
    asked = []

    def own(future: Future[int], timeout: float | None) -> None:
        asked.append(timeout)
        future.set_result(1)

    waits.waiter.wait = own
    try:
        wait(future, 3.0)
        wait(future, 4.0)
    finally:
        del waits.waiter.wait
    assert asked == [3.0], "what is done is not waited for"


def test_who_waits_for_whom_and_since_when() -> None:
    places["id a"] = Lane(name="a")
    before = time.monotonic()
    with ExitStack() as stack:
        waits_for(stack, "a", Work("b", "c"))
        waits_for(stack, "x", Work())
        [one] = waits.waiting()
        assert (one.run_id, one.names) == ("id a", ("b", "c"))
        assert before <= one.since <= time.monotonic()
        waits_for(stack, "a", Work("d"))
        assert waits.waiting()[0].names == ("b", "c", "d")
        assert waits.waiting()[0].since == one.since, "it has waited all the time"
    assert not waits.waiting()


INTERRUPTED = """
import signal, threading
from concurrent.futures import Future
from openclaw_nb.waits import wait

def interrupt():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
threading.Timer(0.3, interrupt).start()
try:
    wait(Future())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_is_heard_whichever_thread_it_reached() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "interrupted\n"
