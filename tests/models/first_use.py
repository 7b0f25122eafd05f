"""The first use of a provider in a fresh process, as a script: what it waited for, and how the loop fared meanwhile.

`python first_use.py MODEL` prints JSON: ``waits`` before and after, and of loading and of the first answer ``seconds``,
how many ``turns`` the loop made and the ``longest`` one in seconds of this process's work: others may use the machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable
from typing import Any

from openclaw_nb.models.base import ModelRequest
from openclaw_nb.models.providers import ProviderModel

PACE = 0.005


async def timed(work: Awaitable[Any]) -> dict[str, float]:
    """What the loop could do beside this work."""
    longest, turns = 0.0, 0

    async def beat() -> None:
        nonlocal longest, turns
        last = time.process_time()
        while True:
            await asyncio.sleep(PACE)
            now = time.process_time()
            longest, turns, last = max(longest, now - last), turns + 1, now

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    began = time.perf_counter()
    await work
    seconds = time.perf_counter() - began
    await asyncio.sleep(2 * PACE)  # the turn that the work itself took is one of them
    beating.cancel()
    return {"seconds": seconds, "turns": turns, "longest": longest}


async def main(name: str) -> None:
    model = ProviderModel(name)
    waits = [model.waits_for()]
    loading = await timed(model.load())
    waits.append(model.waits_for())

    async def answer() -> None:
        async for _ in model.stream(ModelRequest(({"role": "user", "content": "hello"},))):
            pass

    first, second = await timed(answer()), await timed(answer())
    await model.aclose()
    print(json.dumps({"waits": waits, "loading": loading, "first": first, "second": second}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
