"""StreamView, the live picture of one run: paced deltas while it streams, one bundle without a widget at its end.

While a run is in flight its widget has one sender, the thread that feeds the run; from the end on it is the
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
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import anywidget
from IPython.display import display, update_display
from traitlets import Unicode, default

from ..events import End, RunEvent, Step
from ..run import Run
from .feed import LIVE, Feed, clean
from .library import expect_late, open_library, shared_layout, static
from .pace import Pacer

__all__ = ["StreamView", "show_run"]

FIRST_WHOLE = 2.0  # s; when the whole state is first sent to front ends of which none was heard

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

log = logging.getLogger("openclaw_nb")
_short = Repr()
_short.maxstring = _short.maxother = 120


class StreamView(anywidget.AnyWidget):
    """The live view of ``run``; ``display()`` shows it, in as many cells as one likes, all of one widget model.

    ``interval`` is the least time between two messages in seconds. It adapts to the model (up to four times as long
    while text comes fast), to this kernel (a tenth of the time at most goes into sending) and to the reader (a page
    that says it is behind gets less to draw), to a second at most for the latter two; see `Pacer`. No text is lost
    by it, and the end is sent at once. ``into`` names the variable the answer goes to. ``settled`` is done when the
    run has ended and every display is the plain bundle: ``view.settled.result(timeout)`` or ``wrap_future(…)``.
    Of a run that has ended no widget is opened at all. Raises ConfigError where the JavaScript is not built.
    """

    _esm = Unicode().tag(sync=True)
    _library = Unicode().tag(sync=True)
    into = Unicode().tag(sync=True)

    @default("_esm")
    def _loader(self) -> str:
        return static("loader.js").strip()

    def __init__(self, run: Run, interval: float = 0.05, *, into: str = "") -> None:
        self._run = run
        self._feed = Feed(run)
        self._pacer = Pacer(interval)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._dirty = self._heard = False
        self._ending = run.done()
        self._displays: list[str] = []
        self._final: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._forget: Callable[[], None] = _nothing
        self.settled: Future[None] = Future()
        if self._ending:
            super().__init__(into=into)
            self._settle()
        else:
            super().__init__(layout=shared_layout(), _library=open_library().model_id, into=into)
            self._forget = run.subscribe(self._on_event)
            if run.done():  # it ended between the two: nobody will say so any more
                self._finish()
        _views[run] = self

    # -- showing it ------------------------------------------------------------------------------

    def display(self) -> None:
        """Show the run in the current cell."""
        with self._lock:
            self._displays.append(display_id := uuid4().hex)
            bundle, metadata = self._final, None
            if bundle is None:
                widget, metadata = (self._repr_mimebundle_() if self.comm is not None else None) or ({}, None)
                bundle = widget | {"text/plain": "the answer will be here when it is complete"}
            display(bundle, metadata=metadata, raw=True, display_id=display_id)  # type: ignore[no-untyped-call]

    def redisplay(self) -> None:
        """Send the final bundle to every display again; nothing while the run is in flight.

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
        """Open the comm, unless the run is over and there is nothing to follow."""
        if not self._ending:
            super().open()

    def get_state(self, key: str | Iterable[str] | None = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The synced state; its live part is read from the run, so it is current and costs nothing in between."""
        wanted = [*self.keys, *LIVE] if key is None else [key] if isinstance(key, str) else list(key)
        state: dict[str, Any] = super().get_state([k for k in wanted if k not in LIVE], drop_defaults)
        if any(k in LIVE for k in wanted):
            live = self._feed.state()
            state |= {k: live[k] for k in wanted if k in LIVE}
        return state

    # -- from the run, on its thread ---------------------------------------------------------------

    def _on_event(self, event: RunEvent) -> None:
        try:
            if isinstance(event, End):
                self._finish()
                return
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
                self._timers["whole"] = self._loop.call_later(FIRST_WHOLE, self._send_whole, FIRST_WHOLE)
            if isinstance(event, Step):
                self._feed.rewritten(event.key, event.offset)
            self._wake()
        except Exception:
            log.exception("a live view could not follow its run")  # the run itself goes on

    def _wake(self) -> None:
        """Something is new: send it at once if nothing was sent for an interval, else with what comes until then."""
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
        return sum(len(message["text"]) for message in news if message["kind"] == "delta")

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
            case {"method": "custom", "content": {"kind": "stop"}}:
                self._heard = True
                self._guarded(self._run.cancel)
            case {"method": "custom", "content": {"kind": "sync", "have": int() as have, "steps": int() as steps}}:
                self._note(self._resend, have, steps)
            case {"method": "custom", "content": {"kind": "lag", "ms": int() as milliseconds}}:
                self._heard = True
                self._pacer.hear(milliseconds, monotonic())
            case {"method": "request_state"}:
                self._note(self.send_state)
            case _:
                log.warning("a live view ignored a message that it does not know: %s", _short.repr(data))

    def _note(self, call: Callable[..., Any], *args: Any) -> None:
        """Have the run's thread do it, in this thread's context, by which a reply finds its request."""
        self._heard = True
        if self._loop is not None:
            with suppress(RuntimeError):  # its loop is closed, so nothing will come of the run
                self._loop.call_soon_threadsafe(self._guarded, call, *args, context=copy_context())
        else:  # nothing streams yet, so nobody else sends
            self._guarded(call, *args)

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception:
            log.exception("a live view failed at %s", call.__name__)

    def _resend(self, have: int, steps: int) -> None:
        self._feed.ask(have, steps)
        self._wake()

    # -- its end -----------------------------------------------------------------------------------

    def _finish(self) -> None:
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
        """Replace every display by the bundle, close the widget, and let go of the run."""
        if self.comm is not None:
            self._guarded(self._send_news)
            expect_late(self.comm.comm_id)
        final = self._bundle()
        with self._lock:
            self._final = final
            self._guarded(self._update_displays)
        self._guarded(self._forget)
        self._guarded(self.close)
        # An empty run in its place: through `_views` the view would keep the real one for ever.
        self._run = Run("")
        self._feed, self._forget = Feed(self._run), _nothing
        self.settled.set_result(None)

    def _bundle(self) -> dict[str, str]:
        try:
            from ..render import bundle

            return bundle(self._run, into=self.into)
        except Exception:
            log.exception("an answer could not be rendered")
            return {"text/plain": _CONTROL.sub("", clean(self._run.text))}


_views: WeakKeyDictionary[Run, StreamView] = WeakKeyDictionary()


def show_run(run: Run, *, into: str = "") -> StreamView:
    """Show a run in the current cell, by the view it has already or by a new one."""
    view = _views.get(run) or StreamView(run, run.interval, into=into)
    view.display()
    return view


def _nothing() -> None:
    """What a view does to unsubscribe once it has."""
