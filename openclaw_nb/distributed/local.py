"""Local, a Dask cluster of processes on this machine, with room for so many agents, for as long as its pool lives."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from contextlib import suppress
from typing import Any

import distributed

from ..errors import ConfigError, one_line

__all__ = ["LocalWorkers"]

dask: Any = distributed
"""Most of it has no types."""

LOOK = 1.0
"""Seconds between two looks at the processes."""


class LocalWorkers:
    """As many processes as there are processors, and ``threads`` in all of them together.

    It listens on loopback, over TLS with keys made for it: whoever reaches a scheduler can run anything. A worker that
    dies is started anew; Dask's nannies do so, but not for one that dies while it starts. ConfigError where none can.
    """

    def __init__(self, threads: int) -> None:
        self.count = max(1, min(os.cpu_count() or 1, threads))
        try:
            self._cluster = dask.LocalCluster(
                n_workers=self.count, threads_per_worker=math.ceil(threads / self.count), host="127.0.0.1",
                security=True, silence_logs=logging.CRITICAL,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            )  # fmt: skip
        except RuntimeError as error:
            words = f"no worker can be started here ({one_line(error, 100)})"
            raise ConfigError(f"{words}; a script needs `if __name__ == '__main__':` around what it does") from None
        self.client = dask.Client(self._cluster, set_as_default=False)
        self._closed = False
        self._tending = asyncio.run_coroutine_threadsafe(self._tend(), self.client.loop.asyncio_loop)

    def close(self) -> None:
        self._closed = True
        self._tending.cancel()
        self.client.close()
        self._cluster.close()

    async def _tend(self) -> None:
        dead: set[Any] = set()
        while not self._closed:
            await asyncio.sleep(LOOK)
            now = {name for name, nanny in self._cluster.workers.items() if not nanny.is_alive()}
            for name in now & dead:
                nanny = self._cluster.workers.pop(name)
                with suppress(Exception):  # it is no more
                    await asyncio.wait_for(nanny.close(), LOOK)
                now.discard(name)
            if len(self._cluster.workers) < self.count and not self._closed:
                self._cluster.scale(self.count)
            dead = now
