"""A process of its own whose agent pays with a tool: `python -m tests.faults.paying ask|resume BOOK [LINE …]`.

Each payment is a line in the file BOOK, written before the tool returns: what a payment does cannot be taken back. It
says "paid NAME" when a payment is in the book, "told NAME" when its result is shown, "delta" for text, and at its end,
as JSON, what was answered and what the session holds. With the last of the lines, said in this order, it stands still.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from openclaw_nb import OpenClawAgent, Runtime
from openclaw_nb.events import Delta, RunEvent, Step

__all__ = ["PROMPT", "main"]

PROMPT = "use pay('ann') then pay('bob') then pay('cy')"

ENDS: list[str] = []

SLOW = 0.05  # seconds before and after the payment, so that a moment taken at random may lie there


def say(*words: Any) -> None:
    print(*words, flush=True)
    if ENDS[:1] == [" ".join(map(str, words))]:
        del ENDS[0]
        if not ENDS:
            time.sleep(600)  # until it is killed


def watch(event: RunEvent) -> None:
    if isinstance(event, Delta):
        say("delta")
    elif isinstance(event, Step) and event.seconds is not None:
        say("told", event.title)


def main(order: str, book: Path, *ends: str) -> None:
    ENDS.extend(ends)

    def pay(name: str) -> str:
        """Pay somebody, once."""
        time.sleep(SLOW)
        with book.open("a") as file:
            file.write(f"{name}\n")
            file.flush()
            os.fsync(file.fileno())
        say("paid", name)
        time.sleep(SLOW)
        return f"paid {name}"

    runtime = Runtime.shared()
    agent = OpenClawAgent("cashier", model="offline:100", tools=[pay], snapshot_interval=0.01)
    agent.session = "till"
    if order == "ask":
        run = agent.analyze(PROMPT, idempotency_key="till-1")
    else:
        found = runtime.memory.latest("till")
        assert found is not None, "nothing was kept"
        run = agent.resume_from(found)
    run.subscribe(watch)
    answer = run.result(300)
    head = runtime.memory.head("till")
    assert head is not None
    messages = [(message["role"], message["content"]) for message in head.state["messages"]]
    say(json.dumps({"answer": str(answer), "messages": messages}))
    runtime.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
