"""Worker: one thread for life, which serves others while a job only waits, and is left alone where it hangs."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from openclaw_nb.errors import DeadlockError, RunError
from openclaw_nb.pool.workers import Job, Worker
from openclaw_nb.waits import awaiting, part_of, wait
from tests.pool.teams import LIMIT, soon

now = contextvars.ContextVar("now", default="nobody")


class Owner:
    def __init__(self, name: str = "a") -> None:
        self.ended = False
        self.context = contextvars.copy_context()
        self.context.run(now.set, name)

    def done(self) -> bool:
        return self.ended


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("openclaw agent 1")
    yield made
    made.close()


def submit(worker: Worker, work: Callable[[], Any], owner: Owner | None = None) -> Job:
    owner = owner or Owner()
    job = Job(owner, owner.context, work)
    worker.submit(job)
    return job


def result(job: Job) -> Any:
    return job.done.result(LIMIT)


def test_functions_and_coroutine_functions_run_on_one_thread_in_their_owners_context(worker: Worker) -> None:
    async def coroutine() -> tuple[str, int, asyncio.AbstractEventLoop]:
        await asyncio.sleep(0)
        return now.get(), threading.get_ident(), asyncio.get_running_loop()

    a, b = Owner("a"), Owner("b")
    who, ident = result(submit(worker, lambda: (now.get(), threading.get_ident()), a))
    assert who == "a"
    assert ident != threading.get_ident()
    first, second = (result(submit(worker, coroutine, b)) for _ in range(2))
    assert first == second, "and on one loop"
    assert first[:2] == ("b", ident)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2), KeyboardInterrupt()])
@pytest.mark.parametrize("on_loop", [False, True])
def test_no_error_ends_the_thread(worker: Worker, error: BaseException, on_loop: bool) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    with pytest.raises(type(error)):
        result(submit(worker, fail_later if on_loop else fail))
    assert result(submit(worker, lambda: 1)) == 1


def test_while_a_job_waits_others_are_served_on_the_same_thread(worker: Worker) -> None:
    given: Future[int] = Future()

    def waits() -> tuple[int, int]:
        wait(given)
        return given.result(0), threading.get_ident()

    async def gives() -> int:
        await asyncio.sleep(0.001)
        given.set_result(7)
        return threading.get_ident()

    waiting = submit(worker, waits)
    assert (7, result(submit(worker, gives, Owner()))) == result(waiting)


def test_fifty_wait_on_top_of_one_another(worker: Worker) -> None:
    def nest(n: int) -> int:
        if not n:
            return 0
        inner = submit(worker, lambda: nest(n - 1), Owner())
        wait(inner.done)
        return 1 + int(inner.done.result(0))

    assert result(submit(worker, lambda: nest(50))) == 50


def test_where_the_stack_has_no_room_it_says_so(worker: Worker) -> None:
    def nest() -> None:
        inner = submit(worker, nest, Owner())
        wait(inner.done)
        inner.done.result(0)

    with pytest.raises(DeadlockError, match="below so many others would block the thread"):
        result(submit(worker, nest))
    assert result(submit(worker, lambda: 1)) == 1


def test_to_wait_inside_a_coroutine_is_refused(worker: Worker) -> None:
    async def blocks() -> None:
        wait(Future(), LIMIT)

    with pytest.raises(DeadlockError, match="inside a coroutine would block the thread, and all that is bound to it"):
        result(submit(worker, blocks))


@pytest.mark.parametrize("first", [True, False])
def test_what_is_awaited_on_a_loop_of_its_own_must_not_need_the_thread(worker: Worker, first: bool) -> None:
    """Which would hang, whether that has asked for the thread ``first`` or asks while it is held."""
    owners = a, b = Owner("a"), Owner("b")
    for n, owner in enumerate(owners):
        owner.context.run(part_of.set, (str(n), "ab"[n]))
    what, heard = Job(b, b.context, int, "look"), Job(b, b.context, int)
    go = threading.Event()

    class B:
        takes_slots = False

        def unended(self) -> dict[str, str]:
            return {"1": "b"}

    async def main() -> None:
        with awaiting(B()):
            if not first:
                worker.submit(what)
            await asyncio.wrap_future(what.done)

    def held() -> None:
        go.wait(LIMIT)
        asyncio.run(main())

    holder = submit(worker, held, a)
    for job in (heard, what) if first else (heard,):
        worker.submit(job)
    go.set()
    for job in (what, holder):
        with pytest.raises(DeadlockError, match="a → b → a: look needs the thread that asyncio"):
            result(job)
    assert result(heard) == 0, "a handler, which nobody waits for"


def test_one_owner_has_one_job_at_a_time(worker: Worker) -> None:
    """Whether it is a function or a coroutine function; others are served meanwhile."""
    owner, go, order = Owner(), Future[None](), list[str]()

    def function() -> None:
        order.append("function begins")
        wait(go)
        order.append("function ends")

    async def coroutine() -> None:
        order.append("coroutine begins")
        await asyncio.sleep(0.01)
        order.append("coroutine ends")

    jobs = [submit(worker, work, owner) for work in (function, coroutine, lambda: order.append("last"))]
    result(submit(worker, lambda: order.append("another"), Owner()))
    go.set_result(None)
    for job in jobs:
        result(job)
    own = [words for words in order if words != "another"]
    assert own == ["function begins", "function ends", "coroutine begins", "coroutine ends", "last"]


def test_a_coroutine_goes_on_when_the_one_that_began_before_it_has_ended(worker: Worker) -> None:
    go = asyncio.Event()

    async def short() -> None:
        await asyncio.sleep(0.02)

    async def long() -> str:
        await go.wait()
        return "done"

    jobs = [submit(worker, short), submit(worker, long, Owner())]
    result(jobs[0])
    result(submit(worker, go.set, Owner()))
    assert result(jobs[1]) == "done"


def test_a_function_that_waits_goes_on_while_coroutines_still_wait(worker: Worker) -> None:
    go = Future[None]()
    event = asyncio.Event()
    forever = submit(worker, event.wait)
    waiting = submit(worker, lambda: wait(go), Owner())
    timed = submit(worker, lambda: wait(Future(), 0.01), Owner())
    result(timed)
    go.set_result(None)
    result(waiting)
    assert not forever.done.done()
    submit(worker, event.set, Owner())
    assert result(forever)


# -- given up --------------------------------------------------------------------------------------


def hanging(worker: Worker, until: threading.Event, *, on_loop: bool = False) -> Job:
    begun = threading.Event()

    def hang() -> int:
        begun.set()
        until.wait(LIMIT)  # HERE
        return threading.get_ident()

    async def hang_later() -> int:
        return hang()

    job = submit(worker, hang_later if on_loop else hang)
    assert begun.wait(LIMIT)
    soon(lambda: worker.where(job).endswith("# HERE"))
    return job


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_thread_that_hangs_is_replaced_and_its_stack_told(worker: Worker, on_loop: bool) -> None:
    go = threading.Event()
    hung = hanging(worker, go, on_loop=on_loop)
    queued = submit(worker, threading.get_ident, Owner())
    before = threading.active_count()
    assert worker.where(hung).endswith("until.wait(LIMIT)  # HERE")
    assert worker.where(queued) == ""
    stack, successor = worker.give_up(hung)
    assert stack.endswith("until.wait(LIMIT)  # HERE")
    assert "pool/workers.py" not in stack.replace("tests/pool", "")
    assert successor is not None
    assert queued.worker is successor
    assert result(queued) != threading.get_ident()
    assert worker.give_up(hung) == (stack, None), "it is replaced once"
    with pytest.raises(RunError, match="has ended, and takes no more work"):
        submit(worker, int)
    go.set()
    assert result(hung) != result(queued)
    soon(lambda: threading.active_count() == before)
    successor.close()


def test_a_coroutine_that_awaits_is_cancelled_and_its_thread_stays(worker: Worker) -> None:
    begun, other = threading.Event(), asyncio.Event()

    async def awaits() -> None:
        begun.set()
        await asyncio.sleep(LIMIT)

    job, beside = submit(worker, awaits), submit(worker, other.wait, Owner())
    assert begun.wait(LIMIT)
    soon(lambda: worker._tasks and worker._task() is None)
    assert worker.where(job).endswith("await asyncio.sleep(LIMIT)")
    stack, successor = worker.give_up(job)
    assert stack.endswith("await asyncio.sleep(LIMIT)")
    assert successor is None
    with pytest.raises(asyncio.CancelledError):
        result(job)
    assert not beside.done.done()
    submit(worker, other.set, Owner())
    assert result(beside)


def test_one_that_has_not_begun_never_does(worker: Worker) -> None:
    go, ran = threading.Event(), list[int]()
    hung = hanging(worker, go)
    queued = submit(worker, lambda: ran.append(1), Owner())
    assert worker.give_up(queued) == ("", None), "it is another's turn"
    go.set()
    result(hung)
    result(submit(worker, int))
    with pytest.raises(CancelledError):
        result(queued)
    assert ran == []


def test_one_that_waits_is_told_where_it_waits(worker: Worker) -> None:
    job = submit(worker, lambda: wait(Future(), LIMIT))
    soon(lambda: worker._stack and worker._at_work is None)
    assert worker.give_up(job) == ("", None)
    with pytest.raises(RunError, match="its agent has ended"):
        result(job)


def test_what_somebody_left_behind_who_has_ended_holds_up_nobody(worker: Worker) -> None:
    go, gone = threading.Event(), Owner()
    left = submit(worker, lambda: go.wait(LIMIT), gone)
    soon(lambda: "go.wait(LIMIT)" in worker.where(left))
    gone.ended = True
    stack, successor = worker.give_up(submit(worker, int, Owner()))
    assert "go.wait(LIMIT)" in stack
    assert successor is not None
    successor.close()
    go.set()


def test_a_job_given_up_as_it_ends_settles_once() -> None:
    """Whoever is first, it is done, and the threads end."""
    for n in range(200):
        worker = Worker("openclaw agent race")
        job = submit(worker, lambda n=n: time.sleep(n % 5 / 10_000))  # type: ignore[misc]
        time.sleep(n % 7 / 10_000)
        _, successor = worker.give_up(job)
        soon(job.done.done)
        for one in filter(None, (worker, successor)):
            one.close()
    soon(lambda: not any(thread.name.endswith("race") for thread in threading.enumerate()))


# -- its end ---------------------------------------------------------------------------------------


def test_closed_it_ends_when_what_is_at_work_has(worker: Worker) -> None:
    go = threading.Event()
    job = hanging(worker, go)
    queued = submit(worker, int)
    worker.close()
    assert queued.done.cancelled()
    go.set()
    ident = result(job)
    soon(lambda: ident not in {thread.ident for thread in threading.enumerate()})


def test_it_does_not_hold_the_last_thing_it_has_done(worker: Worker) -> None:
    owner = Owner()
    gone = weakref.ref(owner)
    result(submit(worker, int, owner))
    del owner
    soon(lambda: gc.collect() >= 0 and gone() is None)


def test_it_holds_nothing_of_what_it_has_done(worker: Worker) -> None:
    owner = Owner()
    gone = weakref.ref(owner)
    for work in (int, asyncio.Event().wait):
        job = submit(worker, work, owner)
        if work is int:
            result(job)
        else:
            soon(lambda: worker._tasks and worker._task() is None)  # or its thread would be left alone with it
            worker.give_up(job)
            soon(job.done.done)
    del owner, job
    result(submit(worker, int, Owner("b")))
    gc.collect()
    assert gone() is None
