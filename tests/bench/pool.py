"""Dispatch of a pool's agent slots beside ThreadPoolExecutor's tasks, and what agents that wait cost in memory.

A slot's dispatch is all that the pool does from a request to the next one's begin, beyond the run itself: ask for a
slot, be granted it, be bound to a thread, start, end, and give the slot back. The run needs no thread of its own, as
its network I/O is on the runtime's loop; only what its tools do goes to the thread it is bound to, and that is
measured apart.
"""

from __future__ import annotations

import contextvars
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from openclaw_nb.pool.binding import Bindings
from openclaw_nb.pool.slots import Slots, Ticket
from openclaw_nb.pool.workers import Job, Worker

__all__ = ["BOUND", "main", "measured"]

BOUND = 0.75
"""Of what a task of ThreadPoolExecutor costs, a slot's dispatch may cost so much."""

THREADS = 10
SLOTS = 10_000
ROUNDS = 9
AGENTS = 1_000

QUEUED = f"""
import resource, threading, time
from concurrent.futures import Future
from openclaw_nb import OpenClawAgent, Runtime, ThreadPool

go = Future()
async def held(prompt):
    import asyncio
    await asyncio.wrap_future(go)
    yield "done"

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

pool = ThreadPool(max_threads=1)
pool.execute([OpenClawAgent("first", model=held)], "hold")
pool.execute(["coder"] * 10, "warm").cancel()
time.sleep(0.3)
before = resident()
run = pool.execute(["coder"] * {AGENTS}, "go")
assert pool.waiting == {AGENTS}
print(resident() - before)
pool.cancel()
Runtime.shared().close()
"""


class Agent:
    """Whom to bind."""

    def done(self) -> bool:
        return False


def dispatched(queued: bool) -> float:
    """CPU microseconds for a slot, where there is a free one or where all wait in line."""
    slots, agents, left = Slots(THREADS, THREADS), [Agent() for _ in range(THREADS)], SLOTS
    bindings = Bindings(lambda: slots.most)
    for agent in agents:
        bindings.take(agent, process=False).leave()  # type: ignore[arg-type]

    def start(ticket: Ticket) -> None:
        nonlocal left
        left -= 1
        bindings.take(agents[left % THREADS], process=False).leave()  # type: ignore[arg-type]
        ticket.release()

    hold = slots.queue(most=THREADS)
    held = [hold.ask(lambda _: None) for _ in range(THREADS if queued else 0)]
    queues = [slots.queue() for _ in range(SLOTS // 3)]
    began = time.process_time()
    for n in range(SLOTS):
        queues[n % len(queues)].ask(start)
    for ticket in held:
        ticket.release()
    cpu = time.process_time() - began
    assert (left, slots.at_work, slots.waiting) == (0, 0, 0)
    bindings.close()
    return cpu / SLOTS * 1e6


def executed() -> float:
    """CPU microseconds for a task of ThreadPoolExecutor."""
    with ThreadPoolExecutor(THREADS) as executor:
        wait([executor.submit(int) for _ in range(THREADS)])
        began = time.process_time()
        wait([executor.submit(int) for _ in range(SLOTS)])
        return (time.process_time() - began) / SLOTS * 1e6


def handed_over() -> float:
    """CPU microseconds for a call of a tool on the thread that its agent is bound to."""
    workers, contexts = [Worker(f"bench {n}") for n in range(THREADS)], [contextvars.Context() for _ in range(SLOTS)]
    jobs = [Job(Agent(), context, int) for context in contexts]
    began = time.process_time()
    for n, job in enumerate(jobs):
        workers[n % THREADS].submit(job)
    wait([job.done for job in jobs])
    cpu = time.process_time() - began
    for worker in workers:
        worker.close()
    return cpu / SLOTS * 1e6


def measured(rounds: int = ROUNDS) -> dict[str, float]:
    """Medians of CPU microseconds, each contender in each round."""
    contenders: dict[str, Callable[[], float]] = {
        "slot, one is free": lambda: dispatched(queued=False),
        "slot, all wait in line": lambda: dispatched(queued=True),
        "ThreadPoolExecutor": executed,
        "a tool's call, to its thread": handed_over,
    }
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            seen[name].append(measure())
    return {name: statistics.median(values) for name, values in seen.items()}


def queued() -> int:
    """Bytes that AGENTS agents add to a process while they wait."""
    done = subprocess.run([sys.executable, "-c", QUEUED], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main() -> None:
    print(f"\nCPU microseconds a dispatch, {SLOTS:,} of them, {THREADS} threads, medians of {ROUNDS} rounds in turn")
    medians = measured()
    beside = medians["ThreadPoolExecutor"]
    for name, value in medians.items():
        print(f"{name:38} {value:8.1f} {value / beside:8.2f} x")
    print(f"{'bound of a slot':38} {BOUND * beside:8.1f} {BOUND:8.2f} x")
    print(f"{f'{AGENTS:,} agents that wait, MiB':38} {queued() / 2**20:8.1f}")


if __name__ == "__main__":
    main()
