"""What the tests of pools share: models that call a tool, wait or answer at once, and agents that have them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

from openclaw_nb import OpenClawAgent, ThreadPool
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ToolCall
from openclaw_nb.pool.work import PoolRun
from openclaw_nb.tools import Tool

LIMIT = 60.0  # seconds: a safety net against hanging, not a measurement


class Caller:
    """A model that calls a tool once, and says what that gave."""

    name = "caller"

    def __init__(self, tool: str) -> None:
        self.tool = tool

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        last = request.messages[-1]
        if last["role"] == "tool":
            yield TextDelta(last["content"])
        else:
            yield ToolCall("1", self.tool, {})


class Held:
    """A model that answers when it is let go, and knows who has asked it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._go: Future[None] = Future()
        self._go.set_running_or_notify_cancel()

    def let_go(self) -> None:
        if not self._go.done():
            self._go.set_result(None)

    async def __call__(self, prompt: str) -> AsyncIterator[str]:
        self.asked.append(prompt)
        await asyncio.wrap_future(self._go)
        yield "let go"


async def echo(prompt: str) -> AsyncIterator[str]:
    yield f"did {prompt}"


def with_tool(name: str, tool: Callable[..., Any], **options: Any) -> OpenClawAgent:
    """An agent that calls ``tool``, a function or a coroutine function without arguments, once in each of its runs."""
    return OpenClawAgent(
        name, model=Caller("tool"), tools=[Tool(tool, name="tool", description="-")], reasoning_level=1, **options
    )


def saying(name: str, model: Any = echo, **options: Any) -> OpenClawAgent:
    return OpenClawAgent(name, model=model, reasoning_level=1, **options)


def ident() -> int:
    """A tool."""
    return threading.get_ident()


def soon(is_so: Callable[[], Any]) -> None:
    limit = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.002)


def too_late(pool: ThreadPool, agent: OpenClawAgent, begun: Callable[[], Any], **options: Any) -> PoolRun:
    """The run of an agent whose time was over in its tool: the shortest limit in which that has ``begun`` here."""
    for limit in (0.2, 1, 5, 25):
        run = pool.execute([agent], "go", timeout=limit, **options)
        run.result(LIMIT)
        if begun():
            return run
    raise AssertionError("it has never begun")


def threads() -> set[str]:
    """Those of agents that live."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("openclaw agent")}
