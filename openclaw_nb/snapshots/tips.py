"""Tips, where the sessions of a store in memory stand, with what was said there: nothing of it is read back."""

from __future__ import annotations

from typing import NamedTuple

from .messages import Log
from .plain import encode
from .records import Row, tree
from .snapshot import Kept

__all__ = ["MOST_TIPS", "Tip", "Tips"]

MOST_TIPS = 4_096
"""Sessions whose tips are remembered; then all are forgotten, and read again as they are asked for."""


class Tip(NamedTuple):
    """A manifest, and a log that begins with its messages: sessions grow, and the log with them."""

    row: Row
    log: Log

    def load(self) -> Kept:
        """The whole state, encoded."""
        others = {key: encode(value[0]) for key, value in tree(self.row).items()}
        return self.log.bodies[: self.row.length], others


class Tips:
    """Tips by session, for a store that nobody else writes (``alone``); for any other none are ever known."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._tips: dict[bytes, Tip] = {}

    def find(self, session: bytes) -> Tip | None:
        return self._tips.get(session)

    def take(self, session: bytes) -> Tip | None:
        """The tip, for the caller alone, who moves the session: until that is done nobody knows where it stands."""
        return self._tips.pop(session, None)

    def put(self, session: bytes, tip: Tip) -> bool:
        """The session stands there now; whether that is remembered: not with values kept apart, as variables are."""
        if not self._alone or any(isinstance(value, str) for value in tree(tip.row).values()):
            return False
        if len(self._tips) >= MOST_TIPS:
            self._tips.clear()
        self._tips[session] = tip
        return True

    def clear(self) -> None:
        self._tips.clear()
