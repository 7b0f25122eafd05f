"""The gate: candidates of level 4 take slots of the pool, and none waits for a pool whose agents wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.answers.deliberation import side_by_side
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.pool.gate import gated
from openclaw_nb.pool.slots import Slots
from tests.pool.teams import with_tool
from tests.spine import asynchronous


class Candidates:
    """Answers at level 4 when so many were asked ``at_once``, and knows how many were at most."""

    name = "candidates"

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.enough = asyncio.Event()
        self.now = self.most = self.asked = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        answers = request.stage is not None and request.stage.kind == "answer"
        self.now += answers
        self.asked += answers
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.005)
        if self.most >= self.at_once:
            self.enough.set()
        if answers:
            await self.enough.wait()
        yield TextDelta("VERDICT: pass" if request.stage and request.stage.kind == "check" else "words")
        self.now -= answers


def deep(model: Any, name: str = "deep", **options: Any) -> OpenClawAgent:
    return OpenClawAgent(name, model=model, reasoning_level=4, **options)


# -- works of any kind -----------------------------------------------------------------------------


async def work(n: int, log: list[int], error: BaseException | None = None) -> AsyncGenerator[ModelEvent, None]:
    log.append(n)
    await asyncio.sleep(0.002)
    if error is not None:
        raise error
    yield TextDelta(f"{n}")


async def through(slots: Slots, works: list[AsyncGenerator[ModelEvent, None]]) -> list[str]:
    async with aclosing(side_by_side(gated("no run", works, slots))) as events:
        return [event.text async for event in events]  # type: ignore[union-attr]


@pytest.mark.parametrize("most", [1, 2, 9])
@asynchronous
async def test_they_take_the_slots_there_are(most: int) -> None:
    slots, log, seen = Slots(most), list[int](), list[int]()
    slots.subscribe(lambda: seen.append(slots.at_work))
    assert sorted(await through(slots, [work(n, log) for n in range(4)])) == ["0", "1", "2", "3"]
    assert log == [0, 1, 2, 3]
    assert max(seen) == min(most, 4)
    assert (slots.at_work, slots.waiting) == (0, 0)


@asynchronous
async def test_where_all_slots_are_taken_they_come_one_after_another() -> None:
    slots, log = Slots(1), list[int]()
    held = slots.queue().ask(lambda _: None)
    assert await through(slots, [work(n, log) for n in range(3)]) == ["0", "1", "2"]
    assert (slots.at_work, slots.waiting) == (1, 0)
    held.release()
    assert slots.at_work == 0


@pytest.mark.parametrize("busy", [True, False])
@asynchronous
async def test_one_that_fails_or_is_closed_leaves_no_slot_taken(busy: bool) -> None:
    slots, log = Slots(1), list[int]()
    held = slots.queue().ask(lambda _: None) if busy else None
    works = [work(0, log), work(1, log, ValueError("no")), work(2, log)]
    with suppress(ValueError):
        await through(slots, works)
    stopped = asyncio.create_task(through(slots, [work(n, log) for n in range(3)]))
    await asyncio.sleep(0.001)
    stopped.cancel()
    await asyncio.wait([stopped])
    assert (slots.at_work, slots.waiting) == (int(busy), 0)
    if held is not None:
        held.release()


# -- candidates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "most"), [(1, 1), (2, 2), (10, 3)])
def test_candidates_of_a_cell_take_slots_of_the_notebooks_pool(size: int, most: int) -> None:
    model = Candidates(most)
    agent = deep(model)
    Runtime.shared().pool.max_threads = size
    assert agent.analyze("go").result(60) == "words"
    assert (model.asked, model.most) == (3, most)
    assert Runtime.shared().pool.at_work == 0


@pytest.mark.parametrize("size", [1, 2])
def test_of_an_agent_of_a_pool_they_take_its_own_slot_first(size: int) -> None:
    model = Candidates(size)
    with ThreadPool(max_threads=size, timeout=60) as pool:
        agents = [deep(model, name) for name in ("a", "b")]
        result = pool.execute(agents, "go").result(60)
        assert result.words == "done"
        assert (pool.at_work, pool.waiting) == (0, 0)
    assert model.asked == 6
    assert model.most == size


def test_a_tool_that_asks_at_level_4_waits_for_no_slot_that_its_own_agent_has() -> None:
    model = Candidates()
    helper = deep(model)
    pool = Runtime.shared().pool
    pool.max_threads = 1
    asks = with_tool("asks", lambda: str(helper.analyze("go", session="other").result()))
    assert pool.execute([asks], "go", timeout=60).result(60).results["asks"] == "words"
    assert model.most == 1
    assert pool.at_work == 0
