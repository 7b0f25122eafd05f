"""A process of its own that deliberates: `python -m tests.faults.deliberating FILE LEVEL END`.

It says, with each event of a step, how many characters all steps have and which step has ended, if one has. When they
have END characters it stands still.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openclaw_nb import models
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Engine
from openclaw_nb.events import RunEvent, Step
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Run
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore

__all__ = ["ask", "go_on"]


@asynccontextmanager
async def living(path: Path) -> AsyncIterator[tuple[OpenClawClient, Memory]]:
    """A gateway as a kernel has one, over a file that earlier ones may have left."""
    with SnapshotStore(path) as store:
        memory, model = Memory(store, fresh=True), models.resolve("openai-chat:mock")
        async with (
            Gateway(engine=Engine(memory, model)) as gateway,
            OpenClawClient(token=gateway.token, token_batch_size=1) as client,
        ):
            await client.connect(gateway.url)
            yield client, memory
        await model.aclose()  # type: ignore[attr-defined]
        assert store.verify() == []


async def ask(path: Path, level: int, end: int | None = None) -> dict[str, Any]:
    """Ask, and give what can be known of it afterwards. With an ``end`` aloud, until then."""
    async with living(path) as (client, memory):
        run = client.send("why?", level=level, idempotency_key="k")
        if end is not None:
            run.subscribe(lambda event: say(run, event, end))
        return await facts(run, memory)


async def go_on(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Go on with the run that was cut; also what its steps had given."""
    async with living(path) as (client, memory):
        cut = memory.restore("main", memory.find(None))
        assert cut is not None
        run = client.send(
            cut.message, idempotency_key=cut.run_id, level=cut.level, model=cut.model, partial=(cut.text, cut.tokens)
        )
        return cut.stages, await facts(run, memory)


async def facts(run: Run, memory: Memory) -> dict[str, Any]:
    answer = await run
    head = memory.head("main")
    assert head is not None
    said = [(message["role"], message["content"]) for message in head.state["messages"]]
    steps = {step.key: step.text for step in answer.steps if step.key != "load"}
    return {"answer": str(answer), "level": answer.level, "said": said, "steps": steps}


def say(run: Run, event: RunEvent, end: int) -> None:
    if isinstance(event, Step):
        ended = event.key if event.seconds is not None else ""
        characters = sum(len(step.text) for step in run.steps)
        print(characters, ended, sep="|", flush=True)
        if characters >= end:
            time.sleep(600)  # until it is killed


if __name__ == "__main__":
    asyncio.run(ask(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
