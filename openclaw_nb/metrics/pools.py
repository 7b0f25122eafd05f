"""Pools, the slots of all thread pools of this process, so that metrics see those that nobody told them of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from weakref import WeakSet

from .metrics import Metrics

__all__ = ["Slots", "known", "look_at_pools"]


class Slots(Protocol):
    """What is known of a pool."""

    @property
    def at_work(self) -> int: ...

    @property
    def most(self) -> int: ...

    @property
    def waiting(self) -> int: ...


known: WeakSet[Slots] = WeakSet()
"""Those of pools that are open; they enter and leave by themselves."""

LOOKS: Mapping[str, str] = {
    "openclaw_thread_pool_active": "at_work", "openclaw_thread_pool_size": "most",
    "openclaw_thread_pool_waiting": "waiting",
}  # fmt: skip


def look_at_pools(metrics: Metrics) -> None:
    """Have metrics look at all pools, whichever there are then."""
    for name, what in LOOKS.items():
        metrics.read(name, lambda what=what: sum(getattr(slots, what) for slots in tuple(known)))  # type: ignore[misc]
