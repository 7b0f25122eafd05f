"""What placed widgets share, by one that shows a number: displays, its thread, its end, and what pages may say."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.errors import ConfigError
from openclaw_nb.widgets import placed
from openclaw_nb.widgets.placed import Placed

from .pages import Page, wait_until

pytestmark = pytest.mark.usefixtures("shown")


class Number:
    """Something to follow."""

    def __init__(self) -> None:
        self.value = 0
        self.listeners: set[Callable[[], None]] = set()

    def set(self, value: int) -> None:
        self.value = value
        for listener in tuple(self.listeners):
            listener()


class Shown(Placed):
    _kind = "timeline"

    def __init__(self, number: Number, interval: float = 0.02) -> None:
        self.number = number
        super().__init__(interval)

    def _begin(self) -> None:
        self.number.listeners.add(self._wake)
        self._forget = lambda: self.number.listeners.discard(self._wake)
        if self.number.value < 0:
            raise ConfigError("a number is not below 0")
        self._look()

    def _look(self) -> None:
        self.seen = self.number.value

    def _drawn(self, place: str) -> dict[str, str]:
        return {"text/plain": f"{self.seen} at {place}" if place else f"{self.seen}"}

    def _tell(self) -> None:
        self._look()
        self.send({"kind": "news", "value": self.seen})

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "set", "value": int() as value}:
                self.number.set(value)
                return True
            case {"kind": "fail"}:
                raise RuntimeError("it fails")
            case _:
                return False


@pytest.fixture
def number() -> Number:
    return Number()


def told(page: Page, widget: Shown) -> list[int]:
    return [message["value"] for message in page.custom(widget)]


def test_news_are_told_by_a_thread_that_ends_when_it_is_calm_and_draws_every_display_anew(
    number: Number, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placed, "CALM", 0.1)
    widget = Shown(number)
    widget._ipython_display_()
    widget._ipython_display_()
    assert widget._thread is None
    number.set(7)
    wait_until(lambda: told(page, widget) == [7])
    wait_until(lambda: widget._thread is None)
    assert [output["data"]["text/plain"] for output in shown.outputs] == [
        f"{value} at {widget.place}" for value in (0, 0, 7, 7)
    ]
    number.set(7)
    wait_until(lambda: told(page, widget) == [7, 7])
    wait_until(lambda: widget._thread is None)
    assert len(shown.outputs) == 4  # the same picture is not sent again


def test_who_has_news_does_not_wait(number: Number, page: Page) -> None:
    widget = Shown(number)
    with widget._lock:
        setter = threading.Thread(target=number.set, args=(7,))
        setter.start()
        setter.join(60)
        assert not setter.is_alive()
    wait_until(lambda: told(page, widget))


def test_the_end_leaves_the_picture_and_nobody_listens(
    number: Number, page: Page, shown: CapturingDisplayPublisher
) -> None:
    widget = Shown(number)
    widget._ipython_display_()
    number.value = 8
    widget.close()
    widget.close()
    assert [output["data"]["text/plain"] for output in shown.outputs] == [f"0 at {widget.place}", "8"]
    assert number.listeners == set()
    assert [kind for kind, _, _ in page.sent].count("comm_close") == 1
    page.sent.clear()
    widget._wake()
    assert widget._thread is None or not widget._thread.is_alive()
    assert page.sent == []


def test_one_that_cannot_begin_leaves_nothing(number: Number, page: Page, caplog: pytest.LogCaptureFixture) -> None:
    number.value = -1
    with pytest.raises(ConfigError):
        Shown(number)
    assert number.listeners == set()
    assert page.sent == []
    assert caplog.records == []


def test_static_output_follows_nothing(
    number: Number, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    widget = Shown(number)
    assert number.listeners == set()
    number.set(9)
    widget._ipython_display_()
    assert shown.outputs[0]["data"] == {"text/plain": "9"}
    assert page.sent == []


def test_pages_are_heard_and_one_that_makes_no_sense_is_logged(
    number: Number, page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    widget = Shown(number)
    page.say(widget, {"kind": "set", "value": 3})
    assert number.value == 3
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        for content in (None, [], {}, {"kind": "set"}, {"kind": "use", "on": 1}, {"kind": "x" * 10_000_000}):
            page.say(widget, content)
    assert len(caplog.records) == 6
    assert all("a timeline ignored a message" in record.getMessage() for record in caplog.records)
    assert max(len(record.getMessage()) for record in caplog.records) < 300


def test_what_fails_is_logged_and_goes_on(number: Number, page: Page, caplog: pytest.LogCaptureFixture) -> None:
    widget = Shown(number)
    page.say(widget, {"kind": "fail"})
    assert "a timeline failed at _hear" in caplog.text
    page.say(widget, {"kind": "set", "value": 3})
    assert number.value == 3


def test_the_state_is_told_again_and_cannot_be_changed(number: Number, page: Page) -> None:
    widget = Shown(number)
    place, count = widget.place, len(page.sent)
    page.say(widget, None, "request_state")
    assert page.sent[count][2]["state"]["place"] == place
    widget._handle_msg({"content": {"data": {"method": "update", "state": {"place": "x"}}}})
    assert widget.place == place
