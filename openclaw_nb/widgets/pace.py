"""Pacer, how long a view waits before it sends again: no faster than text, kernel and page can take it.

Pure: durations and moments are passed in, in seconds of one monotonic clock.
"""

from __future__ import annotations

import math

__all__ = ["SLOWEST", "Pacer"]

FAST = 256
"""UTF-16 units in one message; above it the next one waits longer."""

FLOOR = 0.02
"""Seconds; a Jupyter server drops what comes faster than 1,000 messages per second from all cells together."""

SLOWEST = 1.0
"""Seconds; a slow kernel or page is waited for no longer than this."""

SHARE = 0.1
"""The part of the time that may go into sending."""

BELIEVED = 10.0
"""Seconds for which a report counts; a page that stays behind repeats it every 5 s, one that is gone cannot."""


class Pacer:
    """The pauses of one view, which are at least ``interval``.

    They grow up to four times while the text comes fast; so that sending takes at most a tenth of the time; and to
    the time by which the page says that it is behind, so that one update at most is on its way. The last two never
    make a pause longer than `SLOWEST`. A page that says nothing is one that keeps up.
    """

    def __init__(self, interval: float) -> None:
        self._interval = max(interval, FLOOR)
        self._lag = 0.0
        self._until = -math.inf

    def hear(self, milliseconds: int, now: float) -> None:
        """Take a page's report of how far it is behind, which may be any number: the last one counts."""
        self._lag = min(max(milliseconds, 0), 1000 * SLOWEST) / 1000
        self._until = now + BELIEVED

    def behind(self, now: float) -> float:
        """Seconds that the page said it is behind, while that counts."""
        return self._lag if now < self._until else 0.0

    def pause(self, sent: int, took: float, now: float) -> float:
        """Seconds to wait after a message with ``sent`` UTF-16 units of text that ``took`` so long to send."""
        text = self._interval * min(4, max(1, sent / FAST))
        kernel = took * (1 / SHARE - 1)
        return max(text, min(max(kernel, self.behind(now)), SLOWEST))
