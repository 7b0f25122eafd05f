"""SnapshotTimeline, every state of a store as a picture in the cell: live where a page can follow it, and kept as SVG.

What is displayed is the picture itself, without a widget, so that it lasts; a page that has the widget puts the live
view in its place. One thread tells pages the news while there is any; handlers of their messages may run on any.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from reprlib import Repr
from time import monotonic
from typing import Any
from uuid import uuid4

import anywidget
from IPython.display import display, update_display
from traitlets import Unicode, default

from ..errors import OpenClawError, SnapshotError, one_line
from ..render import static_output
from ..snapshots import Snapshot, SnapshotStore
from .deeds import Deeds
from .drawing import bundle
from .library import expect_late, shared_layout, static
from .outline import Outline
from .places import find_places

__all__ = ["SnapshotTimeline"]

CALM = 2.0  # s without news, after which the kept picture is drawn again
LATEST = 30.0  # s after which it is drawn again though there is no calm
HELD = 1.5  # s for which the first snapshot of a run is not shown: a run that ends sooner takes it back
FIRST_WHOLE = 2.0  # s until all is told again where no page was heard
MOST = 8  # timelines that are live; an older one stays as its picture

log = logging.getLogger("openclaw_nb")
_short = Repr()
_short.maxstring = _short.maxother = 120
_live: deque[SnapshotTimeline] = deque()


class SnapshotTimeline(anywidget.AnyWidget):
    """The snapshots of ``store`` (None: of this process's `Runtime`), by time and branch; shown as a cell's last value.

    Restoring moves ``session``, or else the session that the snapshot was made in. A page hears of new snapshots every
    ``interval`` seconds at most; those that other processes write to the same file come with a new timeline. The
    output is a picture (SVG) and a table in words; it is drawn again when it is calm, and by ``close()``, which ends
    the live view. With ``OPENCLAW_NB_RENDER=static`` there is no other. Raises SnapshotError for a store that cannot be
    read, ConfigError where the JavaScript is not built.
    """

    _esm = Unicode().tag(sync=True)
    place = Unicode().tag(sync=True)

    @default("_esm")
    def _code(self) -> str:
        return static("timeline.js")

    def __init__(
        self, store: SnapshotStore | None = None, *, session: str | None = None, interval: float = 0.25
    ) -> None:
        self._store, self._places = find_places(store)
        self._session, self._interval = session, interval
        self._deeds = Deeds(self._store, self._places, session)
        self._lock, self._waking = threading.RLock(), threading.Lock()
        self._fresh: deque[tuple[float, Snapshot]] = deque()
        self._epoch = self._told = 0
        self._facts: dict[str, Any] = {}
        self._heads: dict[str, int] = {}
        self._renamed: set[int] = set()
        self._displays: list[str] = []
        self._heard = self._used = self._over = self._doubtful = False
        self._picture: dict[str, Any] = {}
        self._whole_at, self._wait, self._drawn_at = monotonic() + FIRST_WHOLE, FIRST_WHOLE, monotonic()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._context = copy_context()
        self._frozen = static_output()
        with self._lock:
            self._forget: Callable[[], None] = self._store.subscribe(self._on_snapshot)
            try:
                self._outline = Outline(self._store.list())
                self._look()
                super().__init__(place=uuid4().hex, **({} if self._frozen else {"layout": shared_layout()}))
            except BaseException:
                self._forget()
                raise
        if self._frozen:
            self._forget()  # it is read again when it is shown
        else:
            _live.append(self)
        while len(_live) > MOST:
            _live[0].close()

    # -- showing it ------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        with self._lock:
            self._take()
            self._displays.append(display_id := uuid4().hex)
            self._picture = self._bundle()
            display(self._picture, raw=True, display_id=display_id)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._bundle(), {}

    def _bundle(self) -> dict[str, Any]:
        """The picture; beside it the widget only for front ends that would not find it otherwise."""
        shown = not (self._frozen or self._over)
        picture = bundle(
            self._outline, self._heads, self._here(), live=not self._frozen, place=self.place if shown else ""
        )
        widget = (super()._repr_mimebundle_() or ({}, None))[0] if shown and _apart() else {}
        return {**widget, **picture}

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
            if self in _live:
                _live.remove(self)
            self._guarded(self._take)
            self._guarded(self._draw)
            if self.comm is not None:
                expect_late(self.comm.comm_id)
        super().close()

    # -- from the store, on the thread that wrote --------------------------------------------------

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self._fresh.append((monotonic(), snapshot))
        self._wake()

    def _wake(self) -> None:
        """Have the news told; whoever writes does not wait for it."""
        self._woken.set()
        with self._waking:
            if self._thread is None and not self._over:
                run = self._context.copy().run
                self._thread = threading.Thread(target=run, args=(self._follow,), name="openclaw timeline", daemon=True)
                self._thread.start()

    # -- to the pages, on a thread that ends when it is calm ---------------------------------------

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

    def _tell(self) -> None:
        """Send what the pages have not got; all of it from time to time until one is heard."""
        with self._lock:
            self._take()
            if not self._heard and monotonic() >= self._whole_at:
                self._told, self._wait = 0, 2 * self._wait
                self._whole_at = monotonic() + self._wait
            self._send_news()

    def _take(self) -> None:
        """Note what the store has told."""
        if self._frozen:
            self._outline = Outline(self._store.list())
        if self._doubtful:
            self._doubtful = False
            self._read_again()
        named, held = False, []
        while self._fresh:
            at, snapshot = told = self._fresh.popleft()
            if self._outline.may_go(snapshot) and not any(new.parent == snapshot.id for _, new in self._fresh):
                if monotonic() - at < HELD:
                    held.append(told)
                    continue
                if not self._has(snapshot):
                    continue
            column = self._outline.add(snapshot)
            named |= column is None
            self._doubtful |= column is not None and self._outline.beside(column)
        self._fresh.extendleft(reversed(held))
        if named:
            self._renamed.update(self._outline.relabel(self._store.list()))
        if held or self._doubtful:
            self._woken.set()
        self._look()

    def _has(self, snapshot: Snapshot) -> bool:
        try:
            self._store.peek(snapshot.id)
        except SnapshotError:
            return False
        return True

    def _look(self) -> None:
        """Where the sessions stand."""
        stand = {name: self._outline.column(snapshot.id) for name, snapshot in self._places.sessions().items()}
        self._heads = {one_line(name): column for name, column in stand.items() if column is not None}

    def _here(self) -> str:
        if self._session is not None:
            return one_line(self._session)
        return "main" if "main" in self._heads else max(self._heads, key=self._heads.__getitem__, default="")

    def _send_news(self) -> None:
        facts = {"heads": self._heads, "here": self._here(), "unended": list(self._outline.unended())}
        since, self._told = min(self._told, len(self._outline)), len(self._outline)
        labels = {str(column): self._outline.entries[column].label for column in self._renamed if column < since}
        self._renamed.clear()
        if since == len(self._outline) and facts == self._facts and not labels:
            return
        self._facts = facts
        self.send({"kind": "news", "epoch": self._epoch, **self._outline.columns(since), **facts, "renamed": labels})

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
            case {"method": "custom", "content": {"kind": "sync", "have": int() as have, "epoch": int() as epoch}}:
                self._guarded(self._resend, have, epoch)
            case {"method": "custom", "content": {"kind": "use", "on": bool() as on}}:
                self._used = on
                self._wake()
            case {"method": "custom", "content": {"kind": str(), "ask": int() as ask} as content}:
                self._guarded(self._answer, content, ask)
            case {"method": "request_state"}:
                self._guarded(self.send_state)
            case _:
                log.warning("a timeline ignored a message that it does not know: %s", _short.repr(data))

    def _resend(self, have: int, epoch: int) -> None:
        """Send a page all from column ``have`` on, or where it has something else all there is."""
        with self._lock:
            self._take()
            self._told = min(self._told, max(have, 0)) if epoch == self._epoch else 0
            self._heard, self._used, self._facts = True, self._used and have > 0, {}
            self._send_news()

    def _answer(self, content: dict[str, Any], ask: int) -> None:
        """Do what was asked, and say in words what came of it."""
        try:
            answer = self._deeds.do(content)
        except OpenClawError as error:
            answer = {"words": str(error), "tone": "bad"}
            if isinstance(error, SnapshotError):
                self._guarded(self._read_again)
        if answer is None:
            log.warning("a timeline ignored a message that it does not know: %s", _short.repr(content))
            return
        self.send({"kind": "answer", "ask": ask, **answer})
        self._wake()

    def _read_again(self) -> None:
        """Begin anew where the store has no more what was read of it, as after a prune."""
        with self._lock:
            snapshots = self._store.list()
            if self._outline.gone({snapshot.id for snapshot in snapshots}):
                self._outline, self._epoch, self._told = Outline(snapshots), self._epoch + 1, 0

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except SnapshotError as error:  # a store may be closed, or damaged
            log.warning("a timeline does not follow its store any more: %s", error)
        except Exception:
            log.exception("a timeline failed at %s", getattr(call, "__name__", "a call"))


def _apart() -> bool:
    """Whether this front end keeps HTML and widgets apart, so that one cannot be put in the other's place."""
    served = "JPY_SESSION_NAME" in os.environ  # by a Jupyter server, from wherever that was started
    return not served and any(name in os.environ for name in ("COLAB_RELEASE_TAG", "VSCODE_PID", "VSCODE_CWD"))
