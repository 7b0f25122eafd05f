"""What the tests of child processes share: a call as an engine makes it, and whether a process is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from openclaw_nb.pool.processes import Process
from openclaw_nb.tools import Tool, ToolResult

LIMIT = 60.0  # seconds: a safety net against hanging, not a measurement


def call(process: Process, function: Callable[..., Any] | Tool, **arguments: Any) -> ToolResult:
    async def place(name: str, work: Callable[[], Any]) -> ToolResult:
        return await asyncio.to_thread(process.run, name, work)

    tool = function if isinstance(function, Tool) else Tool(function)
    return asyncio.run(tool.call(arguments, place))


def works(process: Process) -> bool:
    def ok() -> str:
        return "ok"

    return call(process, ok) == ToolResult("ok")


def until(is_so: Callable[[], Any]) -> None:
    limit = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.002)


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # of init, which may be slow to see it
    return True
