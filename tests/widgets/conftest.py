"""The shell that widgets are displayed in, and the page that they open on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import ipywidgets
import pytest

from openclaw_nb.widgets.library import close_library

from .pages import Page, opened
from .streams import VirtualLoop


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Where all widgets open."""
    opened(page := Page(), monkeypatch)
    yield page
    ipywidgets.Widget.close_all()
    close_library()


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """One on which sleeping takes no time."""
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def thread() -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
