"""Stability, the third step of recovery: a client's health, measured as it works, and simpler runs while it is bad."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from .events import End, Status
from .health import Health
from .reasoning.levels import Decision, ReasoningLevel

if TYPE_CHECKING:
    from .client import OpenClawClient

__all__ = ["Stability", "degrade"]

NO_FAULT = frozenset({
    "CONFIG", "FORBIDDEN", "GATEWAY_STOPPED", "INVALID_REQUEST", "NO_AGENT", "NO_MODEL", "NOT_FOUND",
    "STREAM_DISCONNECTED", "UNAUTHORIZED",
})  # fmt: skip
"""Codes of runs that were refused, which would be so on the best of days, or ended with a link whose cut counts."""


class Stability:
    """Keeps a Health by the clock, from any thread, and tells its turns: ``degrade`` (why), ``recover`` ().

    That it has been quiet for long is noticed when something happens or somebody asks. With ``auto`` False it measures
    and tells nobody, and `degrade` leaves runs as they are.
    """

    def __init__(self, emit: Callable[..., None], *, auto: bool = True) -> None:
        self.health = Health()
        self.auto = auto
        self._emit = emit
        self._calm_again = False
        self._lock = threading.Lock()

    def why(self) -> str:
        """Why runs had better be simple now, as "3 errors in the last minute", or "" while it is calm."""
        return self._note(self.health.unstable)

    @property
    def errors(self) -> int:
        """Errors and cuts of the last minute."""
        with self._lock:
            return self.health.errors(time.monotonic())

    def cut(self) -> None:
        """A link was lost."""
        self._note(self.health.failed)

    def heard(self, seconds: float, kind: Hashable) -> None:
        """The first sign of an answer to a run of this kind came so many seconds after it was sent."""
        self._note(lambda now: self.health.first_token(now, seconds, kind))

    def ended(self, end: End) -> None:
        """A run ended so, or would have, had it not been taken up again. A stop, by whomever, says nothing."""
        if end.status is Status.DONE:
            self._note(self.health.succeeded)
        elif end.error is not None and end.error.code not in NO_FAULT:
            self._note(self.health.failed)

    def decide(self, decision: Decision) -> dict[str, Any]:
        """The ``level``, ``level_reason`` and ``streaming`` that a run is sent with."""
        if self.auto and (why := self.why()):
            return {"level": int(ReasoningLevel.FAST), "level_reason": f"unstable: {why}", "streaming": False}
        reasons = [decision.reason, "calm again" if self.auto and self._calm_again else ""]
        self._calm_again = False
        return {"level": int(decision.level), "level_reason": ", ".join(filter(None, reasons)), "streaming": None}

    def _note(self, measure: Callable[[float], Any]) -> str:
        with self._lock:
            before = self.health.why
            measure(time.monotonic())
            why = self.health.why
        if self.auto and why and not before:
            self._calm_again = False
            self._emit("degrade", why)
        elif self.auto and before and not why:
            self._calm_again = True
            self._emit("recover")
        return why


def degrade(decision: Decision, client: OpenClawClient) -> dict[str, Any]:
    """What `OpenClawClient.send` is to be given for a run of which so much was decided: ``level``, ``level_reason`` and
    ``streaming``; level 1 in one piece, whatever was decided, while the client is unstable and may degrade."""
    return client.stability.decide(decision)
