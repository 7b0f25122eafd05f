"""A page: what widgets send it, kept by a recording comm, and what it says to them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import comm
import ipywidgets
import pytest
from comm.base_comm import BaseComm

__all__ = ["Page", "opened", "wait_until"]


class Page:
    """``sent`` is what came: (kind of message, comm's id, data), oldest first."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def custom(self, widget: ipywidgets.Widget) -> list[dict[str, Any]]:
        return [data["content"] for _, id, data in self.sent if id == widget.model_id and "content" in data]

    def states(self, widget: ipywidgets.Widget) -> list[dict[str, Any]]:
        """The values of the trait ``state``, from the one that the widget opened with."""
        came = [data["state"] for _, id, data in self.sent if id == widget.model_id and "state" in data]
        return [state["state"] for state in came if "state" in state]

    def say(self, widget: ipywidgets.Widget, content: Any, method: str = "custom") -> None:
        message = {"content": {"data": {"method": method, "content": content}}, "buffers": []}
        widget.comm.handle_msg(message)


def opened(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all widgets from now on open on that page."""

    class Recorder(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, *args: Any, **kwargs: Any) -> None:
            page.sent.append((msg_type, self.comm_id, json.loads(json.dumps(data or {}, ensure_ascii=False).encode())))

    monkeypatch.setattr(comm, "create_comm", Recorder)


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"not within {seconds:g} s")
