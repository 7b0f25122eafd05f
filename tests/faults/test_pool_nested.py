"""Nested work: agents of a pool that ask it for more complete, or are refused with the way they wait for each other."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ToolCall
from openclaw_nb.tools import Tool
from tests.pool.teams import Held, saying, soon, threads, with_tool

DEEP = 50
TIMES = int(os.environ.get("OPENCLAW_NB_NESTED", "20"))  # 1,000 of them take six minutes

Figure = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()
    soon(lambda: not threads())


class Descends:
    """A model that calls ``down`` with one less than it is told."""

    name = "descends"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        last = request.messages[-1]
        if last["role"] == "tool":
            yield TextDelta(last["content"])
        else:
            yield ToolCall("1", "down", {"n": int(last["content"])})


def diver(pool: ThreadPool, how: str, session: str) -> OpenClawAgent:
    """An agent that has itself do the same one level further down, from a tool or from its model."""

    def down(n: int) -> str:
        return said(pool.execute([agent], f"{n - 1}", session=session).result()) if n else "bottom"

    async def down_later(n: int) -> str:
        return said(await pool.execute([agent], f"{n - 1}", session=session)) if n else "bottom"

    async def model(prompt: str) -> AsyncIterator[str]:
        yield await down_later(int(prompt))

    tool = Tool(down if how == "a function" else down_later, name="down", description="-")
    agent = saying("diver", model) if how == "a model" else saying("diver", Descends(), tools=[tool])
    return agent


def said(result: Any) -> str:
    [outcome] = result.results.values()
    return str(outcome)


def test_nested_fifty_deep_on_one_thread_completes(figure: Figure) -> None:
    kinds = ["a function", "a coroutine function", "a model"]
    with ThreadPool(max_threads=1, max_per_task=1, timeout=60) as pool:
        counts: Counter[str] = Counter()
        for n in range(TIMES):
            how = kinds[n % 3]
            agent = diver(pool, how, f"s{n}")
            assert said(pool.execute([agent], f"{DEEP}", session=f"s{n}").result(60)) == "bottom"
            counts[how] += DEEP
            assert (pool.at_work, pool.waiting) == (0, 0)
    words = ", ".join(f"{count} from {how}" for how, count in counts.items())
    figure(
        "reliability 17",
        f"{sum(counts.values())} of {TIMES * DEEP} submits completed, nested {DEEP} deep, max_threads=1: {words}",
    )


def waiter(name: str, how: str, wish: Callable[[], Any]) -> OpenClawAgent:
    """An agent that waits for the run that ``wish`` gives."""

    def function() -> str:
        return str(wish().result().words)

    async def coroutine() -> str:
        return str((await wish()).words)

    async def model(prompt: str) -> AsyncIterator[str]:
        yield await coroutine()

    if how == "a model":
        return saying(name, model)
    return with_tool(name, function if how == "a function" else coroutine)


def outcomes(*runs: Any) -> dict[str, str]:
    """What became of their agents, long before their time limit."""
    return {name: str(one) for run in runs for name, one in run.result(60).results.items()}


@pytest.mark.parametrize("how", ["a function", "a coroutine function", "a model"])
def test_what_would_wait_for_itself_is_refused_with_the_way(how: str, figure: Figure) -> None:
    runs: dict[str, Any] = {}
    barrier = threading.Barrier(2)

    def of(name: str) -> Callable[[], Any]:
        def wish() -> Any:
            soon(lambda: name in runs)
            return runs[name]

        return wish

    def at_once(name: str) -> Callable[[], Any]:
        def wish() -> Any:
            if how == "a function":
                barrier.wait(60)
            return of(name)()

        return wish

    cycles = 0
    slowest = 0.0
    with ThreadPool(timeout=600) as pool, ThreadPool(max_threads=2, timeout=600) as other:
        rings: list[dict[str, tuple[ThreadPool, Callable[[], Any]]]] = [
            {"self": (pool, of("self"))},
            {"a": (pool, of("b")), "b": (pool, of("a"))},
            {"a": (pool, of("b")), "b": (pool, of("c")), "c": (pool, of("a"))},
            {"here": (pool, of("there")), "there": (other, of("here"))},
            {"x": (pool, at_once("y")), "y": (pool, at_once("x"))},
        ]
        for ring in rings:
            runs.clear()
            began = time.monotonic()
            agents = {name: waiter(name, how, wish) for name, (_, wish) in ring.items()}
            for name, (where, _) in ring.items():
                runs[name] = where.execute([agents[name]], "go", session=f"{name}{len(ring)}")
            ended = outcomes(*runs.values())
            slowest = max(slowest, time.monotonic() - began)
            refused = [words for words in ended.values() if " → " in words]
            assert len(refused) == 1, ended
            for name in ring:
                assert name in refused[0]
            assert refused[0].count(" → ") == len(ring)
            cycles += 1
        assert (pool.at_work, other.at_work) == (0, 0)
    figure("reliability 17", f"{cycles} true cycles from {how}: DeadlockError each, named, {slowest:.2f} s at most")


def test_who_lies_on_top_of_it_on_its_thread_cannot_wait_for_it() -> None:
    """A waits on the one thread, which meanwhile serves D, whose tool waits for A's task."""
    held, runs = Held(), dict[str, Any]()
    with ThreadPool(max_threads=1, timeout=600) as pool:
        inner = saying("inner", held)
        a = with_tool("a", lambda: pool.execute([inner], "inner", session="i").result().words)
        d = with_tool("d", lambda: runs["a"].result().words if runs else "bound")
        assert outcomes(pool.execute([d], "go", session="d")) == {"d": "bound"}
        runs["a"] = pool.execute([a], "go")
        soon(lambda: held.asked)
        pool.max_threads = 2
        [words] = outcomes(pool.execute([d], "go", session="d")).values()
        assert "DeadlockError: d → a → d: none of these would ever end" in words
        held.let_go()
        assert outcomes(runs["a"]) == {"a": "done"}


def test_a_run_of_no_pool_in_between_is_seen_through() -> None:
    """A waits for a run of no pool, whose model waits for the pool's only slot; or for A itself."""
    runs: dict[str, Any] = {}

    async def model(prompt: str) -> AsyncIterator[str]:
        wanted = runs["a"] if "cycle" in prompt else pool.execute([saying("inner")], "in", session="i")
        yield (await wanted).words

    helper = saying("helper", model)
    with ThreadPool(max_threads=1, timeout=600) as pool:
        for task in ("nested", "cycle"):
            runs.clear()

            def ask(task: str = task) -> str:
                soon(lambda: "a" in runs)
                return str(helper.analyze(task, session=task).result())

            runs["a"] = pool.execute([with_tool("a", ask)], "go", session=f"s {task}")
            words = outcomes(runs["a"])["a"]
            assert words == "done" if task == "nested" else "helper → a → helper" in words
            assert pool.at_work == 0
