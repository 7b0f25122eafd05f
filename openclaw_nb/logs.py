"""WithoutFrames, the log of a WebSocket library without what it logs of every frame: one of them holds the token."""

from __future__ import annotations

import logging

__all__ = ["WithoutFrames"]


class WithoutFrames(logging.LoggerAdapter[logging.Logger]):
    """Takes nothing below INFO, whatever level anybody gives its logger; a level alone could be changed back."""

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.INFO and super().isEnabledFor(level)
