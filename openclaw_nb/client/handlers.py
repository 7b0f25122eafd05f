"""Handlers, the functions that are called on a client's events."""

from __future__ import annotations

import contextvars
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError

__all__ = ["EVENTS", "Handlers"]

EVENTS = ("degrade", "error", "gap", "reconnect", "reconnected", "recover", "restore", "token")

log = logging.getLogger("openclaw_nb")


class Handlers:
    """Each called in the context that it was added in; one that fails is logged, and hinders nobody."""

    def __init__(self) -> None:
        self._known: defaultdict[str, list[tuple[contextvars.Context, Callable[..., None]]]] = defaultdict(list)

    def add(self, event: str, handler: Callable[..., None]) -> None:
        """ConfigError for an event that there is not."""
        if event not in EVENTS:
            raise ConfigError(f"there is no event {event!r}; there are {', '.join(EVENTS)}")
        self._known[event].append((contextvars.copy_context(), handler))

    def emit(self, event: str, *arguments: Any) -> None:
        for context, handler in self._known.get(event, ()):
            try:
                context.copy().run(handler, *arguments)
            except BaseException:  # sys.exit() in one must not end the thread that feeds all runs
                log.exception("a handler of %r failed", event)
