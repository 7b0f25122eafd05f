"""Live, the live picture of work in flight: paced news while it streams, one bundle without a widget at its end.

While the work is in flight its widget has one sender, as a rule the thread that feeds it; from the end on it is the
thread that renders the bundle. Handlers of front-end messages may run on any thread: they only leave a note.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from reprlib import Repr
from time import monotonic
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import anywidget
from IPython.display import display, update_display
from traitlets import Unicode, default

from ..approval_words import LONGEST, visible
from ..approvals import Approvals
from ..errors import ConfigError
from .feed import clean
from .library import expect_late, open_library, shared_layout, static
from .pace import Pacer

__all__ = ["Live", "News", "Work"]

FIRST_WHOLE = 2.0  # s; when the whole state is first sent to front ends of which none was heard

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

log = logging.getLogger("openclaw_nb")
_short = Repr()
_short.maxstring = _short.maxother = 120


class News(Protocol):
    """What a front end has to be told, by offsets in UTF-16 units: messages made, nothing sent.

    ``keys`` are those of the widget's state that are read at the moment they are asked for.
    """

    @property
    def keys(self) -> tuple[str, ...]: ...

    @property
    def small(self) -> bool:
        """Whether the whole is hardly more than what is new of it."""

    def state(self) -> dict[str, Any]:
        """The whole, by ``keys``, as it is now."""

    def told(self, state: dict[str, Any]) -> int:
        """Note that a state was sent; how much of its text was new, in UTF-16 units."""

    def news(self) -> list[dict[str, Any]]:
        """The messages that bring every front end up to date."""


class Work(Protocol):
    """Work in flight, as a `Run` is."""

    def done(self) -> bool: ...
    def cancel(self) -> None: ...


class Live(anywidget.AnyWidget):
    """Shown by ``display()`` in as many cells as one likes, all of one widget model.

    ``interval`` is the least time between two messages in seconds. It adapts to the work (up to four times as long
    while text comes fast), to this kernel (a tenth of the time at most goes into sending) and to the reader (a page
    that says it is behind gets less to draw), to a second at most for the latter two; see `Pacer`. No text is lost
    by it, and the end is sent at once. ``into`` names the variable the answer goes to. ``settled`` is done when the
    work has ended and every display is the plain bundle: ``view.settled.result(timeout)`` or ``wrap_future(…)``.
    Of work that has ended no widget is opened at all. Raises ConfigError where the JavaScript is not built.

    ``_code`` names the JavaScript. A subclass follows ``_work``: when something has come of it, it calls ``_came`` on
    the thread of ``loop`` (None: the loop on which it first does), and ``_finish`` at its end.
    """

    _esm = Unicode().tag(sync=True)
    _library = Unicode().tag(sync=True)
    into = Unicode().tag(sync=True)
    _code: ClassVar[str]

    @default("_esm")
    def _loader(self) -> str:
        return static("loader.js").strip()

    def __init__(
        self, work: Work, feed: News, interval: float, *, into: str, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._work = work
        self._feed = feed
        self._pacer = Pacer(interval)
        self._loop = loop
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._dirty = self._heard = False
        self._ending = work.done()
        self._displays: list[str] = []
        self._final: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._forget: Callable[[], None] = _nothing
        self.settled: Future[None] = Future()
        if self._ending:
            super().__init__(into=into)
            self._settle()
        else:
            super().__init__(layout=shared_layout(), _library=open_library(self._code).model_id, into=into)
            self._forget = self._follow()
            if work.done():  # it ended between the two: nobody will say so any more
                self._finish()

    # -- what a subclass says --------------------------------------------------------------------

    def _follow(self) -> Callable[[], None]:
        """Subscribe; returns the way to unsubscribe."""
        raise NotImplementedError

    def _hear(self, content: dict[str, Any]) -> bool:
        """Take a page's message, of which nothing can be trusted, on any thread; False for one that makes no sense."""
        raise NotImplementedError

    def _render(self) -> dict[str, str]:
        """The bundle that stays."""
        raise NotImplementedError

    def _text(self) -> str:
        """What there is, where it could not be rendered."""
        raise NotImplementedError

    @property
    def behind(self) -> float:
        """Seconds by which a page that shows it said to be behind, a moment ago."""
        return 0.0 if self._ending else self._pacer.behind(monotonic())

    # -- showing it ------------------------------------------------------------------------------

    def display(self) -> None:
        """Show it in the current cell."""
        with self._lock:
            self._displays.append(display_id := uuid4().hex)
            bundle, metadata = self._final, None
            if bundle is None:
                widget, metadata = (self._repr_mimebundle_() if self.comm is not None else None) or ({}, None)
                bundle = widget | {"text/plain": "the answer will be here when it is complete"}
            display(bundle, metadata=metadata, raw=True, display_id=display_id)  # type: ignore[no-untyped-call]

    def redisplay(self) -> None:
        """Send the final bundle to every display again; nothing while the work is in flight.

        nbclient applies an update only while some cell runs, so `%openclaw wait` calls this from its own.
        """
        with self._lock:
            self._update_displays()

    def _update_displays(self) -> None:
        if self._final is not None:
            for display_id in self._displays:
                update_display(self._final, display_id=display_id, raw=True)  # type: ignore[no-untyped-call]

    def _ipython_display_(self) -> None:
        self.display()

    # -- the widget's state ----------------------------------------------------------------------

    def open(self) -> None:
        """Open the comm, unless the work is over and there is nothing to follow."""
        if not self._ending:
            super().open()

    def get_state(self, key: str | Iterable[str] | None = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The synced state; its live part is read from the work, so it is current and costs nothing in between."""
        live = self._feed.keys if self._final is None else ()
        wanted = [*self.keys, *live] if key is None else [key] if isinstance(key, str) else list(key)
        state: dict[str, Any] = super().get_state([k for k in wanted if k not in live], drop_defaults)
        if any(k in live for k in wanted):
            now = self._feed.state()
            state |= {k: now[k] for k in wanted if k in live}
        return state

    # -- from the work, on its thread --------------------------------------------------------------

    def _came(self) -> None:
        """Something is new: send it at once if nothing was sent for an interval, else with what comes until then."""
        if self._ending:
            return
        self._loop = self._loop or asyncio.get_running_loop()
        if "whole" not in self._timers:
            self._timers["whole"] = self._loop.call_later(FIRST_WHOLE, self._send_whole, FIRST_WHOLE)
        self._wake()

    def _wake(self) -> None:
        if self._loop is None:  # a page asks, and nothing has come since the view was made: it may have come before
            self._guarded(self._send_state)
            return
        self._dirty = True
        if "next" not in self._timers:
            self._tick()

    def _tick(self) -> None:
        self._timers.pop("next", None)
        if not self._dirty or self._ending or self._loop is None:
            return
        self._dirty = False
        start = monotonic()
        sent = self._guarded(self._send_news) or 0
        pause = self._pacer.pause(sent, monotonic() - start, monotonic())
        self._timers["next"] = self._loop.call_later(pause, self._tick)

    def _send_news(self) -> int:
        """Send what the front ends have not got; how much of the answer that was, in UTF-16 units."""
        if self._feed.small:
            return self._send_state()
        news = self._feed.news()
        for message in news:
            self.send(message)
        return _said(news)

    def _send_state(self) -> int:
        state = self._feed.state()
        self._send({"method": "update", "state": state, "buffer_paths": []})
        return self._feed.told(state)

    def _send_whole(self, waited: float) -> None:
        """The whole state at 2, 4, 8 … s until a front end is heard: a busy kernel cannot hear that one lost text."""
        if not (self._heard or self._ending or self._loop is None):
            self._guarded(self._send_state)
            self._timers["whole"] = self._loop.call_later(waited, self._send_whole, 2 * waited)

    # -- from front ends, on any thread ------------------------------------------------------------

    def _handle_msg(self, msg: object) -> None:
        """Take a comm message, of which nothing can be trusted, not even its shape. Raises nothing."""
        data = msg["content"].get("data") if isinstance(msg, dict) and isinstance(msg.get("content"), dict) else None
        match data:
            case _ if self._ending:
                return
            case {"method": "custom", "content": {"kind": "stop", **rest}} if not rest:
                self._heard = True
                self._guarded(self._work.cancel)
                return
            case {"method": "custom", "content": {"kind": "lag", "ms": int() as milliseconds}}:
                self._heard = True
                self._pacer.hear(milliseconds, monotonic())
                return
            case {"method": "custom", "content": {"kind": str()} as content}:
                if self._hear(content):
                    self._heard = True
                    return
            case {"method": "request_state"}:
                self._note(self.send_state)
                return
        log.warning("a live view ignored a message that it does not know: %s", _short.repr(data))

    def _decide(self, approvals: Approvals, id: str, allow: bool, retell: Callable[[], None]) -> None:
        """A page has decided; it is told again what is so, by ``retell``, as it believes that it was heard."""
        try:
            if not allow or _shown_whole(approvals, id):
                approvals.decide(id, allow)
        except ConfigError:  # it was decided elsewhere meanwhile
            pass
        except Exception:
            log.exception("a live view could not pass on what was decided")
        self._note(self._retold, retell)

    def _retold(self, retell: Callable[[], None]) -> None:
        retell()
        self._wake()

    def _note(self, call: Callable[..., Any], *args: Any) -> None:
        """Have the work's thread do it, in this thread's context, by which a reply finds its request."""
        self._heard = True
        if self._loop is not None:
            with suppress(RuntimeError):  # its loop is closed, so nothing will come of the work
                self._loop.call_soon_threadsafe(self._noted, call, *args, context=copy_context())
        else:  # nothing streams yet, so nobody else sends
            self._guarded(call, *args)

    def _noted(self, call: Callable[..., Any], *args: Any) -> None:
        if not self._ending:
            self._guarded(call, *args)

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception:
            log.exception("a live view failed at %s", call.__name__)

    # -- its end -----------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The work has ended; from any thread."""
        if self._loop is not None and not _runs_here(self._loop):
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._finish)
                return
        with self._lock:
            if self._ending:
                return
            self._ending = True
        for timer in self._timers.values():
            timer.cancel()
        try:
            # Rendering takes time that the other runs of this loop should not have to wait.
            asyncio.get_running_loop().run_in_executor(None, self._settle)
        except RuntimeError:  # no loop here, or one that is shutting down
            self._settle()

    def _settle(self) -> None:
        """Replace every display by the bundle, close the widget, and let go of the work."""
        if self.comm is not None:
            self._guarded(self._send_news)
            expect_late(self.comm.comm_id)
        final = self._bundle()
        with self._lock:
            self._final = final
            self._guarded(self._update_displays)
        self._guarded(self._forget)
        self._guarded(self.close)
        # Who keeps the view, by the work, would keep the work for ever.
        self._forget = _nothing
        del self._work, self._feed
        self.settled.set_result(None)

    def _bundle(self) -> dict[str, str]:
        try:
            return self._render()
        except Exception:
            log.exception("an answer could not be rendered")
            return {"text/plain": _CONTROL.sub("", clean(self._text()))}


def _shown_whole(approvals: Approvals, id: str) -> bool:
    """Whether all of what is to be allowed could be read on a page."""
    return all(len(visible(one.command)) <= LONGEST for one in approvals.pending if one.id == id)


def _said(news: Iterable[dict[str, Any]]) -> int:
    """UTF-16 units of an answer in some messages; of lanes side by side the most in any of them."""
    units = 0
    for message in news:
        match message:
            case {"kind": "delta", "text": text}:
                units += len(text)
            case {"kind": "lanes", "lanes": lanes}:
                units += max((_said(lane["news"]) for lane in lanes), default=0)
    return units


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _nothing() -> None:
    """What a view does to unsubscribe once it has."""
