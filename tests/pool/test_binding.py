"""Binding: an agent keeps its thread, the least busy thread takes the next, and a closed pool takes nobody."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from openclaw_nb.errors import RunError
from openclaw_nb.pool.binding import Binding, Bindings
from openclaw_nb.tools import ToolResult
from tests.pool.teams import LIMIT, soon, threads


class Agent:
    """Whom to bind."""


class Lane:
    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.ended = False

    def done(self) -> bool:
        return self.ended


@pytest.fixture
def bindings() -> Iterator[Bindings]:
    made = Bindings(lambda: 2)
    yield made
    made.close()
    soon(lambda: not threads())


def take(bindings: Bindings, agent: Any, *, process: bool = False) -> Binding:
    return bindings.take(agent, process=process)


def test_as_many_threads_as_there_may_be_and_then_the_least_busy(bindings: Bindings) -> None:
    agents = [Agent() for _ in range(5)]
    taken = [take(bindings, agent) for agent in agents]
    assert len({binding.worker for binding in taken}) == 2
    assert sorted(binding.worker.load for binding in taken) == [2, 2, 3, 3, 3]
    for binding in taken:
        binding.leave()
    assert [take(bindings, agent) for agent in agents] == taken
    assert not threads(), "a thread begins with its first job"


def test_threads_that_agents_left_for_good_are_taken_again(bindings: Bindings) -> None:
    for _ in range(3):
        binding = take(bindings, agent := Agent())
        binding.leave()
        del agent, binding
        gc.collect()
    assert len(bindings._workers) == 1


def test_all_that_are_bound_to_a_thread_that_hangs_move_together(bindings: Bindings) -> None:
    go, begun = threading.Event(), threading.Event()
    agents = [Agent() for _ in range(4)]
    taken = [take(bindings, agent) for agent in agents]
    first, neighbours = taken[0], [one for one in taken[1:] if one.worker is taken[0].worker]
    before = first.worker
    job = first.submit(Lane(), lambda: (begun.set(), go.wait(LIMIT)))  # type: ignore[arg-type]
    assert begun.wait(LIMIT)
    assert "go.wait(LIMIT)" in first.give_up(job)
    assert first.worker is not before
    assert first.worker.load == 2
    assert all(one.worker is first.worker for one in neighbours)
    assert before not in bindings._workers
    ident = neighbours[0].submit(Lane(), threading.get_ident).done.result(LIMIT)  # type: ignore[arg-type]
    go.set()
    assert ident in {thread.ident for thread in threading.enumerate()}


def test_closed_it_takes_nobody(bindings: Bindings) -> None:
    agent = Agent()
    binding = take(bindings, agent)
    assert binding.submit(Lane(), int).done.result(LIMIT) == 0  # type: ignore[arg-type]
    bindings.close()
    with pytest.raises(RunError, match="has ended, and takes no more work"):
        binding.submit(Lane(), int)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="the pool is closed"):
        take(bindings, Agent())


def children() -> set[Any]:
    return set(psutil.Process().children(recursive=True))


def test_a_process_ends_with_its_agent(bindings: Bindings) -> None:
    before = children()
    agent = Agent()
    binding = take(bindings, agent, process=True)

    def tool() -> ToolResult:
        return ToolResult("ran")

    assert binding.submit(Lane(), tool, "tool").done.result(LIMIT) == ToolResult("ran")  # type: ignore[arg-type]
    assert children() - before
    callback = binding.submit(Lane(), lambda: threading.current_thread().name)  # type: ignore[arg-type]
    assert callback.done.result(LIMIT) in threads(), "a callback is made here"
    del binding, agent
    gc.collect()
    soon(lambda: not children() - before)
