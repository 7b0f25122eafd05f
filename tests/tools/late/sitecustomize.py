"""Sockets that are looked at late, as on a machine that has too much to do: `make late`.

Python imports this by its name, in every process that has its folder on PYTHONPATH. What is ready on a descriptor is
then, by chance, told of some moments after, as an event loop may always learn of it: a test that takes one end's
progress for the other's, or a moment for an event, shows.
"""

from __future__ import annotations

import os
import random
import selectors
import time

CHANCE, MOST = (float(figure) for figure in os.environ.get("LATE", "0.3,0.15").split(","))
"""Of being late, and seconds it is late at most."""


class LateSelector(selectors.DefaultSelector):
    """One that keeps some of what it sees to itself for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[int, float] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            rest = max(0.0, end - time.monotonic())
            if self._held:
                rest = min(rest, 0.002)
            seen = super().select(None if rest == float("inf") else rest)
            if (told := [(key, events) for key, events in seen if self._is_told(key.fd)]) or time.monotonic() >= end:
                return told
            self._held = {key.fd: self._held[key.fd] for key, _ in seen if key.fd in self._held}
            time.sleep(0.001)  # what is held stays ready

    def _is_told(self, descriptor: int) -> bool:
        now = time.monotonic()
        until = self._held.get(descriptor)
        if until is None and random.random() < CHANCE:
            until = self._held[descriptor] = now + random.random() * MOST
        if until is not None and now < until:
            return False
        self._held.pop(descriptor, None)
        return True


selectors.DefaultSelector = LateSelector  # type: ignore[misc]
