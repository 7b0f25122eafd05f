"""How long the first delta of an answer takes at any gateway, ours or theirs, told by the same client and model."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.wire import Frame, Wire
from tests.served import Served

__all__ = ["INTERVALS", "ours", "seconds_to_first_delta"]

INTERVALS = (0, 10)
"""Milliseconds between the tokens of the model."""

TOKENS = 30
WARM = 2


@contextmanager
def ours(folder: Path, model_url: str) -> Iterator[Served]:
    """Our gateway as a process of its own, in front of the model that the others have too."""
    before = {name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
    os.environ |= {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "none"}
    try:
        with Served(folder, "openai-chat:mock-1") as served:
            yield served
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def seconds_to_first_delta(url: str, token: str, interval: int, count: int) -> list[float]:
    """Of ``count`` messages, one after the other, each in a session of its own, from the message to its first text."""
    samples = []
    async with Wire(url, token) as wire:
        await wire.let_in()
        for index in range(count + WARM):
            run = f"first-{interval}-{index}-{time.time_ns()}"
            message = f"go [n={TOKENS}] [ms={interval}]"
            began = time.perf_counter()
            await wire.send("chat.send", {"sessionKey": f"agent:main:{run}", "message": message, "idempotencyKey": run})
            await wire.until(lambda frame, run=run: _has_text(frame, run))
            samples.append(time.perf_counter() - began)
            await wire.ended(run)
            wire.frames.clear()
    return samples[WARM:]


def _has_text(frame: Frame, run: str) -> bool:
    payload = frame.get("payload")
    return (
        frame.get("event") == "chat"
        and isinstance(payload, dict)
        and payload.get("runId") == run
        and ("deltaText" in payload or "message" in payload)
    )
