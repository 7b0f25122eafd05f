"""Run, the one handle for work in flight, and Result, what it leaves.

A Run is fed by the thread that owns the connection (`Run.push`) and may be read, awaited, iterated and
cancelled from any thread and any event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from . import seams
from .approvals import Approvals
from .errors import ConfigError, RunError, RunTimeout
from .events import Delta, End, Level, RunEvent, State, Status, Step, Usage
from .protocol.runlog import SpokenText
from .reasoning.levels import read_level
from .waits import awaiting, wait, waiting_for

__all__ = ["Result", "Run", "within"]

log = logging.getLogger("openclaw_nb")

within: ContextVar[frozenset[str]] = ContextVar("within", default=frozenset())
"""The sessions of this process whose runs this code is a part of, as a tool or a model is."""


class Result(str):
    """The answer: a string with what is known about how it came to be.

    ``status`` is DONE or STOPPED (a stopped run keeps its partial text); ``level`` 1-4 or None, and ``level_reason``
    why, in words, where it was not just asked for; ``usage`` in tokens; ``cost`` in USD or None where the price is not
    known; ``seconds`` from send to end; ``first_token`` seconds from send to the first delta, or None; ``snapshot`` the
    id of the session's snapshot after it; ``steps`` the reasoning steps, whole. Where it was to be of a type,
    ``output`` is the name of that, and ``value`` the answer as a value of it; else "" and None.
    """

    status: Status
    level: int | None
    level_reason: str
    usage: Usage
    cost: float | None
    model: str
    session: str
    run_id: str
    seconds: float
    first_token: float | None
    snapshot: str | None
    steps: tuple[Step, ...]
    words: str
    output: str
    value: Any

    def __new__(cls, text: str = "", **facts: Any) -> Result:
        self = super().__new__(cls, text)
        defaults: dict[str, Any] = {
            "status": Status.DONE, "level": None, "level_reason": "", "usage": Usage(), "cost": None, "model": "",
            "session": "main", "run_id": "", "seconds": 0.0, "first_token": None, "snapshot": None,
            "steps": (), "words": "", "output": "", "value": None,
        }  # fmt: skip
        if unknown := facts.keys() - defaults.keys():
            raise TypeError(f"Result has no {', '.join(sorted(unknown))}")
        self.__dict__.update(defaults | facts)
        return self

    @property
    def text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return str.__str__(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from .render import bundle, static_output

        return bundle(self, live=not static_output())


@dataclass(slots=True)
class _Clock:
    """Monotonic moments of a run, in seconds."""

    sent: float = field(default_factory=time.monotonic)
    first: float | None = None
    ended: float | None = None


class Run:
    """Work in flight: ``await run``, ``run.result(timeout)``, ``for delta in run``, ``async for delta in run``.

    ``run.text`` is what there is so far. ``run.cancel()`` stops the model and keeps what came; awaiting a
    stopped run gives its partial Result, awaiting a failed one raises a RunError whose ``partial`` holds it.
    Cancelling an awaiting task does not stop the run: several may wait on one run.
    """

    takes_slots = False

    def __init__(
        self,
        id: str,
        *,
        prompt: str = "",
        session: str = "main",
        level: int | None = None,
        level_reason: str = "",
        model: str = "",
        agent: str = "main",
        cancel: Callable[[Run], None] | None = None,
        change: Callable[[Run, int], None] | None = None,
        feeder: int | None = None,
        interval: float = 0.05,
        output: str = "",
        read: Callable[[str], Any] | None = None,
    ) -> None:
        self.id = id
        self.prompt = prompt
        self.session = session
        self.branch_of = ""  # the session that had moved on, where it ended in a branch of it
        self.level = level
        self.level_reason = level_reason
        self.model = model
        self.agent = agent
        self.status = Status.WAITING
        self.words = ""
        self.tokens = 0  # all that were made so far, those of its steps included
        self._cancel = cancel
        self._change = change
        self._text = SpokenText()
        self.answer_tokens = 0
        self._step_tokens = 0
        self._steps: dict[str, Step] = {}
        self._clock = _Clock()
        self._lock = threading.RLock()
        self._listeners: list[Callable[[RunEvent], None]] = []
        self._settlers: list[Callable[[End], None]] = []
        self._ending: End | None = None
        self._done: Future[Result] = Future()
        self._done.set_running_or_notify_cancel()
        self.interval = interval  # seconds between two updates of a view
        self.output = output  # the name of what the answer has to be, which is JSON then
        self._read = read
        self._value: Any = None
        self._feeder = feeder
        self._why_stopped = ""
        self.approvals = Approvals(self.push)
        self.context = copy_context()  # of who sent it: what is printed in it goes to that cell

    # -- what one can ask at any time ------------------------------------------------------------

    @property
    def text(self) -> str:
        """The answer so far."""
        with self._lock:
            return str(self._text)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The reasoning steps so far, each with its whole text."""
        with self._lock:
            return tuple(self._steps.values())

    @property
    def seconds(self) -> float:
        """Seconds since it was sent, up to its end."""
        return (self._clock.ended or time.monotonic()) - self._clock.sent

    @property
    def first_token(self) -> float | None:
        """Seconds from send to the first delta, or None."""
        return None if self._clock.first is None else self._clock.first - self._clock.sent

    @property
    def sent(self) -> float:
        """The monotonic moment when it was sent, in seconds."""
        return self._clock.sent

    def done(self) -> bool:
        return self._done.done()

    def cancel(self, why: str = "stopped by you") -> None:
        """Ask the gateway to stop; what came is kept. Any thread, any number of times; the first ``why`` is shown."""
        self._why_stopped = self._why_stopped or why
        if self._cancel is not None and not self.done():
            self._cancel(self)

    def set_level(self, level: int | str) -> None:
        """Go on at this level (1-4), from its next step on. Any thread; nothing where it has ended.

        ConfigError for what is no level, and where its gateway cannot change that of a run at work.
        """
        chosen = read_level(level)
        if chosen is None:
            raise ConfigError("a run at work takes a level from 1 to 4, not auto")
        if self.done() or chosen == self.level or self._change is None:
            return
        self._change(self, int(chosen))

    # -- waiting ---------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the end. ``timeout`` in seconds raises RunTimeout and leaves the run going."""
        self._refuse_own_thread()
        with waiting_for(self):
            wait(self._done, timeout)
        if not self.done():
            raise RunTimeout(f"the run did not end within {timeout:g} s; it goes on, run.cancel() stops it")
        return self._done.result()

    def __await__(self) -> Generator[Any, None, Result]:
        with awaiting(self):
            return (yield from asyncio.wrap_future(self._done).__await__())

    def unended(self) -> dict[str, str]:
        """The name of its agent by its id, until it has ended."""
        return {} if self.done() else {self.id: self.agent}

    def __iter__(self) -> Iterator[str]:
        self._refuse_own_thread()
        seen = 0
        while True:
            over = self.done()
            if text := self._since(seen):
                seen += len(text)
                yield text
            elif over:
                self._done.result()
                return
            else:
                with waiting_for(self):
                    wait(self._more_than(seen))

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def wake(_: RunEvent) -> None:
            with suppress(RuntimeError):  # the reader's loop may be closed by now
                loop.call_soon_threadsafe(news.set)

        forget = self.subscribe(wake)
        seen = 0
        try:
            while True:
                news.clear()
                over = self.done()
                if text := self._since(seen):
                    seen += len(text)
                    yield text
                elif over:
                    self._done.result()
                    return
                else:
                    with awaiting(self):
                        await news.wait()
        finally:
            forget()

    def _more_than(self, seen: int) -> Future[None]:
        """Done as soon as there is more text than that, or the end."""
        more: Future[None] = Future()

        def heard(_: object) -> None:
            with suppress(InvalidStateError):  # it was heard before
                more.set_result(None)

        forget = self.subscribe(heard)
        more.add_done_callback(lambda _: forget())
        if self.done() or self._since(seen):
            heard(None)
        return more

    def _since(self, offset: int) -> str:
        with self._lock:
            return self._text.since(offset)

    def _refuse_own_thread(self) -> None:
        if self._feeder == threading.get_ident() and not self.done():
            raise RuntimeError("this would block the thread that feeds the run; use `await run` or `async for`")

    # -- events ----------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[RunEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with every event from now on, on the feeding thread; returns the way to unsubscribe."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def before_end(self, settle: Callable[[End], None]) -> None:
        """Call ``settle`` with the end before whoever waits for it goes on; now, where it has ended."""
        with self._lock:
            if (end := self._ending) is None:
                self._settlers.append(settle)
                return
        settle(end)

    def push(self, event: RunEvent) -> None:
        """Apply one event and tell the listeners. For the owner of the connection, on one thread."""
        if self.done():
            return
        self._feeder = threading.get_ident()
        if isinstance(event, End):
            event = self._with_value(event)
        with self._lock:
            match event:
                case Delta():
                    self._append(event)
                case Step():
                    self._grow_step(event)
                case State():
                    self.status, self.words = event.status, event.words
                case Level():
                    self.level, self.level_reason = event.level, event.reason
                case End():
                    self._clock.ended = time.monotonic()
                    self.status = event.status
                    self.words = self._last_words(event)
                    self.model = event.model or self.model
                    self._ending = event
            listeners, settlers = tuple(self._listeners), tuple(self._settlers)
        if isinstance(event, End):
            self._tell(settlers, event)
            self._settle(event)
            with self._lock:  # who came since, and saw no end, waits for this
                listeners = tuple(self._listeners)
        self._tell(listeners, event)

    def _tell(self, listeners: Iterable[Callable[[Any], None]], event: RunEvent) -> None:
        for listener in listeners:
            try:
                listener(event)
            except BaseException:  # sys.exit() in one must not end the thread that feeds all runs
                log.exception("a listener of run %s failed", self.id)

    def _append(self, event: Delta) -> None:
        if event.offset != self._text.length:
            raise ValueError(f"delta at offset {event.offset}, expected {self._text.length}")
        if self._clock.first is None:
            self._clock.first = time.monotonic()
        self._text.append(event.text)
        self.answer_tokens = event.tokens
        self.tokens = event.tokens + self._step_tokens
        self.status, self.words = Status.STREAMING, ""

    def _grow_step(self, event: Step) -> None:
        known = self._steps.get(event.key)
        text = (known.text if known else "")[: event.offset] + event.text
        self._steps[event.key] = Step(event.key, event.title, 0, text, event.tokens, event.seconds)
        self._step_tokens += event.tokens - (known.tokens if known else 0)
        self.tokens = self.answer_tokens + self._step_tokens

    def _last_words(self, event: End) -> str:
        if event.error is not None:
            return str(event.error)
        return event.words or (self._why_stopped if event.status is Status.STOPPED else "")

    def _with_value(self, event: End) -> End:
        """The end; a failure where the answer is not what it had to be."""
        if self._read is not None and event.status is Status.DONE:
            try:
                self._value = self._read(self.text)
            except RunError as error:
                return replace(event, status=Status.FAILED, error=error)
            except Exception as error:  # or nobody would hear of the end
                failure = RunError(f"the answer could not be read: {type(error).__name__}: {error}", code="OUTPUT")
                return replace(event, status=Status.FAILED, error=failure)
        return event

    def _settle(self, event: End) -> None:
        usage = event.usage or Usage(output_tokens=self.tokens, estimated=True)
        self.tokens = usage.output_tokens or self.tokens
        result = Result(
            self.text, status=event.status, level=self.level, level_reason=self.level_reason, usage=usage,
            cost=event.cost, model=self.model, session=self.session, run_id=self.id, seconds=self.seconds,
            first_token=self.first_token, snapshot=event.snapshot, steps=self.steps, words=self.words,
            output=self.output, value=self._value,
        )  # fmt: skip
        if event.error is None:
            self._done.set_result(result)
        else:
            event.error.partial = result
            self._done.set_exception(event.error)

    def _ipython_display_(self) -> None:
        seams.show_run(self)

    def __repr__(self) -> str:
        return f"<Run {self.id[:8]} {self.status}: {self.tokens} tokens in session {self.session!r}>"
