"""One attempt by itself: it waits for what it is to go on with, and tells all that comes, however it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.distributed.attempt import Attempt
from openclaw_nb.distributed.orders import Order, pack
from openclaw_nb.distributed.posts import read
from openclaw_nb.models import resolve
from openclaw_nb.models.base import Model, ModelRequest
from openclaw_nb.models.function import FunctionModel
from openclaw_nb.reasoning.costs import Tariff
from openclaw_nb.tools import Tool
from openclaw_nb.version import __version__
from tests.spine import soon

STATE: dict[str, Any] = {
    "answer": "", "tokens": 0, "known": "", "calls": [], "stages": {}, "level": 1, "spent": 0.0,
}  # fmt: skip

Posts = list[list[Any]]


def attempted(
    model: Model | str, *tools: Tool, state: dict[str, Any] = STATE, process: bool = False, budget: float | None = None,
    then: Callable[[Attempt, Posts], None] = lambda attempt, posted: None,
) -> Posts:  # fmt: skip
    """What an attempt posts that is told to go on with ``state``."""
    request = ModelRequest(({"role": "user", "content": "use act()"},), tools=tuple(tool.definition for tool in tools))
    tariff = Tariff("mine", (0.0, 1_000_000.0)) if budget else Tariff("offline")
    data = pack(Order("run", model, request, tools, tariff, budget, process))
    posted: Posts = []

    async def work() -> None:
        def heard(batch: str) -> None:
            order, attempt, _, posts = read(batch)
            assert (order, attempt) == ("order", made.id)
            posted.extend(posts)
            for post in posts:
                if post[0] == "keep":
                    made.tell("kept", post[1])
            then(made, posted)

        made = Attempt("order", data, "tcp://here", heard, resolve)
        task = asyncio.create_task(made.run())
        await soon(lambda: posted)
        await asyncio.sleep(0.01)
        assert [post[0] for post in posted] == ["hello"]
        made.tell("go", state)
        made.tell("go", state)
        await asyncio.wait_for(task, 60)

    asyncio.run(work())
    return posted


def texts(posted: Posts) -> str:
    return "".join(post[2] for post in posted if post[:2] == ["event", "text"])


async def counting(prompt: str) -> AsyncIterator[str]:
    for n in range(5):
        yield f"{n} "
        await asyncio.sleep(0.01)


def test_answers() -> None:
    posted = attempted(FunctionModel(counting))
    assert posted[0][:3] == ["hello", "tcp://here", __version__]
    assert texts(posted) == "0 1 2 3 4 "
    assert posted[-1] == ["end", "", 0]
    counts = [post for post in posted if post[0] == "count"]
    assert counts[-1][3] == 5
    assert counts[-1][5] == [2, 5, True, 0]


def test_goes_on_with_what_there_is() -> None:
    posted = attempted(FunctionModel(counting), state={**STATE, "answer": "0 1 2 ", "tokens": 3})
    assert texts(posted) == "3 4 "


def test_a_tool() -> None:
    def act() -> str:
        """Do it."""
        from openclaw_nb.distributed.attempt import at_worker

        return at_worker.get()

    posted = attempted("offline", Tool(act))
    calls = [post[2].get("state", "asked") for post in posted if post[0] == "call"]
    assert calls == ["asked", "pending", "done"]
    assert "It gives: tcp://here" in texts(posted)


def test_a_tool_in_a_process_of_its_own() -> None:
    def act() -> str:
        """Do it."""
        import os

        return f"process {os.getpid()}"

    posted = attempted("offline", Tool(act), process=True)
    assert "It gives: process " in texts(posted)
    assert f"process {os.getpid()}" not in texts(posted)


async def broken(prompt: str) -> AsyncIterator[str]:
    yield "so"
    raise ValueError("no more")


async def leaving(prompt: str) -> AsyncIterator[str]:
    yield "so"
    sys.exit(3)


async def cancelled(prompt: str) -> AsyncIterator[str]:
    yield "so"
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (broken, "broken() raised ValueError: no more"),
        (leaving, "the model leaving failed: SystemExit: 3"),
        (cancelled, "the model cancelled was cancelled from inside"),
    ],
)
def test_what_goes_wrong(model: Callable[[str], AsyncIterator[str]], words: str) -> None:
    posted = attempted(FunctionModel(model))
    assert texts(posted) == "so"
    assert posted[-1] == ["error", "ModelError", "MODEL", words, 0.0, "", 0]


def test_the_budget_ends() -> None:
    posted = attempted(FunctionModel(counting), budget=2.5)
    assert posted[-1][:3] == ["error", "BudgetReached", "BUDGET"]


def test_what_it_cannot_take() -> None:
    posted = attempted("nothing")
    assert posted[-1][:3] == ["error", "ConfigError", "CONFIG"]
    assert posted[-1][3].startswith("the worker at tcp://here cannot take it: there is no model 'nothing'")


def test_stopped(tmp_path: Path) -> None:
    closed = tmp_path / "closed"

    async def endless(prompt: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "on "
                await asyncio.sleep(0.01)
        finally:
            closed.touch()

    def then(attempt: Attempt, posted: Posts) -> None:
        if texts(posted):
            attempt.stop()

    posted = attempted(FunctionModel(endless), then=then)
    assert closed.exists()
    assert not {"end", "error"} & {post[0] for post in posted}


def test_stopped_before_it_began() -> None:
    async def work() -> list[str]:
        sent: list[str] = []
        attempt = Attempt("order", b"", "tcp://here", sent.append, resolve)
        attempt.stop()
        await attempt.run()
        return sent

    assert asyncio.run(work()) == []
