"""Placed, a widget whose output is a picture that lasts: a page that has the widget puts the live view in its place.

One thread tells pages the news while there is any, and draws the picture again when it is calm. Handlers of the
messages of pages may run on any.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextvars import copy_context
from reprlib import Repr
from time import monotonic
from typing import Any, ClassVar
from uuid import uuid4

import anywidget
from IPython.display import display, update_display
from traitlets import Unicode, default

from ..errors import OpenClawError
from ..render import static_output
from .library import expect_late, shared_layout, static

__all__ = ["MOST", "Placed"]

CALM = 2.0  # s without news, after which the kept picture is drawn again
LATEST = 30.0  # s after which it is drawn again though there is no calm
MOST = 8
"""Widgets of one kind that are live; an older one stays as its picture."""

log = logging.getLogger("openclaw_nb")
_short = Repr()
_short.maxstring = _short.maxother = 120
_live: defaultdict[str, deque[Placed]] = defaultdict(deque)


class Placed(anywidget.AnyWidget):
    """Shown in as many cells as one likes, of one model; ``place`` is the name by which a page finds where.

    A subclass follows what it shows, says by ``_wake()`` that there is news, on any thread, and is asked for the rest.
    Pages hear of news every ``interval`` seconds at most. With ``OPENCLAW_NB_RENDER=static`` there is no live view, and
    nothing is followed. ``_kind`` names the JavaScript and the places on a page.
    """

    _kind: ClassVar[str]
    _esm = Unicode().tag(sync=True)
    place = Unicode().tag(sync=True)
    _over, _lock = True, threading.RLock()  # until it has begun

    @default("_esm")
    def _code(self) -> str:
        return static(f"{self._kind}.js")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._lock, self._waking = threading.RLock(), threading.Lock()
        self._displays: list[str] = []
        self._used = False
        self._picture: dict[str, Any] = {}
        self._drawn_at = monotonic()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._context = copy_context()
        self._forget: Callable[[], None] = _nothing
        self._frozen = static_output()
        with self._lock:
            try:
                self._begin()
                self._over = False
                super().__init__(place=uuid4().hex, **({} if self._frozen else {"layout": shared_layout()}))
            except BaseException:
                self._over = True
                self._forget()
                raise
        live = _live[self._kind]
        if self._frozen:
            self._forget()  # it is read again when it is shown
        else:
            live.append(self)
        while len(live) > MOST:
            live[0].close()

    # -- what a subclass says ----------------------------------------------------------------------

    def _begin(self) -> None:
        """Read what is to be shown, and follow it: ``_forget`` ends that."""
        raise NotImplementedError

    def _look(self) -> None:
        """Note what is new, before a picture is drawn."""
        raise NotImplementedError

    def _drawn(self, place: str) -> dict[str, str]:
        """The picture of what was noted, with the name of the place for the live view, "" for none."""
        raise NotImplementedError

    def _tell(self) -> None:
        """Send the pages what they have not got."""
        raise NotImplementedError

    def _hear(self, content: dict[str, Any]) -> bool:
        """Take a page's message, of which nothing can be trusted; False for one that makes no sense."""
        raise NotImplementedError

    # -- showing it ------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        with self._lock:
            self._look()
            self._displays.append(display_id := uuid4().hex)
            self._picture = self._bundle()
            display(self._picture, raw=True, display_id=display_id)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._bundle(), {}

    def _bundle(self) -> dict[str, Any]:
        """The picture; beside it the widget only for front ends that would not find it otherwise."""
        shown = not (self._frozen or self._over)
        widget = (super()._repr_mimebundle_() or ({}, None))[0] if shown and _apart() else {}
        return {**widget, **self._drawn(self.place if shown else "")}

    def open(self) -> None:
        """Open the comm, unless nothing is to be followed."""
        if not self._frozen:
            super().open()

    def close(self) -> None:
        """End the live view: what stays is the picture of now."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self._forget()
            self._ended.set()
            if self in _live[self._kind]:
                _live[self._kind].remove(self)
            self._guarded(self._look)
            self._guarded(self._draw)
            if self.comm is not None:
                expect_late(self.comm.comm_id)
        super().close()

    # -- to the pages, on a thread that ends when it is calm ---------------------------------------

    def _wake(self) -> None:
        """Have the news told; whoever has them does not wait for it."""
        self._woken.set()
        with self._waking:
            if self._thread is None and not self._over:
                run = self._context.copy().run
                name = f"openclaw {self._kind}"
                self._thread = threading.Thread(target=run, args=(self._follow,), name=name, daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        quiet = 0.0
        while not self._ended.is_set():
            if self._woken.is_set():
                self._woken.clear()
                quiet = 0.0
                self._guarded(self._tell)
            if quiet >= CALM or monotonic() - self._drawn_at > LATEST:
                self._guarded(self._draw_again)
            with self._waking:
                if quiet >= CALM and not self._woken.is_set():
                    self._thread = None
                    return
            self._ended.wait(self._interval)
            quiet += self._interval

    def _draw_again(self) -> None:
        with self._lock:
            if not self._used:
                self._draw()

    def _draw(self) -> None:
        """The picture of now in every display. It would take the focus from who is using the live view."""
        self._drawn_at, before = monotonic(), self._picture
        self._picture = self._bundle()
        for display_id in self._displays if self._picture != before else ():
            update_display(self._picture, display_id=display_id, raw=True)  # type: ignore[no-untyped-call]

    # -- from pages, on any thread -----------------------------------------------------------------

    def _handle_msg(self, msg: object) -> None:
        """Take a comm message, of which nothing can be trusted, not even its shape. Raises nothing."""
        data = msg["content"].get("data") if isinstance(msg, dict) and isinstance(msg.get("content"), dict) else None
        match data:
            case _ if self._over:
                return
            case {"method": "custom", "content": {"kind": "use", "on": bool() as on}}:
                self._used = on
                self._wake()
                return
            case {"method": "custom", "content": {"kind": str()} as content}:
                if self._guarded(self._hear, content) is not False:
                    return
            case {"method": "request_state"}:
                self._guarded(self.send_state)
                return
        log.warning("a %s ignored a message that it does not know: %s", self._kind, _short.repr(data))

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except OpenClawError as error:  # what it shows may be closed, or damaged
            log.warning("a %s cannot follow any more: %s", self._kind, error)
        except Exception:
            log.exception("a %s failed at %s", self._kind, getattr(call, "__name__", "a call"))


def _apart() -> bool:
    """Whether this front end keeps HTML and widgets apart, so that one cannot be put in the other's place."""
    served = "JPY_SESSION_NAME" in os.environ  # by a Jupyter server, from wherever that was started
    return not served and any(name in os.environ for name in ("COLAB_RELEASE_TAG", "VSCODE_PID", "VSCODE_CWD"))


def _nothing() -> None:
    """What there is to unsubscribe from before anything is followed."""
