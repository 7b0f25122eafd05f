"""Pools: what hangs is given up, providers fail, and nobody gets more than is his."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import psutil
import pytest

from openclaw_nb import OpenClawAgent, Runtime, TaskTimeout, ThreadPool
from openclaw_nb.client import flights
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.reasoning.budgets import Budget
from openclaw_nb.reasoning.costs import price
from openclaw_nb.run import Result
from tests.asking import KEY, VENDORS
from tests.bench import pool as bench
from tests.faults.test_vendors import TEXT, WHOLE, rest
from tests.mock_wire import Reply
from tests.pool.teams import Held, ident, saying, soon, threads, with_tool

LIMIT = 0.4  # seconds that an agent may work

Figure = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()
    soon(lambda: not threads())


# -- 18: what hangs --------------------------------------------------------------------------------


def hanging(
    kind: str, limit: float, begun: threading.Event, go: threading.Event, over: threading.Event
) -> tuple[Callable[[], Any], str]:
    """A tool that ignores its time limit, and the line at which it hangs."""
    lasts = 2 * limit + 2
    lock = threading.Lock()
    lock.acquire()

    def release() -> None:
        go.wait(120)
        lock.release()

    def waits_for_a_lock() -> None:
        helper = threading.Thread(target=release)
        helper.start()
        begun.set()
        lock.acquire()
        over.set()
        helper.join()

    def sleeps() -> None:
        begun.set()
        time.sleep(lasts)
        over.set()

    async def sleeps_on_the_loop() -> None:
        begun.set()
        time.sleep(lasts)  # noqa: ASYNC251
        over.set()

    def reads() -> None:
        end, other = os.pipe()
        threading.Thread(target=lambda: (go.wait(120), os.close(other))).start()
        begun.set()
        os.read(end, 1)
        over.set()
        os.close(end)

    return {
        "a lock": (waits_for_a_lock, "lock.acquire()"), "time.sleep": (sleeps, "time.sleep(lasts)"),
        "a C call": (reads, "os.read(end, 1)"),
        "a coroutine": (sleeps_on_the_loop, "time.sleep(lasts)  # noqa: ASYNC251"),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["a lock", "time.sleep", "a C call", "a coroutine"])
def test_a_tool_that_ignores_its_limit_is_given_up(kind: str, figure: Figure) -> None:
    late: list[float] = []
    with ThreadPool(max_threads=1, timeout=60) as pool:
        bound = with_tool("bound", ident)
        idents = [str(pool.execute([bound], "go", session="b").result(60).results["bound"])]
        for n in range(3):
            for limit in (LIMIT, 5 * LIMIT, 25 * LIMIT):  # the first in which its tool has begun here, and hangs on
                begun, go, over = threading.Event(), threading.Event(), threading.Event()
                tool, line = hanging(kind, limit, begun, go, over)
                agent = with_tool("hangs", tool)
                run = pool.execute([agent], "go", timeout=limit, session=f"h{n}")
                soon(lambda run=run: run.lanes[0].run is not None)  # type: ignore[misc]
                sent = time.monotonic() - run.lanes[0].seconds
                soon(run.done)
                late.append(time.monotonic() - sent - limit)
                if begun.is_set() and not over.is_set():
                    break
            else:
                raise AssertionError("it was not given up while it hung")
            outcome = run.result().results["hangs"]
            assert isinstance(outcome, TaskTimeout)
            assert f"the time limit of {limit:g} s was reached, while its tool was at {line}" in str(outcome)
            assert outcome.stack.splitlines()[-1].strip() == line
            assert __file__ in outcome.stack
            assert (pool.at_work, pool.waiting) == (0, 0)
            again = pool.execute([bound], "go", session="b").result(60)  # while it still hangs
            idents.append(str(again.results["bound"]))
            go.set()
    assert all(before != after for before, after in pairwise(idents)), "its thread was replaced each time"
    soon(lambda: not threads())  # each thread that was left alone ends when its tool does
    words = f"TaskTimeout {1000 * min(late):.0f} ms after the limit, with the line it hangs at"
    figure("reliability 18", f"{kind}: {words}")


def test_what_waits_in_the_queue_is_not_counted() -> None:
    async def slow(prompt: str) -> AsyncIterator[str]:
        await asyncio.sleep(limit / 10)
        yield "done"

    for limit in (5 * LIMIT, 25 * LIMIT, 100 * LIMIT):  # the first that the work of one is within, on a busy machine
        with ThreadPool(max_threads=1, timeout=limit) as pool:
            result = pool.execute([saying(f"a{n}", slow) for n in range(12)], "go").result(200)
        if result.words == "done":
            break
    assert result.words == "done"
    assert result.seconds > limit


def test_a_tool_of_a_process_is_killed(figure: Figure) -> None:
    pids: list[int] = []

    def sleeps() -> None:
        time.sleep(60)

    with ThreadPool(max_threads=1, timeout=60, isolation="process") as pool:
        agent = with_tool("hangs", sleeps)
        before = set(psutil.Process().children(recursive=True))
        run = pool.execute([agent], "go", timeout=3)
        soon(lambda: pids.extend(one.pid for one in set(psutil.Process().children(recursive=True)) - before) or pids)
        [pid, *_] = pids
        outcome = run.result(60).results["hangs"]
        assert isinstance(outcome, TaskTimeout)
        soon(lambda: not psutil.pid_exists(pid))
        assert pool.at_work == 0
    figure("reliability 18", 'isolation="process": its process is dead')


# -- 19: providers that fail -----------------------------------------------------------------------


def test_a_fifth_of_all_calls_fails(monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    monkeypatch.setattr(flights, "DELAY", 0.02)
    monkeypatch.setattr("openclaw_nb.models.failures.random.uniform", lambda low, high: 0.05)
    vendor, chance = VENDORS["anthropic"], random.Random(6)
    refused, failed, cut = Reply(status=429, retry_after="0"), Reply(status=500), Reply(tokens=rest, reset_after=5)
    faults = [refused, failed, cut, Reply(close=True)]
    replies = [chance.choice(faults) if chance.random() < 0.2 else Reply(tokens=rest) for _ in range(250)]
    monkeypatch.setenv(vendor.key, KEY)
    budget = Budget(10.0, "pool")
    with vendor.mock(*replies) as mock:
        monkeypatch.setenv(mock.variable, mock.url)
        agents = [OpenClawAgent(f"a{n}", model=vendor.model, reasoning_level=1) for n in range(10)]
        with ThreadPool(max_threads=8, max_per_task=4, timeout=30) as pool:
            runs = [pool.execute(agents, f"go {n}", session=f"s{n}", budget=budget) for n in range(3)]
            results = [one for run in runs for one in run.result(60).results.values()]
        calls = mock.calls
    whole = [one for one in results if isinstance(one, Result)]
    assert len(whole) >= 28, "of one in a hundred all attempts fail"
    once = price(vendor.model, whole[0].usage.input_tokens, len(WHOLE))
    assert once is not None
    for result in whole:
        assert result == TEXT
        assert result.usage.output_tokens == len(WHOLE)
        assert 0.9 * once < (result.cost or 0.0) < 3 * once
    assert 30 < calls < 60, "and not four times what failed"
    assert budget.spent == pytest.approx(sum(run.cost or 0.0 for run in runs))
    assert budget.held == 0
    figure(
        "reliability 19",
        f"a pool of 10 agents, 20 % of calls answered with 429, 500, a reset or nothing: {len(whole)} of 30 whole in "
        f"{calls} calls, the shared budget charged {budget.spent:.4f} USD, which is what they cost",
    )


# -- 20: who works, and when -----------------------------------------------------------------------


def test_a_thousand_on_eight_threads(figure: Figure) -> None:
    lock = threading.Lock()
    now: Counter[str] = Counter()
    began: list[str] = []
    most = {"in all": 0, "of a task": 0}

    class Counting:
        name = "counting"

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            task = request.prompt
            with lock:
                began.append(task)
                now[task] += 1
                most["in all"] = max(most["in all"], now.total())
                most["of a task"] = max(most["of a task"], now[task])
            await asyncio.sleep(0.005)
            yield TextDelta("done")
            with lock:
                now[task] -= 1

    held = Held()
    agent, first = saying("counts", Counting()), saying("first", held)
    with ThreadPool(max_threads=8, max_per_task=2, timeout=60) as pool:
        blocking = pool.execute([first] * 8, "hold", per_task=8)
        soon(lambda: len(held.asked) == 8)
        runs = [pool.execute([agent] * (10 + n % 2 * 20), f"{n}", session=f"s{n}") for n in range(50)]
        assert pool.waiting == 1_000
        held.let_go()
        for run in (blocking, *runs):
            assert run.result(60).words == "done"
        assert len(began) == 1_000
        few = [pool.execute([agent] * 9, f"few {n}", session=f"few{n}") for n in range(3)]
        assert {run.result(60).words for run in few} == {"done"}
    assert most == {"in all": 8, "of a task": 2}
    counts: Counter[str] = Counter({f"{n}": 0 for n in range(50)})
    for task in began[:500]:  # by then the small ones have all begun
        counts[task] += 1
        assert max(counts.values()) - min(counts.values()) <= 2, "each in its turn, however big its task is"
    figure(
        "reliability 20",
        f"1,000 agents of 50 tasks on 8 threads: at most {most['in all']} at work, at most {most['of a task']} of a "
        f"task, of which 2 may be; no task more than 2 ahead of another",
    )


def test_a_thousand_that_wait_cost_little_and_a_slot_less_than_a_thread(figure: Figure) -> None:
    added = bench.queued()
    assert added < 32 * 2**20
    medians = bench.measured(rounds=3)
    beside = medians["ThreadPoolExecutor"]
    ratios = {name: medians[name] / beside for name in ("slot, one is free", "slot, all wait in line")}
    assert max(ratios.values()) < bench.BOUND
    words = ", ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items())
    figure("reliability 20", f"1,000 agents that wait cost {added / 2**20:.1f} MiB; x of ThreadPoolExecutor, {words}")
