"""Calls, what becomes of a call of an offered function: asked for in the cell, run within its time, shown, answered."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import one_line
from ..events import Approval, End, Status, Step
from ..protocol.happened import Invoked
from ..protocol.node import listing
from ..redaction import redact
from ..run import Run
from ..tools import ToolResult, in_thread
from .offers import Offered, Offers

__all__ = ["Calls"]

GRACE = 1.0
"""Seconds of the gateway's patience that are kept for the way back."""

LONGEST = 500
"""Characters of an argument that are shown to who is asked."""

TITLE = 120
"""Characters of a call in the title of its step."""

KEPT = 1_000
"""Answers that are remembered, for a gateway that asks again."""

log = logging.getLogger("openclaw_nb")


@dataclass(slots=True)
class _Call:
    """One of them: what was asked, as it is shown, and the run that shows it."""

    asked: Invoked
    run: Run | None
    said: str
    began: float = field(default_factory=time.monotonic)
    runs: bool = False

    def show(self, text: str, *, ended: bool = True) -> None:
        """As a step of its run. On the thread that feeds that."""
        if self.run is not None:
            seconds = time.monotonic() - self.began if ended else None
            self.run.push(Step(f"call:{self.asked.id}", f"call {one_line(self.said, TITLE)}", 0, text, 0, seconds))


class Calls:
    """The calls at one gateway, on the loop of its client, which feeds the runs.

    ``run_of`` gives the run that a call is a part of, by the key of its session. ``answer`` has a result sent; what it
    gives says why that did not get through, or is "".
    """

    def __init__(
        self,
        offers: Offers,
        run_of: Callable[[str], Run | None],
        answer: Callable[[Invoked, ToolResult], Awaitable[str]],
    ) -> None:
        self._offers = offers
        self._run_of = run_of
        self._answer = answer
        self._calls: dict[str, tuple[_Call, asyncio.Task[None]]] = {}
        self._results: dict[str, ToolResult] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, asked: Invoked) -> None:
        """A call has come. One that came before is not made again: it has its answer, now or when it ends."""
        if asked.id in self._calls:
            return
        offered, run = self._offers.find(asked.name), self._run_of(asked.session_key)
        call = _Call(asked, run, asked.name)
        source = run.context if run is not None else offered.context if offered is not None else None
        task = asyncio.get_running_loop().create_task(
            self._serve(call, offered), name=f"openclaw call {asked.name}",
            context=None if source is None else source.copy(),
        )  # fmt: skip
        self._calls[asked.id] = call, task
        task.add_done_callback(partial(self._over, asked.id))
        if run is not None:
            run.before_end(partial(self._run_ended, task))

    def withdraw(self, id: str) -> None:
        """Nobody waits for the answer any more."""
        if (known := self._calls.get(id)) is not None:
            known[1].cancel()

    def cut(self) -> None:
        """The link is gone, and with it the gateway's wait: what has not begun yet never does."""
        for call, task in self._calls.values():
            if not call.runs:
                task.cancel()

    def end(self) -> None:
        for _, task in self._calls.values():
            task.cancel()

    def _run_ended(self, task: asyncio.Task[None], end: End) -> None:
        if end.status is not Status.DONE:  # the gateway has stopped waiting as well
            task.cancel()

    def _over(self, id: str, task: asyncio.Task[None]) -> None:
        del self._calls[id]
        if not task.cancelled() and (crash := task.exception()) is not None:
            log.error("a call of an offered function failed", exc_info=crash)

    # -- one call --------------------------------------------------------------------------------

    async def _serve(self, call: _Call, offered: Offered | None) -> None:
        id = call.asked.id
        try:
            result = self._results.get(id) or await self._result(call, offered)
        except asyncio.CancelledError:
            call.show("stopped: nobody waits for its result any more")
            raise
        call.show(result.text)
        self._remember(id, result)
        if why := await self._answer(call.asked, result):
            call.show(f"{result.text}\n\n({why})")

    def _remember(self, id: str, result: ToolResult) -> None:
        self._results[id] = result
        while len(self._results) > KEPT:
            del self._results[next(iter(self._results))]

    async def _result(self, call: _Call, offered: Offered | None) -> ToolResult:
        """What the assistant is told."""
        if offered is None:
            return _refusal(self._unknown(call.asked.name))
        values = offered.tool.check(call.asked.arguments)
        if isinstance(values, ToolResult):
            return values
        call.said = _said(offered.name, values)
        until = call.began + call.asked.seconds - GRACE
        if offered.approve and (refusal := await self._leave(call, offered, until)) is not None:
            return refusal
        call.runs = True
        call.show("", ended=False)
        return await _run(offered, values, min(offered.timeout, until - time.monotonic()))

    def _unknown(self, name: str) -> str:
        there = listing(one.tool.definition for one in self._offers.all)
        what = f"the notebook offers no function {one_line(name, 64)!r}" if name else "the function has to be named"
        return f"{what}; it offers:\n{there}" if there else f"{what}; it offers none"

    async def _leave(self, call: _Call, offered: Offered, until: float) -> ToolResult | None:
        """Ask for it in the cell; why it is not to be called, or None."""
        not_called = f"{offered.name} was not called: "
        if call.run is None:
            return _refusal(f"{not_called}no cell of the notebook is at work that could ask the user for leave")
        whole = max(until - time.monotonic(), 0.0)
        patience = max(whole - offered.timeout, whole / 2)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def settle(allow: bool) -> None:
            if not answer.done():
                answer.set_result(allow)

        def decide(allow: bool) -> None:
            loop.call_soon_threadsafe(settle, allow)

        id, decision = f"call:{call.asked.id}", "expired"
        call.run.approvals.ask(
            Approval(id, f"call {offered.name}", call.said, _details(call, offered), patience), decide
        )
        try:
            async with asyncio.timeout(patience):
                allow = await answer
            decision = "allow-once" if allow else "deny"
        except TimeoutError:
            return _refusal(f"{not_called}nobody allowed it within {patience:.0f} s")
        finally:
            call.run.approvals.settle(id, decision)
        return None if allow else _refusal(f"{not_called}the user denied it")


