"""What all live views of a kernel share: code and layout, as models that do not travel with every cell.

Here is also who listens to pages that speak to a view that is over.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import ipywidgets  # type: ignore[import-untyped]
from traitlets import Unicode

from ..errors import ConfigError

__all__ = ["Library", "close_library", "expect_late", "open_library", "shared_layout", "static"]

_STATIC = Path(__file__).parent.parent / "static"
_open: dict[str, ipywidgets.Widget] = {}
_opening = threading.Lock()

T = TypeVar("T", bound=ipywidgets.Widget)


class Library(ipywidgets.Widget):  # type: ignore[misc]
    """A model without a view whose ``source`` is the JavaScript of a live view (some 30 kB)."""

    source = Unicode().tag(sync=True)

    def set_state(self, sync_data: object) -> None:
        """Nothing: what every view runs is not for a page to change."""


@cache
def static(name: str) -> str:
    """The text of a built file. Raises ConfigError in a checkout where none has been built."""
    try:
        return (_STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name} has not been built; `npm install && npm run build` in js/ does it") from None


def open_library(name: str = "stream") -> Library:
    """The one library model of that file, opened if there is none or if a page closed it. Cheap to call again."""
    return _shared(name, lambda: Library(source=static(f"{name}.js")))


def shared_layout() -> ipywidgets.Layout:
    """The one layout of all live views; ipywidgets would open one for each."""
    return _shared("layout", ipywidgets.Layout)


def close_library() -> None:
    """Close them all, for %unload_ext; the next view opens them again."""
    while _open:
        _open.popitem()[1].close()
    _comms_log.removeFilter(_late)


def expect_late(comm_id: str) -> None:
    """The view of this comm is over: a page that is behind may still speak to it, which is no news for a cell."""
    _late.comms.append(comm_id)
    _comms_log.addFilter(_late)


class _Late(logging.Filter):
    """Lets nothing through about comms that were live views: without a handler, comm's warnings land in a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.comms: deque[str] = deque(maxlen=1000)

    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, tuple) and record.args and record.args[0] in self.comms)


_comms_log = logging.getLogger("Comm")
_late = _Late()


def _shared(name: str, make: Callable[[], T]) -> T:
    with _opening:
        found: T | None = _open.get(name)
        # `Widget.close_all()` leaves no comm at all, a closing page leaves a closed one.
        if found is None or found.comm is None or getattr(found.comm, "_closed", False):
            found = _open[name] = make()
        return found
