"""Attempt, one start of an order at a worker: it is answered as any turn is, and what comes of it is posted."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import Any

from ..answers.answering import Answering
from ..errors import ConfigError, ModelError, OpenClawError, one_line
from ..models.base import Model
from ..pool.processes import Killed, Process
from ..reasoning.budgets import Count, Meter
from ..redaction import redact
from ..tools import Place, Toolbox, ToolResult
from ..version import __version__
from .copies import Copy
from .orders import PYTHON, Order, unpack
from .posts import COUNT, END, ERROR, HELLO, Outbox, told

__all__ = ["Attempt", "at_worker"]

PATIENCE = 60.0
"""Seconds to wait for what it is to go on with: whoever asked has gone by then."""

at_worker: ContextVar[str] = ContextVar("at_worker", default="")
"""The address of the worker at which this code is a part of an agent; "" elsewhere."""


class Attempt:
    """``send`` posts a batch from the worker at ``where``; ``model_of`` gives the model that an order means.

    All is to be called on the loop on which it runs.
    """

    def __init__(
        self, order: str, data: bytes, where: str, send: Callable[[str], None], model_of: Callable[[Model | str], Model]
    ) -> None:
        self.id = secrets.token_hex(4)
        self._order = order
        self._data = data
        self._where = where
        self._send = send
        self._model_of = model_of
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._go: asyncio.Future[dict[str, Any]] | None = None
        self._work: _Work | None = None

    def stop(self) -> None:
        """Close the model's stream, and end."""
        was_stopped, self._stopped = self._stopped, True
        if self._task is not None and not was_stopped:
            self._task.cancel()

    def tell(self, word: str, value: Any) -> None:
        """What it is to "go" on with, once; that calls were "kept"; another "level"."""
        if word == "go":
            if self._go is not None and not self._go.done():
                self._go.set_result(value)
        elif self._work is not None:
            self._work.tell(word, value)

    async def run(self) -> None:
        """Say hello, and answer. What goes wrong is posted, nothing is raised."""
        if self._stopped:
            return
        at_worker.set(self._where)
        self._task = asyncio.current_task()
        self._go = asyncio.get_running_loop().create_future()
        box = Outbox(self._order, self.id, self._send, self._counts)
        box.put(HELLO, self._where, __version__, PYTHON)
        box.flush()
        with suppress(TimeoutError, asyncio.CancelledError):  # of a task of Dask's, which ends with this
            async with asyncio.timeout(PATIENCE):
                state = await self._go
            try:
                await self._answer(box, state)
            finally:
                box.flush()

    async def _answer(self, box: Outbox, state: dict[str, Any]) -> None:
        try:
            order = unpack(self._data)
            self._work = work = _Work(order, self._model_of(order.model), state, box)
        except Exception as error:
            words = f"the worker at {self._where} cannot take it: {_words(error)}"
            box.put(ERROR, ConfigError.__name__, ConfigError.code, words, 0.0, "", 0)
            return
        await work.do()

    def _counts(self) -> Iterator[tuple[Any, ...]]:
        return self._work.counts() if self._work is not None else iter(())


class _Work:
    """The answer itself."""

    def __init__(self, order: Order, model: Model, state: dict[str, Any], box: Outbox) -> None:
        self._box = box
        self._model = model
        self._level: int = state["level"]
        self._copy = Copy(order, state, box)
        self._meter = Meter(order.tariff, order.budget, state["spent"])
        self._counted: list[tuple[Any, ...]] = []
        self._process = Process() if order.process else None
        tools = Toolbox(order.tools).at(_place(self._process) if self._process is not None else None)
        self._answering = Answering(model, order.request, tools, self._copy, lambda: self._level, self._meter)

    def tell(self, word: str, value: Any) -> None:
        if word == "level":
            self._level = int(value)
        elif word == "kept":
            self._copy.kept(int(value))

    async def do(self) -> None:
        try:
            await self._stream()
        except asyncio.CancelledError as stop:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._fail(ModelError(f"the model {self._model.name} was cancelled from inside"), stop)
        except BaseException as error:  # sys.exit() in a model must not end the loop it runs on
            self._fail(error, error)
        else:
            self._box.put(END, *self._facts())
        finally:
            if self._process is not None:
                self._process.close()

    async def _stream(self) -> None:
        async for step in self._answering.prepare():
            if step.key == "load":  # the calls that were made before are known where they were asked for
                self._box.put(*(told(step) or ()))
        async with aclosing(self._answering.events()) as events:
            async for event in events:
                self._copy.take(event)
                if (post := told(event)) is not None:
                    self._box.put(*post)

    def _fail(self, error: BaseException, cause: BaseException) -> None:
        if not isinstance(error, OpenClawError):
            error = ModelError(f"the model {self._model.name} failed: {_words(cause)}")
        wait = getattr(error, "retry_after", 0.0)
        kind = next(kind for kind in type(error).__mro__ if kind.__module__ == OpenClawError.__module__)
        self._box.put(ERROR, kind.__name__, error.code, str(error), wait, *self._facts())

    def _facts(self) -> tuple[str, int]:
        """The note, and how many tokens of the answer were there before what its meter has counted."""
        usage = self._answering.usage
        return self._answering.note, usage.output_tokens - self._meter.output_tokens if usage is not None else 0

    def counts(self) -> Iterator[tuple[Any, ...]]:
        """What the model's requests have used, as far as that is news."""
        for place, one in enumerate(self._meter.counts):
            now = (COUNT, place, one.input, one.output, _cost(one, self._meter), _counted(one))
            if self._counted[place : place + 1] != [now]:
                self._counted[place : place + 1] = [now]
                yield now


def _cost(one: Count, meter: Meter) -> float | None:
    return one.cost if meter.limited else None


def _counted(one: Count) -> list[Any] | None:
    """What its provider said, or that it has not, though it is over."""
    if (usage := one.usage) is not None:
        return [usage.input_tokens, usage.output_tokens, usage.estimated, usage.cached_tokens]
    return None if one.at_work else []


def _place(process: Process) -> Place:
    async def place(name: str, work: Callable[[], Any]) -> ToolResult:
        try:
            return await asyncio.to_thread(process.run, name, work)
        except asyncio.CancelledError:
            process.kill()
            raise
        except Killed as error:
            return ToolResult(str(error), failed=True)

    return place


def _words(error: BaseException) -> str:
    words: str = redact(one_line(error, 200))
    return words if isinstance(error, OpenClawError) else f"{type(error).__name__}: {words}"