def _details(call: _Call, offered: Offered) -> str:
    told = ["a function of this notebook", f"up to {offered.timeout:g} s"]
    if key := call.asked.session_key:
        told.append(f"in session {one_line(key, 80)}")
    return " · ".join(told)


def _refusal(words: str) -> ToolResult:
    return ToolResult(words, failed=True)


def _said(name: str, values: Mapping[str, Any]) -> str:
    """A call as Python writes it, without what is secret, each argument in a bounded length."""
    return f"{name}({', '.join(f'{word}={_short(value)}' for word, value in values.items())})"


def _short(value: Any) -> str:
    try:
        text = redact(repr(value))
    except Exception:  # the notebook's own classes have a repr of their own
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


# -- at work -----------------------------------------------------------------------------------------


async def _run(offered: Offered, values: dict[str, Any], limit: float) -> ToolResult:
    """In a thread of its own, for so many seconds at most."""
    place = _Place()
    try:
        async with asyncio.timeout(limit):
            return await offered.tool.run(values, place.run)
    except TimeoutError:
        rest = "was stopped" if place.stopped else "goes on in the notebook, and what it gives is dropped"
        return _refusal(f"{offered.name} did not end within its {limit:.3g} s; it {rest}")


class _Place:
    """A thread for one call; a coroutine function has a loop of its own there, as that of the kernel's links is not
    for the notebook's work."""

    def __init__(self) -> None:
        self.stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[ToolResult] | None = None

    async def run(self, name: str, work: Callable[[], Any]) -> ToolResult:
        if not inspect.iscoroutinefunction(work):
            return await in_thread(name, work)
        try:
            return await in_thread(name, partial(self._on_loop, work))
        except asyncio.CancelledError:
            self._stop()
            raise

    def _on_loop(self, work: Callable[[], Any]) -> ToolResult:
        with suppress(asyncio.CancelledError):
            return asyncio.run(self._work(work))
        return _refusal("it was stopped")

    async def _work(self, work: Callable[[], Any]) -> ToolResult:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.stopped:  # before it began
            raise asyncio.CancelledError
        result: ToolResult = await work()
        return result

    def _stop(self) -> None:
        self.stopped = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # its loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._task.cancel)
