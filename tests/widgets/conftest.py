"""The shell that widgets are displayed in, and the page that they open on."""

from __future__ import annotations

import atexit
from collections.abc import Iterator

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from openclaw_nb.widgets.library import close_library

from .pages import Page, opened


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()
    shell.atexit_operations()
    atexit.unregister(shell.atexit_operations)


@pytest.fixture
def shown(shell: InteractiveShell) -> CapturingDisplayPublisher:
    """What has been displayed."""
    shell.display_pub = CapturingDisplayPublisher()
    return shell.display_pub


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Where all widgets open."""
    opened(page := Page(), monkeypatch)
    yield page
    ipywidgets.Widget.close_all()
    close_library()
