"""What snapshots cost the streams that they are taken of: the same runs through one gateway, with them and without.

Runtimes, each in a process of its own and with its store in a file, stream at a model's pace through their embedded
gateway to a client; those with snapshots and those without change places each round, so that half of the processes
are at work with them at any time. ``python -m tests.bench.streams FOLDER`` is such a process: it answers each line.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import count, product
from typing import NamedTuple

from openclaw_nb import models
from openclaw_nb.engine import AgentSpec
from openclaw_nb.runtime import Runtime

__all__ = ["main"]

LIMIT = 0.03
PROCESSES = 4
ROUNDS = 5
STREAMS = 10
"""Runs at once in each process."""

PACE = 100
"""Tokens per second of each."""

STALLS = 4
"""Rounds, each with snapshots and without, in which the loop's longest stall is looked for."""

BEAT = 0.001
SESSION = 400
"""Messages that a session has already where stalls are looked for."""

session_numbers = count()


@dataclass(frozen=True)
class Asked:
    """One round: whether snapshots are taken, how often, for so many seconds; ``beat`` to look for stalls."""

    snapshots: bool
    interval: float = AgentSpec().snapshot_interval
    seconds: float = 11.0
    beat: bool = False


class Told(NamedTuple):
    """CPU seconds of the process, and of them of the thread that writes; snapshots it took, and the longest that its
    loop was late, in seconds.
    """

    cpu: float
    writing: float
    snapshots: int
    stall: float


# -- a process -----------------------------------------------------------------------------------------


async def model(prompt: str) -> AsyncIterator[str]:
    for _ in range(int(prompt)):
        yield "tok "
        await asyncio.sleep(1 / PACE)


class Process:
    """The runtime of one process, with an agent for every way that was asked for."""

    def __init__(self) -> None:
        self.runtime = Runtime()
        assert not self.runtime.store.in_memory
        self.taken = 0
        self.runtime.store.subscribe(self._count)

    def _count(self, snapshot: object) -> None:
        self.taken += 1

    def run(self, asked: Asked) -> Told:
        tokens = int(asked.seconds * PACE)
        spec = AgentSpec(repr(asked), models.resolve(model), snapshot=asked.snapshots, snapshot_interval=asked.interval)
        agent = self.runtime.register(spec)
        client = self.runtime.client("agent://local")
        sessions = [f"s{next(session_numbers)}" for _ in range(STREAMS)]
        if asked.beat:
            for session in sessions:
                self.runtime.memory.append(session, [{"role": "user", "content": "x" * 400}] * SESSION)
        beat = Beat()
        worst = self.runtime.call(beat.run()) if asked.beat else None
        before, written, taken = time.process_time(), writing(), self.taken
        runs = [client.send(str(tokens), agent=agent, session=session) for session in sessions]
        for run in runs:
            assert "".join(run) == "tok " * tokens
        cpu = time.process_time() - before
        beat.going = False
        return Told(cpu, writing() - written, self.taken - taken, worst.result() if worst else 0.0)


def writing() -> float:
    """CPU seconds of the thread that writes snapshots; NaN where a system does not tell them."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return math.nan
    writers = [thread.ident for thread in threading.enumerate() if thread.name.startswith("openclaw snapshots")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in writers if ident is not None)


class Beat:
    """A look at the loop every BEAT seconds; how late the latest one came."""

    going = True

    async def run(self) -> float:
        loop, worst = asyncio.get_running_loop(), 0.0
        while self.going:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            worst = max(worst, loop.time() - due)
        return worst


def serve(folder: str) -> None:
    os.environ["OPENCLAW_NB_SNAPSHOTS"] = folder
    process = Process()
    for line in sys.stdin:
        print(json.dumps(process.run(Asked(**json.loads(line)))), flush=True)
    process.runtime.close()


# -- many of them --------------------------------------------------------------------------------------


class Child:
    """A process that streams."""

    def __init__(self, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.streams", folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, asked: Asked) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(asked)) + "\n")
        self._process.stdin.flush()

    def told(self) -> Told:
        assert self._process.stdout is not None
        return Told(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


def together(children: Sequence[Child], asked: Sequence[Asked]) -> list[Told]:
    for child, what in zip(children, asked, strict=True):
        child.ask(what)
    return [child.told() for child in children]


def cpu(children: Sequence[Child]) -> None:
    together(children, [Asked(n % 2 == 0, seconds=0.5) for n in range(PROCESSES)])  # the first run imports and compiles
    pairs: list[tuple[Told, Told]] = []
    for round in range(ROUNDS):
        told = together(children, [Asked((n + round) % 2 == 0) for n in range(PROCESSES)])
        for a, b in zip(told[::2], told[1::2], strict=True):
            pairs.append((a, b) if round % 2 == 0 else (b, a))
    shares = sorted(on.cpu / off.cpu - 1 for on, off in pairs)
    writer = statistics.median((on.writing - off.writing) / off.cpu for on, off in pairs)
    asked = Asked(True)
    each = statistics.median(off.cpu for _, off in pairs) / (STREAMS * asked.seconds * PACE) * 1e6
    low, _, high = statistics.quantiles(shares)
    runs = f"{STREAMS} runs of {asked.seconds:g} s at {PACE} tokens/s, {each:.0f} us a token without snapshots"
    print(f"\nCPU of a snapshot of each run every {asked.interval:g} s (bound {LIMIT:.0%}); {runs}")
    print(f"  with against without, {len(pairs)} pairs: median {statistics.median(shares):.1%}, ", end="")
    print(f"half of them {low:.1%} to {high:.1%}")
    print(f"  the thread that writes, alone: {writer:.1%}")
    taken = [statistics.median(one.snapshots for one in told) for told in zip(*pairs, strict=True)]
    print(f"  snapshots in a round, with and without: {taken[0]:.0f}, {taken[1]:.0f}")


def stalls(child: Child) -> None:
    """With snapshots taken many times more often than they come, of sessions that are long already."""
    worst: dict[bool, list[Told]] = {True: [], False: []}
    for _, snapshots in product(range(STALLS), worst):
        worst[snapshots] += together([child], [Asked(snapshots, interval=0.1, seconds=2.0, beat=True)])
    print(f"\nthe loop's longest stall, ms, {STREAMS} runs of 2 s, a snapshot of each every 0.1 s, medians of {STALLS}")
    for snapshots, told in worst.items():
        late = statistics.median(one.stall for one in told) * 1000
        taken = statistics.median(one.snapshots for one in told)
        print(f"  {'with' if snapshots else 'without':8} {late:8.1f}   {taken:6.0f} snapshots")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        children = [stack.enter_context(closing(Child(f"{folder}/{n}"))) for n in range(PROCESSES)]
        cpu(children)
        stalls(children[0])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        main()
