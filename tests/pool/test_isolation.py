"""Agents that try to tread on each other, and on the main thread: each has its session, context and failure to itself.

What a notebook's functions share as globals they share here, too: an agent's tools are functions of the notebook.
"""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.errors import RunError
from openclaw_nb.run import Result
from tests.pool.teams import Held, saying, soon, too_late, with_tool

mood = contextvars.ContextVar("mood", default="calm")
shared: dict[str, int] = {}


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(max_threads=4, max_per_task=4, timeout=60) as made:
        yield made


def said(session: str) -> list[str]:
    head = Runtime.shared().memory.head(session)
    return [message["content"] for message in head.state["messages"]] if head else []


def test_each_has_context_variables_of_its_own_and_those_of_whoever_asked(pool: ThreadPool) -> None:
    barrier = threading.Barrier(3)

    def changes() -> str:
        before = mood.get()
        mood.set(f"{before} {threading.get_ident()}")
        barrier.wait(60)
        return f"{before}, then {mood.get()}"

    async def changes_later() -> str:
        return await asyncio.to_thread(changes)

    agents = [with_tool("a", changes), with_tool("b", changes), with_tool("c", changes_later)]
    mood.set("glad")
    result = pool.execute(agents, "go").result(60)
    assert {str(one).split(",")[0] for one in result.results.values()} == {"glad"}
    assert len({str(one) for one in result.results.values()}) == 3
    assert mood.get() == "glad"
    mood.set("calm")


def test_one_at_two_tasks_on_one_thread_has_two_contexts() -> None:
    def changes() -> str:
        before = mood.get()
        mood.set("changed")
        return before

    with ThreadPool(max_threads=1, timeout=60) as pool:
        agent = with_tool("a", changes)
        assert [str(pool.execute([agent], "go").result(60).results["a"]) for _ in range(2)] == ["calm", "calm"]


def test_each_works_in_a_branch_and_the_session_stays_as_it_was(pool: ThreadPool) -> None:
    saying("x").analyze("before", session="s").result(60)
    meddler = saying("meddler")

    async def meddles(prompt: str) -> Any:
        """Writes into the sessions of the others, and waits where they are at work."""
        for session in ("s", "s/good"):
            await meddler.analyze("meddled", session=session)
        yield "meddled"

    held = Held()
    run = pool.execute([saying("good", held), saying("bad", meddles)], "go", session="s")
    soon(lambda: held.asked and "meddled" in said("s"))
    held.let_go()
    result = run.result(60)
    assert said("s/good") == ["before", "did before", "go", "let go", "meddled", "did meddled"]
    assert said("s/bad") == ["before", "did before", "go", "meddled"]
    assert result.results["good"] == "let go"
    assert said("s") == ["before", "did before", "meddled", "did meddled"], "but nothing of the agents"


def test_what_is_global_is_shared_as_it_is_in_a_notebook(pool: ThreadPool) -> None:
    shared.clear()

    def counts() -> str:
        shared[threading.current_thread().name] = 1
        return str(len(shared))

    pool.execute([with_tool(name, counts) for name in "abc"], "go").result(60)
    assert len(shared) == 3


def test_one_that_breaks_things_breaks_its_own_answer(pool: ThreadPool) -> None:
    def exits() -> None:
        sys.exit(3)

    def recurses() -> int:
        return recurses()

    async def broken(prompt: str) -> Any:
        yield "half"
        raise SystemExit(4)

    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def rude() -> None:
        raise Rude

    agents = [
        with_tool("exits", exits),
        with_tool("recurses", recurses),
        saying("broken", broken),
        with_tool("rude", rude),
    ]
    result = pool.execute([*agents, saying("good")], "go", per_task=9).result(60)
    assert "SystemExit: 3" in str(result.results["exits"])
    assert "RecursionError" in str(result.results["recurses"])
    assert isinstance(result.results["broken"], RunError)
    assert "Rude" in str(result.results["rude"])
    assert result.results["good"] == "did go"
    again = pool.execute(agents[:2], "go").result(60)
    assert again.words == "done"


def test_nothing_of_it_runs_on_the_main_thread_or_waits_for_it(pool: ThreadPool) -> None:
    """The main thread, a kernel's, is busy all the while; the agents get on, and do not reach it."""
    main = threading.main_thread().ident
    where: set[int | None] = set()

    def tool() -> str:
        where.add(threading.get_ident())
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "no loop of anybody's"
        return "a loop"

    async def later() -> str:
        where.add(threading.get_ident())
        return "its own" if asyncio.get_running_loop() is not Runtime.shared().loop else "the runtime's"

    agents = [with_tool("a", tool), with_tool("b", later)]
    for agent in agents:
        agent.on("token", lambda _: where.add(threading.get_ident()))
    run = pool.execute(agents, "go")
    for _ in range(2_000):
        if run.done():
            break
        sum(range(10_000))  # no lock is released here but by the interpreter
    soon(run.done)
    assert {name: str(one) for name, one in run.result().results.items()} == {
        "a": "no loop of anybody's", "b": "its own",
    }  # fmt: skip
    assert main not in where


SIGNALS = """
import json, signal, threading
from openclaw_nb import Runtime, ThreadPool
from tests.pool.teams import soon, with_tool

def handles() -> str:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return "took it"

def interrupts() -> str:
    raise KeyboardInterrupt

before = signal.getsignal(signal.SIGINT)
with ThreadPool(timeout=60) as pool:
    result = pool.execute([with_tool("a", handles), with_tool("b", interrupts)], "go").result(60)
kept = signal.getsignal(signal.SIGINT) is before
Runtime.shared().close()
soon(lambda: threading.active_count() == 1)
print(json.dumps([kept, {name: str(one) for name, one in result.results.items()}]))
"""


def test_the_main_thread_keeps_its_signals() -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    kept, said = json.loads(done.stdout)
    assert kept
    assert "signal only works in main thread" in said["a"]
    assert "KeyboardInterrupt" in said["b"]


def test_what_one_is_left_with_when_it_is_given_up_changes_nothing_later(pool: ThreadPool) -> None:
    """A tool that goes on after its time: what it gives is dropped, and it waits for nobody."""
    begun, go, late = threading.Event(), threading.Event(), list[object]()

    def slow() -> str:
        begun.set()
        go.wait(60)
        try:
            late.append(pool.execute([saying("more")], "late", session="late").result(60).words)
        except BaseException as error:
            late.append(error)
        return "too late"

    agent = with_tool("slow", slow)
    lane = too_late(pool, agent, begun.is_set, session="s").lane("slow")
    assert not isinstance(lane.outcome, Result)
    before = said(lane.session)
    go.set()
    soon(lambda: late)
    assert [str(one) for one in late] == ["its agent has ended, so it waits no longer"]
    assert said(lane.session) == before
    soon(lambda: pool.at_work == 0)


def test_agents_of_two_pools_share_nothing_but_the_runtime() -> None:
    with ThreadPool(timeout=60) as one, ThreadPool(timeout=60) as two:
        agent: OpenClawAgent = with_tool("a", lambda: builtins.str(threading.get_ident()))
        idents = {str(pool.execute([agent], "go").result(60).results["a"]) for pool in (one, two)}
        assert len(idents) == 2, "it is bound to one thread of each pool"
