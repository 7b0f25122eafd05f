"""The shell that widgets are displayed in."""

from __future__ import annotations

import atexit
from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


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
