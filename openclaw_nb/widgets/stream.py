"""StreamView, the live picture of one run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ..events import End, RunEvent, Step
from ..run import Run
from .feed import Feed
from .live import Live

__all__ = ["StreamView", "show_run"]

log = logging.getLogger("openclaw_nb")


class StreamView(Live):
    """The live view of ``run``; see `Live` for the rest."""

    _code = "stream"
    _work: Run
    _feed: Feed

    def __init__(self, run: Run, interval: float = 0.05, *, into: str = "") -> None:
        super().__init__(run, Feed(run), interval, into=into)
        _views[run] = self

    def _follow(self) -> Callable[[], None]:
        return self._work.subscribe(self._on_event)

    def _on_event(self, event: RunEvent) -> None:
        try:
            if isinstance(event, End):
                self._finish()
                return
            if isinstance(event, Step):
                self._feed.rewritten(event.key, event.offset)
            self._came()
        except Exception:
            log.exception("a live view could not follow its run")  # the run itself goes on

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "sync", "have": int() as have, "steps": int() as steps}:
                self._note(self._resend, have, steps)
            case {"kind": "allow" | "deny" as kind, "id": str() as id, **rest} if not rest:
                self._decide(self._work.approvals, id, kind == "allow", self._feed.retell)
            case _:
                return False
        return True

    def _resend(self, have: int, steps: int) -> None:
        self._feed.ask(have, steps)
        self._wake()

    def _render(self) -> dict[str, str]:
        from ..render import bundle

        return bundle(self._work, into=self.into)

    def _text(self) -> str:
        return self._work.text


_views: WeakKeyDictionary[Run, StreamView] = WeakKeyDictionary()


def show_run(run: Run, *, into: str = "") -> StreamView:
    """Show a run in the current cell, by the view it has already or by a new one."""
    view = _views.get(run) or StreamView(run, run.interval, into=into)
    view.display()
    return view
