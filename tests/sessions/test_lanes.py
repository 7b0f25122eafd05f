"""Lanes: one at a time in each session, first come first served, whoever gives up or fails meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.sessions.lanes import Lanes
from tests.spine import LIMIT, asynchronous, play


@asynchronous
async def test_fifty_at_once_are_served_in_order_one_at_a_time() -> None:
    lanes = Lanes()
    at_work, served = 0, []

    async def work(n: int) -> None:
        nonlocal at_work
        async with lanes.turn("main"):
            at_work += 1
            assert at_work == 1
            await asyncio.sleep(0)
            served.append(n)
            at_work -= 1

    await asyncio.gather(*(work(n) for n in range(50)))
    assert served == list(range(50))
    assert not lanes.busy("main")


@asynchronous
async def test_sessions_do_not_wait_for_each_other() -> None:
    lanes = Lanes()
    async with lanes.turn("a"), asyncio.timeout(LIMIT):
        async with lanes.turn("b"):
            assert lanes.busy("a")
            assert lanes.busy("b")
        assert not lanes.busy("b")


@asynchronous
async def test_a_failure_lets_the_next_one_in() -> None:
    lanes = Lanes()

    async def fail() -> None:
        async with lanes.turn("main"):
            await asyncio.sleep(0)
            raise ValueError("no")

    first = asyncio.create_task(fail())
    await asyncio.sleep(0)
    async with asyncio.timeout(LIMIT), lanes.turn("main"):
        assert lanes.busy("main")
    with pytest.raises(ValueError, match="no"):
        await first
    assert not lanes.busy("main")


async def _some_give_up(gone: list[bool]) -> None:
    """Each is cancelled at its turn to be, while it waits or works."""
    lanes = Lanes()
    served: list[int] = []

    async def work(n: int) -> None:
        async with lanes.turn("main"):
            served.append(n)
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(work(n)) for n in range(len(gone))]
    await asyncio.sleep(0)
    for task, goes in zip(tasks, gone, strict=True):
        if goes:
            assert lanes.busy("main")
            task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert [n for n in served if not gone[n]] == [n for n, goes in enumerate(gone) if not goes]
    assert not lanes.busy("main")
    async with asyncio.timeout(LIMIT), lanes.turn("main"):
        pass


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_who_gives_up_holds_up_nobody(gone: list[bool]) -> None:
    play(_some_give_up(gone))


@asynchronous
async def test_nothing_is_left_of_a_session() -> None:
    lanes = Lanes()
    for n in range(100):
        async with lanes.turn(f"s{n}"):
            pass
    assert not lanes._locks
    assert not lanes._count
