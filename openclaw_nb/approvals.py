"""Approvals, what of one run waits for a person: commands at a real gateway, calls of the notebook's functions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .approval_words import step_of
from .errors import ConfigError
from .events import Approval, RunEvent

__all__ = ["Approvals", "Unsettled"]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An approval that was asked for: ``left`` is seconds to decide, None without a limit; ``chosen`` what was decided
    here and is on its way, None where nobody has decided."""

    approval: Approval
    left: float | None
    chosen: bool | None


@dataclass(slots=True)
class _Asked:
    approval: Approval
    decide: Callable[[bool], None]
    at: float
    chosen: bool | None = None


class Approvals:
    """Asked and settled by whoever needs leave, on the thread that feeds the run; decided by whoever shows it, on any.

    ``push`` tells the run's listeners. Nothing is allowed by itself: what nobody decides stays as it is, until who
    asked settles it.
    """

    def __init__(self, push: Callable[[RunEvent], None], now: Callable[[], float] = time.monotonic) -> None:
        self._push = push
        self._now = now
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}

    @property
    def pending(self) -> tuple[Approval, ...]:
        """What nobody has decided yet, the oldest first."""
        return tuple(one.approval for one in self.unsettled if one.chosen is None)

    @property
    def unsettled(self) -> tuple[Unsettled, ...]:
        """What was asked for and has no end yet, the oldest first."""
        with self._lock:
            asked, now = tuple(self._asked.values()), self._now()
        return tuple(Unsettled(one.approval, _left(one, now), one.chosen) for one in asked)

    def ask(self, approval: Approval, decide: Callable[[bool], None]) -> None:
        """Show it, and call ``decide`` once, on the thread of who decides. What was asked before is not asked again."""
        with self._lock:
            if approval.id in self._asked:
                return
            self._asked[approval.id] = _Asked(approval, decide, self._now())
        self._push(approval)

    def decide(self, id: str, allow: bool) -> None:
        """Allow it once, or deny it; ConfigError where it does not wait (any more)."""
        with self._lock:
            asked = self._asked.get(id)
            if asked is None or asked.chosen is not None:
                raise ConfigError("this was decided already, or its run has ended")
            asked.chosen = allow
        try:
            asked.decide(allow)
        except BaseException:
            asked.chosen = None
            raise

    def again(self, id: str) -> None:
        """What was decided did not get through: it waits again. On the thread that feeds the run."""
        with self._lock:
            asked = self._asked.get(id)
            if asked is None or asked.chosen is None:
                return
            asked.chosen = None
        self._push(asked.approval)

    def settle(self, id: str, decision: str, by: str = "") -> None:
        """It is decided, here or elsewhere ("allow-once", "deny", "expired"): tell who listens. Once for each."""
        with self._lock:
            asked = self._asked.pop(id, None)
        if asked is not None:
            settled = replace(asked.approval, decision=decision, by=by)
            self._push(settled)
            self._push(step_of(settled))

    def end(self) -> None:
        """The run is over: what still waits cannot be decided any more."""
        for one in self.unsettled:
            self.settle(one.approval.id, "expired")


def _left(asked: _Asked, now: float) -> float | None:
    limit = asked.approval.expires
    return None if limit is None else max(0.0, asked.at + limit - now)
