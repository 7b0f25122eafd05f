"""Agents at Dask workers: what one costs beside the same work by plain `client.submit`, and what is left of 500 while
workers are killed as a Poisson process.

The work is an answer of 60 tokens at 200 a second, so 0.3 s. What is submitted plainly runs the very same generator to
its end at the same worker, and brings back its text. Rounds are interleaved; the figures are medians of wall time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.events import Status
from openclaw_nb.pool import PoolRun

__all__ = ["BOUND", "Survived", "main", "overhead", "survived"]

BOUND = 1.2
"""Of what plain `client.submit` takes, an agent may take so much."""

TASKS = 500
THREADS = 16
BETWEEN = 4.0
"""Seconds between two kills, on average."""

ROUNDS = 15
TOKENS = 60


async def answering(prompt: str) -> AsyncIterator[str]:
    for n in range(TOKENS):
        yield f"token{n} "
        await asyncio.sleep(0.005)


async def brief(prompt: str) -> AsyncIterator[str]:
    yield "yes"


def plainly(model: Callable[[str], AsyncIterator[str]]) -> str:
    """The same work without an agent."""

    async def collected() -> str:
        return "".join([piece async for piece in model("go")])

    return asyncio.run(collected())


def overhead(pool: ThreadPool, rounds: int = ROUNDS) -> tuple[float, float, float, float]:
    """Seconds: an agent and plain `client.submit`, and both where there is hardly any work to do."""
    assert pool.executor is not None
    client: Any = pool.executor.client

    def ours(agent: OpenClawAgent) -> float:
        began = time.perf_counter()
        assert pool.execute(agent, "go", level=1).result(60).status is Status.DONE
        return time.perf_counter() - began

    def plain(model: Callable[[str], AsyncIterator[str]]) -> float:
        began = time.perf_counter()
        assert client.submit(plainly, model, pure=False).result(60)
        return time.perf_counter() - began

    agent, quick = OpenClawAgent("answering", model=answering), OpenClawAgent("brief", model=brief)
    works: list[Callable[[], float]] = [
        lambda: ours(agent), lambda: plain(answering), lambda: ours(quick), lambda: plain(brief),
    ]  # fmt: skip
    for work in works:
        work()
    took = [[work() for work in works] for _ in range(rounds)]
    a, b, c, d = (statistics.median(column) for column in zip(*took, strict=True))
    return a, b, c, d


@dataclass(frozen=True)
class Survived:
    """How many of ``tasks`` were recorded exactly once, lost, or recorded twice, and what happened meanwhile."""

    tasks: int
    once: int
    lost: int
    twice: int
    called_twice: int
    kills: int
    moved: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.kills} kills while {self.tasks} agents ran in {self.seconds:.0f} s: {self.once} recorded once, "
            f"{self.lost} lost, {self.twice} twice; {self.moved} went on at another worker, "
            f"{self.called_twice} tool calls were made twice"
        )


def survived(
    pool: ThreadPool, tasks: int = TASKS, between: float = BETWEEN, seed: int = 8, most: int = sys.maxsize
) -> Survived:
    """Have so many agents at work, each with a tool to call, while up to ``most`` workers are killed by SIGKILL."""
    assert pool.executor is not None
    with tempfile.TemporaryDirectory() as folder:
        calls = Path(folder) / "calls"
        calls.touch()
        agents = [OpenClawAgent(f"agent{n}", model="offline:100", tools=[_noting(calls, n)]) for n in range(tasks)]
        over = threading.Event()
        kills: list[int] = []
        killer = threading.Thread(target=_kill, args=(pool.executor.client, between, seed, most, over, kills))
        began = time.monotonic()
        work = pool.execute(agents, "use note()", level=1, per_task=pool.max_threads, timeout=120)
        killer.start()
        try:
            work.result(600)
        finally:
            over.set()
            killer.join()
        seconds = time.monotonic() - began
        made = Counter(calls.read_text(encoding="utf-8").split())
        recorded = [_recorded(work, lane.session, lane.run_id) for lane in work.lanes]
        done = [lane.status is Status.DONE for lane in work.lanes]
        once = sum(count == 1 and ended for count, ended in zip(recorded, done, strict=True))
        moved = sum(len(lane.workers) > 1 for lane in work.lanes)
        for lane in work.lanes:
            if lane.status is not Status.DONE:
                print(lane.name, lane.words, file=sys.stderr)
        twice, again = sum(count > 1 for count in recorded), sum(count > 1 for count in made.values())
        return Survived(tasks, once, recorded.count(0), twice, again, len(kills), moved, seconds)


def _noting(calls: Path, n: int) -> Callable[[], str]:
    path = str(calls)

    def note() -> str:
        """Note that it was called."""
        import os
        import time

        line = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(line, f"{n}\n".encode())
        os.close(line)
        time.sleep(0.05)
        return f"noted {n}"

    return note


def _recorded(work: PoolRun, session: str, run_id: str) -> int:
    """How many answers a session has to its run's question."""
    head = Runtime.shared().memory.head(session)
    messages = head.state["messages"] if head is not None else []
    ends = [m for m in messages if m.get("run") == run_id and m["role"] == "assistant" and "calls" not in m]
    return len(ends) if len([m for m in messages if m["role"] == "user"]) == 1 else 0


def _kill(client: Any, between: float, seed: int, most: int, over: threading.Event, kills: list[int]) -> None:
    """Kill workers of the local cluster, which are started anew; the time in which not all are there does not count."""
    chance, count = random.Random(seed), len(client.nthreads())
    while len(kills) < most and not over.wait(chance.expovariate(1 / between)):
        while len(client.nthreads()) < count and not over.wait(0.1):
            pass
        if there := multiprocessing.active_children():
            pid = chance.choice(there).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            kills.append(pid)


def main() -> None:
    with ThreadPool(max_threads=THREADS, max_per_task=THREADS, executor="local") as pool:
        ours, plain, mine, bare = overhead(pool)
        ratio = ours / plain
        print(f"an agent of {TOKENS} tokens {1000 * ours:.0f} ms, plain submit {1000 * plain:.0f} ms: {ratio:.2f} ×")
        print(f"hardly any work: an agent {1000 * mine:.1f} ms, plain submit {1000 * bare:.1f} ms")
        print(survived(pool))
    Runtime.shared().close()
    assert ratio <= BOUND, f"{ratio:.2f}"


if __name__ == "__main__":
    main()
