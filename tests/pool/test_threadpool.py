"""ThreadPool: who works when, in whose thread, with which settings, and what is refused in one sentence."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import PIL.Image
import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.errors import BudgetReached, ConfigError, DeadlockError, RunError
from openclaw_nb.events import Status
from openclaw_nb.front import Front
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.run import Result
from tests.pool.teams import Held, ident, saying, soon, threads, with_tool
from tests.spine import asynchronous


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(max_threads=4, max_per_task=3, timeout=60) as made:
        yield made


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.let_go()


def idents(result: Any) -> dict[str, int]:
    return {name: int(one.text) for name, one in result.results.items()}


# -- who works, and when ---------------------------------------------------------------------------


def test_agents_by_name_by_role_and_as_objects(pool: ThreadPool) -> None:
    mine = saying("mine")
    result = pool.execute(["mine", mine, "coder", "coder"], "add 2 and 3").result(60)
    assert list(result.results) == ["mine", "mine-2", "coder", "coder-2"]
    assert result.results["mine-2"] == "did add 2 and 3"
    assert result.status is Status.DONE
    assert result.words == "done"
    assert result.text.startswith("## mine\n\ndid add 2 and 3\n\n## mine-2\n\n")


def test_in_a_pipeline_each_is_told_what_those_before_it_made(pool: ThreadPool, held: Held) -> None:
    async def repeat(prompt: str) -> Any:
        async for _ in held(prompt):
            yield f"<{prompt}>"

    run = pool.execute([saying(name, repeat) for name in "abc"], "go", mode="pipeline")
    assert [lane.words for lane in run.lanes[1:]] == ["waits for a", "waits for b"]
    held.let_go()
    first, second, third = run.result(60).results.values()
    assert str(first) == "<go>"
    assert "<go>" in str(second)
    assert "go" in str(second)
    assert str(second) in str(third)
    assert str(first) in str(third)


@pytest.mark.parametrize("mode", ["parallel", "pipeline"])
def test_those_above_the_limit_of_their_task_wait_and_say_so(pool: ThreadPool, held: Held, mode: str) -> None:
    run = pool.execute([saying(f"a{n}", held) for n in range(5)], "go", mode=mode, per_task=2)
    most = 2 if mode == "parallel" else 1
    soon(lambda: len(held.asked) == most and (mode == "pipeline" or run.lanes[-1].ticket))
    assert pool.at_work == most
    if mode == "parallel":
        assert [lane.words for lane in run.lanes[2:]] == ["waits, 2 per task"] * 3
        assert [lane.line for lane in run.lanes[2:]] == ["in line, next", "in line, 2 to go", "in line, 3 to go"]
    assert run.words == "0 of 5 ended"
    held.let_go()
    assert run.result(60).words == "done"
    assert (pool.at_work, pool.waiting, pool.runs) == (0, 0, ())


def test_a_full_pool_serves_the_higher_priority_first(held: Held) -> None:
    with ThreadPool(max_threads=1) as pool:
        runs = [pool.execute([saying("a", held)], f"{n}", priority=n, session=f"s{n}") for n in (0, 1, 2)]
        soon(lambda: held.asked and pool.waiting == 2)
        assert [run.lanes[0].words for run in runs[1:]] == ["waits for a free thread"] * 2
        held.let_go()
        for run in runs:
            run.result(60)
    assert held.asked == ["0", "2", "1"]


def test_it_is_resized_while_it_works(pool: ThreadPool, held: Held) -> None:
    heard: list[tuple[int, int]] = []
    forget = pool.subscribe(lambda: heard.append((pool.max_threads, pool.at_work)))
    run = pool.execute([saying(f"a{n}", held) for n in range(8)], "go", per_task=8)
    soon(lambda: (len(held.asked), pool.waiting) == (4, 4))
    pool.max_threads = 6
    soon(lambda: len(held.asked) == 6)
    pool.max_threads = 2
    assert pool.at_work == 6
    held.let_go()
    assert run.result(60).words == "done"
    forget()
    assert (6, 6) in heard
    assert heard[-1] == (2, 0)
    pool.max_per_task = 1
    assert repr(pool) == "<ThreadPool 0 of 2 at work, 1 per task>"


def test_one_is_cancelled_or_all_are(pool: ThreadPool, held: Held) -> None:
    run = pool.execute([saying(f"a{n}", held) for n in range(5)], "go")
    soon(lambda: len(held.asked) == 3)
    run.cancel("a0")
    run.cancel("a4")
    soon(lambda: len(held.asked) == 4)  # a3 has the slot
    with pytest.raises(KeyError):
        run.cancel("a9")
    pool.cancel("enough")
    result = run.result(60)
    assert result.status is Status.STOPPED
    assert result.words == "0 of 5 done, 5 stopped"
    assert [str(lane.outcome) for lane in run.lanes[3:]] == ["", "a4 was not started: stopped by you"]
    assert run.lanes[1].words == "enough"


def test_the_rest_of_a_pipeline_is_left_out_where_one_fails(pool: ThreadPool) -> None:
    async def fail(prompt: str) -> Any:
        raise ValueError("no")
        yield

    result = pool.execute([saying("a"), saying("b", fail), *map(saying, "cdef")], "go", mode="pipeline").result(60)
    assert result.words == "1 of 6 done, 4 stopped, 1 failed"
    assert str(result.results["f"]) == "f was not started: b failed"


def test_a_pipeline_of_a_thousand_ends_at_once_where_its_first_fails(pool: ThreadPool) -> None:
    async def fail(prompt: str) -> Any:
        raise ValueError("no")
        yield

    failing = saying("b", fail)
    result = pool.execute([failing] * 1_000, "go", mode="pipeline").result(60)
    assert result.words == "0 of 1000 done, 999 stopped, 1 failed"


# -- threads ---------------------------------------------------------------------------------------


def test_an_agent_stays_on_its_thread_for_life_and_runs_nowhere_else(pool: ThreadPool) -> None:
    agents = [with_tool(name, ident) for name in "abc"]
    first = idents(pool.execute(agents, "go").result(60))
    assert len(set(first.values())) == 3
    assert not {threading.get_ident(), threading.main_thread().ident} & set(first.values())
    for n in range(3):
        assert idents(pool.execute(agents[::-1], "go", session=f"s{n}").result(60)) == first
    one = idents(pool.execute(agents[0], "go").result(60))
    assert one == {"a": first["a"]}


def test_agents_that_work_one_after_another_are_bound_to_threads_of_their_own(pool: ThreadPool) -> None:
    agents = [with_tool(name, ident) for name in "abcd"]
    assert len({idents(pool.execute(agent, "go").result(60))[agent.name] for agent in agents}) == 4


def test_one_agent_at_two_tasks_at_once(pool: ThreadPool, held: Held) -> None:
    agent = saying("twin", held)
    runs = [pool.execute([agent, agent], "go") for _ in range(2)]
    soon(lambda: len(held.asked) == 4)
    assert [lane.session for run in runs for lane in run.lanes] == [
        "main/twin", "main/twin-2", "main/twin-2-2", "main/twin-2-3",
    ] or len({lane.session for run in runs for lane in run.lanes}) == 4  # fmt: skip
    held.let_go()
    for run in runs:
        assert run.result(60).words == "done"


def test_closed_at_work_it_leaves_no_thread(held: Held) -> None:
    go = threading.Event()
    pool = ThreadPool()
    run = pool.execute([saying("a", held), with_tool("b", lambda: go.wait(60)), *["coder"] * 5], "go")
    soon(lambda: threads() and held.asked)
    pool.close()
    go.set()
    assert run.result(60).status is not Status.STREAMING
    soon(lambda: not threads())
    with pytest.raises(ConfigError, match="this pool is closed"):
        pool.execute(["coder"], "go")


def test_dropped_without_a_word_its_threads_end() -> None:
    def use() -> weakref.ref[ThreadPool]:
        pool = ThreadPool()
        run = pool.execute([with_tool("a", ident)], "go")
        assert run.result(60).words == "done"
        return weakref.ref(pool)

    gone = use()
    soon(lambda: gc.collect() >= 0 and gone() is None)  # who told of its end may be in the middle of that
    soon(lambda: not threads())


def test_one_that_nobody_holds_works_to_the_end() -> None:
    run = ThreadPool(max_per_task=1).execute([with_tool(name, ident) for name in "abc"], "go")
    gc.collect()
    assert run.result(60).words == "done"
    del run
    soon(lambda: gc.collect() >= 0 and not threads())


# -- from where it is used -------------------------------------------------------------------------


@asynchronous
async def test_awaited_on_another_loop(pool: ThreadPool) -> None:
    results = await asyncio.gather(*(pool.execute([saying("a")], f"{n}", session=f"s{n}") for n in range(3)))
    assert [result.results["a"] for result in results] == ["did 0", "did 1", "did 2"]


def test_on_the_loop_of_the_runtime_it_is_awaited_and_blocking_is_refused(pool: ThreadPool) -> None:
    async def work() -> tuple[str, str]:
        run = pool.execute([saying("b")], "go")
        with pytest.raises(DeadlockError) as refused:
            run.result()
        return str(refused.value), (await run).results["b"].text  # type: ignore[union-attr]

    agent = saying("b")
    refused, text = Runtime.shared().call(work()).result(60)
    assert refused == "this would block the thread that feeds the agents; await it"
    assert text == "did go"
    del agent


def test_a_result_may_be_waited_for_with_a_limit(pool: ThreadPool, held: Held) -> None:
    run = pool.execute([saying("a", held)], "go")
    with pytest.raises(TimeoutError, match=r"did not end within 0.01 s; they go on"):
        run.result(0.01)
    held.let_go()
    assert run.result(60).words == "done"


# -- settings --------------------------------------------------------------------------------------


@dataclass
class Sum:
    total: int


def test_typed_answers_and_pictures_reach_every_agent(pool: ThreadPool) -> None:
    seen: list[int] = []

    class Typed:
        name = "typed"

        async def stream(self, request: Any) -> Any:
            from openclaw_nb.models.base import TextDelta

            seen.append(len(request.messages[-1].get("images", ())))
            yield TextDelta('{"total": 5}')

    agents = [saying(name, Typed()) for name in "ab"]
    result = pool.execute(agents, "add", output_type=Sum, images=[PIL.Image.new("RGB", (8, 8))]).result(60)
    assert [one.value for one in result.results.values()] == [Sum(5), Sum(5)]  # type: ignore[union-attr]
    assert set(seen) == {1}


def test_the_level_and_the_front_are_those_of_the_call() -> None:
    front = Front(level=1)
    with ThreadPool(front=front) as pool:
        assert pool.execute(["coder"], "hello", model="offline:0").result(60).results["coder"].level == 1  # type: ignore[union-attr]
        result = pool.execute(["coder"], "hello", level=2, model="offline:0").result(60)
        assert result.results["coder"].level == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("whose", ["task", "notebook"])
def test_a_budget_is_shared_evenly_while_nobody_knows_what_each_will_need(pool: ThreadPool, whose: str) -> None:
    class Paid:
        name = "paid"
        prices = (0.0, 10_000.0)  # a cent for each token

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            await together.wait()  # what one has spent before another begins is not there to be shared
            for _ in range(10):
                yield TextDelta("word ")
                await asyncio.sleep(0.001)

    together = asyncio.Barrier(3)
    Runtime.shared().spending.limit(None if whose == "task" else 0.21)
    budget = {"budget": 0.21} if whose == "task" else {}
    result = pool.execute([saying(name, Paid()) for name in "abc"], "go", **budget).result(60)
    assert {str(one.status) for one in result.results.values() if isinstance(one, Result)} == {"stopped"}
    costs = [one.cost or 0.0 for one in result.results.values() if isinstance(one, Result)]
    assert costs == pytest.approx([0.075] * 3, abs=0.005001), "a third each, and one token at most above it"


def test_a_budget_that_is_gone_ends_each_for_itself(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    result = pool.execute(["coder", "tester"], "go", model="openai-chat:gpt-4o", budget=1e-9).result(60)
    assert {type(one) for one in result.results.values()} == {BudgetReached}
    assert result.status is Status.FAILED


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"agents": []}, "a task needs at least one agent, as in agents="),
    ({"agents": None}, "a task needs at least one agent, as in agents="),
    ({"agents": [7]}, "an agent is an OpenClawAgent, a role, or the name of one of these, not 7"),
    ({"agents": 3}, "an agent is an OpenClawAgent, a role, or the name of one of these, not 3"),
    ({"budget": "x"}, "budget"),
    ({"client": 3}, "client is an OpenClawClient, not 3"),
    ({"images": 3}, "images is a list of figures and pictures, not 3"),
    ({"level": 0}, "level 0"),
    ({"model": 3}, "model is a name, for the agents that have none of their own, not 3"),
    ({"agents": ["codr"]}, "there is no agent or role 'codr'.*did you mean coder"),
    ({"task": "  "}, "the task is text that says what is to be done"),
    ({"mode": "both"}, "mode is 'parallel' or 'pipeline', not 'both'"),
    ({"timeout": 0}, "timeout is a number of seconds above 0, not 0"),
    ({"per_task": 0}, "per_task is a whole number from 1 to 1000, not 0"),
    ({"priority": "high"}, "priority is a whole number, and 1 is before 0, not 'high'"),
    ({"session": ""}, "a session is a name, not ''"),
    ({"isolation": "vm"}, "isolation is 'thread' or 'process', not 'vm'"),
    ({"budget": -1}, "budget"),
    ({"level": 9}, "level 9"),
    ({"levl": 2}, "a task of a pool has no option 'levl'; did you mean level"),
    ({"max_per_task": 2}, "a task of a pool has no option 'max_per_task'; did you mean per_task"),
    ({"images": ["no"]}, "image|picture|no file"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_what_cannot_be_done_is_said_before_anything_is(pool: ThreadPool, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        pool.execute(**{"agents": ["coder"], "task": "go", **wrong})
    assert pool.runs == ()


@pytest.mark.parametrize(
    "wrong",
    [{"max_threads": 0}, {"max_per_task": True}, {"max_threads": 1_001}, {"timeout": float("nan")}, {"isolation": ""}],
)
def test_a_pool_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ThreadPool(**wrong)


def test_one_that_cannot_be_sent_is_its_own_failure(pool: ThreadPool) -> None:
    from openclaw_nb import OpenClawClient

    unconnected = OpenClawAgent("lost", OpenClawClient())
    result = pool.execute([unconnected, saying("b")], "go").result(60)
    assert isinstance(result.results["lost"], RunError)
    assert "not connected" in str(result.results["lost"])
    assert result.results["b"] == "did go"
    assert result.words == "1 of 2 done, 1 failed"


def test_settings_that_cannot_be_are_refused_later_too(pool: ThreadPool) -> None:
    for name, value in (("timeout", "x"), ("timeout", 0), ("isolation", "vm"), ("max_threads", 0)):
        with pytest.raises(ConfigError, match=name):
            setattr(pool, name, value)
    pool.timeout, pool.isolation = 3, "process"
    assert (pool.timeout, pool.isolation) == (3, "process")


def test_a_role_itself_is_an_agent_and_a_secret_is_told_by_its_name(pool: ThreadPool) -> None:
    from openclaw_nb import role
    from openclaw_nb.secret import Secret

    coder = role("coder")
    result = pool.execute([coder, saying("a")], Secret("env:MY_API_KEY"), model="offline:0", level=1).result(60)
    assert list(result.results) == ["coder", "a"]
    assert result.results["a"] == "did env:MY_API_KEY"


@asynchronous
async def test_async_with_ends_its_threads() -> None:
    async with ThreadPool(timeout=60) as pool:
        assert (await pool.execute([with_tool("a", ident)], "go")).words == "done"
    soon(lambda: not threads())
