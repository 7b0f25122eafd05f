"""Agents that work side by side, also as a process: `python -m tests.faults.pooling ask|go-on MODE COUNT END`.

That one says with each event how many characters all of them have, and stands still when these are END. Snapshots lie
where ``OPENCLAW_NB_SNAPSHOTS`` says, as a kernel's do.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from openclaw_nb import Runtime
from openclaw_nb.pool import PoolRun, ThreadPool, role
from openclaw_nb.pool.kept import cut_in_session
from openclaw_nb.pool.resuming import take_up

__all__ = ["TASK", "work"]

TASK = "implement feature X"
BUDGET = 5.0  # USD


def names(count: int) -> list[str]:
    for n in range(count):
        role(f"a{n}", f"You are a{n}.")
    return [f"a{n}" for n in range(count)]


def ask(pool: ThreadPool, mode: str, count: int) -> PoolRun:
    client = Runtime.shared().client()
    client.send("my name is Ada", level=1).result(30)
    return pool.execute(names(count), TASK, mode=mode, per_task=2, level=1, budget=BUDGET)


def go_on(pool: ThreadPool, told: dict[str, Any]) -> PoolRun:
    """As `%openclaw restore` does."""
    memory = Runtime.shared().memory
    found = memory.find(None)
    ((entry, record),) = cut_in_session(memory.store, "main", found)
    memory.restore("main", found)
    left = memory.submit(take_up, memory, entry, record).result()
    told["over"] = {name: str(result) for name, result in left.over.items()}
    told["cuts"] = {name: cut.text for name, cut in left.cuts.items()}
    return pool.resume(record, "main", left)


def work(what: str, mode: str, count: int, end: int | None = None) -> dict[str, Any]:
    """Ask, or go on with what was cut; what can be known of it afterwards. With an ``end`` aloud, until then."""
    runtime = Runtime.shared()
    try:
        told: dict[str, Any] = {}
        names(count)
        run = ask(runtime.pool, mode, count) if what == "ask" else go_on(runtime.pool, told)
        if end is not None:
            run.subscribe(lambda lane, event: say(sum(len(lane.text) for lane in run.lanes), end))
        return told | facts(run)
    finally:
        runtime.close()


def say(characters: int, end: int) -> None:
    print(characters, flush=True)
    if characters >= end:
        time.sleep(600)  # until it is killed


def facts(run: PoolRun) -> dict[str, Any]:
    result, record, runtime = run.result(60), run.record, Runtime.shared()
    assert record is not None
    heads = runtime.memory.submit(runtime.memory.sessions).result()
    said = {name: head.state["messages"] for name, head in heads.items()}
    assert runtime.store.verify() == []
    assert cut_in_session(runtime.store, "main", heads["main"]) == []
    return {
        "results": {name: str(one) for name, one in result.results.items()},
        "said": {name: [(one["role"], one["content"]) for one in messages] for name, messages in said.items()},
        "ended": record.ended, "status": result.status, "spent": heads["main"].facts.get("spent"),
        "budget": record.options["budget"],
        "costs": {name: sum(one.get("cost", 0.0) for one in messages) for name, messages in said.items()},
    }  # fmt: skip


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
