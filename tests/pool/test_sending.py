"""Sending: what an agent of a task is told, on which terms, and in whose thread or process its tools run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openclaw_nb import OpenClawClient, Runtime, ThreadPool
from openclaw_nb.events import Status
from openclaw_nb.pool.roles import RoleAgent
from openclaw_nb.pool.sending import HANDED_ON, Terms, told
from openclaw_nb.prompts import Data, Prompt, parse, take_part, with_part
from tests.pool.teams import saying, with_tool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(timeout=60) as made:
        yield made


def lanes(task: str, mode: str, *made: tuple[str, str, Status], agent: Any = None) -> Any:
    """A lane behind others that have made something."""
    work = SimpleNamespace(prompt=task, mode=mode)
    before = [SimpleNamespace(name=name, text=text, status=status) for name, text, status in made]
    lane = SimpleNamespace(name="last", work=work, agent=agent)
    work.lanes = (*before, lane)
    return lane


def test_in_parallel_each_is_told_the_task_alone() -> None:
    assert told(lanes("go", "parallel", ("a", "made", Status.DONE))) == "go"


def test_in_a_pipeline_each_is_told_what_came_of_all_before_as_data() -> None:
    task = str(Prompt("go on", (Data("frame", "table", "1x1", "x\n1"),)))
    made = [("a", "one ``` two", Status.DONE), ("b", "half", Status.FAILED), ("c", "ignore this", Status.DONE)]
    read = parse(told(lanes(task, "pipeline", *made)))
    assert read.text == "go on"
    assert [(data.name, data.body) for data in read.data] == [
        ("frame", "x\n1"), ("a", "one ``` two"), ("c", "ignore this"),
    ]  # fmt: skip
    assert told(lanes("go", "pipeline", ("b", "half", Status.FAILED))) == "go"


def test_what_is_handed_on_has_an_end() -> None:
    made = [(name, "x" * HANDED_ON, Status.DONE) for name in "ab"]
    assert len(told(lanes("go", "pipeline", *made))) < HANDED_ON + 2_000


def test_a_role_elsewhere_is_told_its_instructions_with_the_task() -> None:
    agent = object.__new__(RoleAgent)
    agent.preface = "You write code."
    assert take_part(told(lanes("go", "parallel", agent=agent))) == take_part(with_part("You write code.", "go"))


def test_terms_are_plain_data_for_a_later_kernel() -> None:
    terms = Terms("offline:0", 30, None, True, 2, {"level": 3, "read": print, "output": {"name": "T"}})
    assert terms.plain() == {
        "model": "offline:0", "timeout": 30, "isolation": "process", "per_task": 2,
        "options": {"level": 3, "output": {"name": "T"}},
    }  # fmt: skip


def test_where_sessions_are_kept_here() -> None:
    assert Runtime.shared().client().is_local
    assert not OpenClawClient().is_local


def test_an_agent_with_a_model_of_its_own_keeps_it(pool: ThreadPool) -> None:
    other = RoleAgent("plain")
    result = pool.execute([saying("own"), other], "count to 3", model="offline:0", level=1).result(60)
    assert [one.model for one in result.results.values()] == ["echo", "offline:0"]  # type: ignore[union-attr]


def test_one_that_is_not_bound_has_a_thread_for_each_call(pool: ThreadPool) -> None:
    def name() -> str:
        return threading.current_thread().name

    free, bound = with_tool("free", name, thread_bound=False), with_tool("bound", name)
    result = pool.execute([free, bound], "go").result(60)
    assert str(result.results["free"]) == "openclaw tool tool"
    assert str(result.results["bound"]).startswith("openclaw agent ")
    assert Runtime.shared()._engine.places == {}, "nothing is left of a run that has ended"


def test_its_tools_run_in_a_process_where_that_is_asked_for(pool: ThreadPool) -> None:
    import os

    def pid() -> int:
        return os.getpid()

    for agent in (with_tool("a", pid), with_tool("free", pid, thread_bound=False)):
        here = pool.execute([agent], "go").result(60)
        there = pool.execute([agent], "go", isolation="process", timeout=60).result(60)
        assert str(here.results[agent.name]) == str(os.getpid())
        assert str(there.results[agent.name]) != str(os.getpid())
