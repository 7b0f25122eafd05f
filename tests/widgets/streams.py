"""A run that is fed by hand on a loop whose time is virtual, and a page that notes what it is sent, and when."""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
from collections.abc import Callable, Iterator
from typing import Any

import comm
import ipywidgets
import pytest
from comm.base_comm import BaseComm

from openclaw_nb.events import Delta, End, Status
from openclaw_nb.run import Run
from openclaw_nb.widgets import live
from openclaw_nb.widgets.library import close_library
from openclaw_nb.widgets.live import Live

__all__ = ["WIDGET", "Feeder", "Page", "VirtualLoop", "recorder", "talk", "timed_page"]

WIDGET = "application/vnd.jupyter.widget-view+json"


class _VirtualSelector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on which sleeping takes no time."""

    def __init__(self) -> None:
        self.clock = _VirtualSelector()
        self.woken = 0  # from elsewhere, or from itself as if it were
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        self.woken += 1
        return super().call_soon_threadsafe(*args, **kwargs)


class Page:
    """A front end: every message sent to it, with its loop time and thread, and what its model makes of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.messages: list[tuple[float, int, str, str, dict[str, Any]]] = []

    def of(self, view: Live | str) -> list[dict[str, Any]]:
        id = view if isinstance(view, str) else view.model_id
        return [data for _, _, _, comm_id, data in self.messages if comm_id == id]

    def custom(self, view: Live | str, kind: str) -> list[dict[str, Any]]:
        return [data["content"] for data in self.of(view) if data.get("content", {}).get("kind") == kind]

    def text(self, view: Live | str, lose: Callable[[dict[str, Any]], bool] = lambda message: False) -> str:
        """The answer, as js/src/lib/answer.ts puts it together; offsets count UTF-16 units."""
        units = b""
        for data in self.of(view):
            if "state" in data:
                state = data["state"].get("text", "").encode("utf-16-le")
                units = max(units, state, key=len)
            elif data.get("content", {}).get("kind") == "delta" and not lose(data["content"]):
                offset, text = 2 * data["content"]["offset"], data["content"]["text"].encode("utf-16-le")
                if offset <= len(units):
                    units = units[:offset] + text if offset + len(text) > len(units) else units
        return units.decode("utf-16-le")

    def say(self, view: Live, content: Any) -> None:
        view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def recorder(page: Page) -> type[BaseComm]:
    class Recorder(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, *args: Any, **kwargs: Any) -> None:
            json.dumps(data, ensure_ascii=False).encode()  # it must be able to travel
            page.messages.append((page.clock(), threading.get_ident(), msg_type, self.comm_id, data or {}))

    return Recorder


class Feeder:
    """Pushes events into a run from its loop, keeping count of offsets and tokens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, **facts: Any) -> None:
        self.loop, self.run = loop, Run("0123456789", **facts)
        self.offset = self.tokens = 0

    def text(self, text: str) -> None:
        self.tokens += 1
        self.run.push(Delta(self.offset, text, self.tokens))
        self.offset += len(text)

    def do(self, steps: Any) -> None:
        """Run a coroutine function that feeds."""
        self.loop.run_until_complete(steps())

    def end(self, view: Live, status: Status = Status.DONE) -> None:
        async def end() -> None:
            self.run.push(End(status))

        self.do(end)
        view.settled.result(60)


async def talk(feeder: Feeder, seconds: float, rate: int = 100) -> None:
    for n in range(int(seconds * rate)):
        feeder.text(f"{n} ")
        await asyncio.sleep(1 / rate)


def timed_page(clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Where all widgets open, until what follows is done."""
    page = Page(clock)
    monkeypatch.setattr(comm, "create_comm", recorder(page))
    monkeypatch.setattr(live, "monotonic", clock)  # what a message takes to send is no figure of this machine
    yield page
    close_library()
    ipywidgets.Widget.close_all()
