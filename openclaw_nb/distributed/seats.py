"""Seats, the threads at a worker on which turns are answered, each with a loop of its own.

A model that blocks its loop holds up nobody but itself, and when it is given up its seat is left with it. One that ends
in good order leaves its seat to the next turn, with the models that were made there and the connections they hold.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from typing import Any

from ..models import resolve
from ..models.base import Closable, Model

__all__ = ["Seat", "Seats"]


class Seat:
    """A thread and its loop."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._models: dict[tuple[str, tuple[tuple[str, str], ...]], Model] = {}
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Have it done here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Callable[..., object], *args: Any) -> None:
        """Have a function called here, soon; never where the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *args)

    def model(self, spec: Model | str) -> Model:
        """The model that is meant, made once for a name as long as the keys and addresses in the environment are what
        they were. ConfigError for one that is not to be had here."""
        if not isinstance(spec, str):
            return spec
        env = tuple(item for item in sorted(os.environ.items()) if item[0].endswith(("_API_KEY", "_BASE_URL")))
        if (spec, env) not in self._models:
            self._models[spec, env] = resolve(spec)
        return self._models[spec, env]

    def close(self) -> None:
        """End as soon as the loop turns."""
        self.call(self._loop.stop)

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # it ends what is left as asyncio.run does
            runner.run(self._end())

    async def _end(self) -> None:
        for model in self._models.values():
            if isinstance(model, Closable):
                with suppress(Exception):  # nobody is left to hear of it
                    await model.aclose()


class Seats:
    """Those of one worker. From any thread."""

    def __init__(self) -> None:
        self._free: list[Seat] = []
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Seat:
        """A free one, or a new one."""
        with self._lock:
            return self._free.pop() if self._free else Seat(f"openclaw seat {next(self._numbers)}")

    def give_back(self, seat: Seat) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(seat)
                return
        seat.close()

    def close(self) -> None:
        """End those that are free, and each other one when it is given back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for seat in free:
            seat.close()
