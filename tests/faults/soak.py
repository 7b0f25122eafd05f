"""`make soak`: real clients, random faults of all kinds, and a gateway killed now and then, for as long as one likes.

Each answer is compared with what the model said, each delta with the one before it, and the model's calls are counted.
The seed decides which faults there are; when they meet which frame is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field

import psutil

from openclaw_nb.client import OpenClawClient, pulse, route
from openclaw_nb.errors import OpenClawError
from openclaw_nb.events import Delta, RunEvent, Status
from openclaw_nb.gateway import Gateway, runs
from openclaw_nb.run import Run
from tests.faults.killed import held
from tests.faults.kinds import CLIENT, GATEWAY, CutAfter, CutAtByte, Delay, Fault, How, Split, Twice
from tests.faults.proxy import FaultProxy

CLIENTS = 12
ABREAST = 3  # runs of each client at any time
TOKEN = "soak"
LIFE = (4.0, 9.0)  # seconds between the gateway's start and its end
LATER = 1.0  # seconds after a run's end at which the model's calls for it are counted
HUNG = 60.0  # seconds after which a run counts as hanging
LEAK = 64.0  # MiB the clients' process may grow by
ALPHABET = 'abc de fg. \n"\\é€😀\0\u200d\u202e\u0301א\ud800'


def speech(prompt: str) -> list[str]:
    """What the model says to a prompt, piece by piece."""
    chance = random.Random(prompt)
    return ["".join(chance.choices(ALPHABET, k=chance.randint(1, 12))) for _ in range(chance.randint(1, 60))]


def spoken(prompt: str) -> str:
    """The same as one text; halves of a pair that meet become one character, as everywhere."""
    return "".join(speech(prompt)).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# -- the gateway, a process of its own ---------------------------------------------------------------


async def serve(port: int, retain: float) -> None:
    """Serve until killed; a line for every call of the model. Runs are replayed for ``retain`` seconds."""
    runs.RETAIN = retain

    async def model(prompt: str) -> AsyncIterator[str]:
        print(prompt, flush=True)
        pause = random.choice((0, 0.001, 0.003))
        for piece in speech(prompt):
            yield piece
            await asyncio.sleep(pause)

    async with Gateway(model=model, token=TOKEN, port=port) as gateway:
        print(gateway.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


class Server:
    """The gateway's process, started again on its port after each kill; ``calls`` of the model by prompt."""

    def __init__(self, port: int, retain: float) -> None:
        self.port = port
        self.kills = 0
        self._retain = retain
        self.calls: Counter[str] = Counter()
        self.leaked = 0

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.soak", "--serve", str(self.port), "--retain", str(self._retain),
            stdin=-1, stdout=-1,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert int(await self._process.stdout.readline()) == self.port
        self._descriptors = self._open()
        self._reader = asyncio.create_task(self._count(self._process.stdout))

    def _open(self) -> int:
        return psutil.Process(self._process.pid).num_fds()

    async def _count(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self.calls[line.decode().strip()] += 1

    async def kill(self) -> None:
        self.kills += 1
        await self._end()

    async def close(self) -> None:
        """When all clients have gone: does it still hold something of theirs?"""
        for _ in range(1_200):
            if (leaked := self._open() - self._descriptors) <= 0:
                break
            await asyncio.sleep(0.05)
        self.leaked = max(leaked, 0)
        await self._end()

    async def _end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reader


# -- the network -------------------------------------------------------------------------------------


class Storm(FaultProxy):
    """A fault proxy on which every connection meets something."""

    def __init__(self, port: int, chance: random.Random) -> None:
        super().__init__(port)
        self.tries = 0
        self._chance = chance

    def next_faults(self) -> Sequence[Fault]:
        chance = self._chance
        self.tries += 1
        if self.connections == 1:  # a first connection is tried once
            return [CutAfter(1, "chat")]
        toward = chance.choice((CLIENT, CLIENT, GATEWAY))
        how = chance.choices(list(How), (50, 40, 1, 1))[0]
        cut: Fault = CutAtByte(round(chance.lognormvariate(7.5, 1)), None, how, toward=toward)
        if chance.random() < 0.3:
            cut = CutAfter(round(chance.expovariate(1 / 8)), "chat", how)
        elif toward == CLIENT and chance.random() < 0.1:
            cut = CutAtByte(chance.randrange(600), None, how)
        return [self._hindrance(), cut] if chance.random() < 0.2 else [cut]

    def _hindrance(self) -> Fault:
        chance = self._chance
        toward = chance.choice((CLIENT, GATEWAY))
        fault: Fault = chance.choice((
            Twice(), Delay(0.005, chance, toward=toward), Split(chance.randint(1, 40), toward=toward),
            Split(1_000, 0.003, toward=toward),
        ))  # fmt: skip
        self.struck[f"{type(fault).__name__.lower()}, to the {fault.toward}"] += 1
        return fault


# -- what is measured --------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of all runs."""

    runs: int = 0
    stopped: int = 0
    gaps: int = 0
    lost: int = 0
    twice: int = 0
    beyond: int = 0
    again: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    back: list[float] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.twice or self.beyond or self.errors)


class Traffic:
    """One client behind its own storm, which keeps ABREAST runs in flight."""

    def __init__(self, number: int, seed: int, server: Server, storm: Storm, tally: Tally) -> None:
        self.client = OpenClawClient(
            token=TOKEN, streaming=number % 4 != 3, token_batch_size=(1, 10)[number % 2],
            reconnect_delay=0.005, max_reconnect_attempts=14,
        )  # fmt: skip
        self.client.on("reconnect", lambda _: self._set_back(False))
        self.client.on("reconnected", lambda: self._set_back(True))
        self.client.on("gap", lambda _: self._count_gap())
        self._name = f"{seed}.{number}"
        self._chance = random.Random(self._name)
        self._server = server
        self._storm = storm
        self._tally = tally
        self._sent = 0
        self._back = False

    async def go_on(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self._sent += 1
            await self._one(f"{self._name}.{self._sent}")

    async def _one(self, prompt: str) -> None:
        kills = self._server.kills
        run = self.client.send(prompt, session=prompt, idempotency_key=prompt)
        have = 0

        def take(event: RunEvent) -> None:
            nonlocal have
            if isinstance(event, Delta):
                self._tally.twice += event.offset < have
                self._tally.lost += event.offset > have
                have = event.offset + len(event.text)
                self._time()

        run.subscribe(take)
        if (chance := self._chance.random()) < 0.05:
            asyncio.get_running_loop().call_later(self._chance.uniform(0, 0.2), run.cancel)
        elif chance < 0.1:
            with suppress(OpenClawError):
                await self.client.reconnect()
        try:
            async with asyncio.timeout(HUNG):
                result = await run
        except TimeoutError:
            self._tally.errors[f"a run hung: {run!r}"] += 1
        except OpenClawError as error:
            self._tally.errors[f"{error.code}: {error}"] += 1
        else:
            self._check(run, str(result), spoken(prompt))
        # A little later, as the gateway's word of a call may come after the answer.
        asyncio.get_running_loop().call_later(LATER, self._count_calls, prompt, self._server.kills - kills)

    def _count_calls(self, prompt: str, kills: int) -> None:
        further = max(self._server.calls.pop(prompt, 0) - 1, 0)
        self._tally.again += min(further, kills)
        self._tally.beyond += max(further - kills, 0)

    def _check(self, run: Run, text: str, whole: str) -> None:
        self._tally.runs += 1
        stopped = run.status is Status.STOPPED
        self._tally.stopped += stopped
        if not whole.startswith(text):
            self._tally.twice += 1
        elif text != whole and not stopped:
            self._tally.lost += 1

    def _set_back(self, back: bool) -> None:
        self._back = back

    def _count_gap(self) -> None:
        self._tally.gaps += 1

    def _time(self) -> None:
        """From a cut to the next new token, where nothing else went wrong on the way."""
        if self._back and self._storm.cut_at is not None:
            if self._storm.tries == 1:
                self._tally.back.append(asyncio.get_running_loop().time() - self._storm.cut_at)
            self._storm.cut_at, self._storm.tries, self._back = None, 0, False


def hurry() -> None:
    """From now on what waits for seconds does so as in life, but quicker: it would make few faults here."""
    route.OPEN_TIMEOUT = 0.5
    pulse.PING = pulse.PONG = 0.2


async def soak(seconds: float, faults: int, seed: int, retain: float) -> bool:
    """Until there were so many faults, or seconds; whether all was well."""
    print(f"seed {seed}: {CLIENTS} clients with {ABREAST} runs each", flush=True)
    process, tasks, threads = psutil.Process(), len(asyncio.all_tasks()), threading.active_count()
    ports = ExitStack()
    tally, server, over = Tally(), Server(ports.enter_context(held()), retain), asyncio.Event()
    await server.start()
    began, descriptors = time.monotonic(), process.num_fds() - 2  # without the two pipes to the gateway
    memory = 0
    async with AsyncExitStack() as stack:
        storms, traffic = [], []
        for number in range(CLIENTS):
            storm = await stack.enter_async_context(Storm(server.port, random.Random(f"{seed} storm {number}")))
            one = Traffic(number, seed, server, storm, tally)
            await stack.enter_async_context(one.client)
            storms.append(storm)
            traffic.append(one)
            await one.client.connect(storm.url)
        hurry()
        work = [asyncio.create_task(one.go_on(over)) for one in traffic for _ in range(ABREAST)]
        deaths, chance = began + LIFE[0] / 2, random.Random(seed)
        shown = began
        while not over.is_set() and not any(task.done() for task in work):
            await asyncio.sleep(0.05)
            now, struck = time.monotonic(), sum(storm.struck.total() for storm in storms) + server.kills
            memory = memory or (process.memory_info().rss if tally.runs > 100 else 0)
            if now > deaths:
                await server.kill()
                await asyncio.sleep(chance.uniform(0, 0.3))
                await server.start()
                deaths = time.monotonic() + chance.uniform(*LIFE)
            if now > shown + 10:
                shown = now
                print(f"{now - began:5.0f} s  {struck:8,} faults  {tally.runs:7,} runs  "
                      f"{tally.lost} lost  {tally.twice} twice", flush=True)  # fmt: skip
            if now - began > seconds or struck >= faults:
                over.set()
        await asyncio.gather(*work)
        await asyncio.sleep(LATER + 0.1)
    grown = (process.memory_info().rss - memory) / 2**20
    await server.close()
    ports.close()
    gc.collect()
    await asyncio.sleep(0.1)
    left = {
        "tasks": len(asyncio.all_tasks()) - tasks,
        "threads": threading.active_count() - threads,
        "descriptors": max(process.num_fds() - descriptors, 0),
        "descriptors at the gateway": server.leaked,
        f"MiB above {LEAK:g}": max(round(grown - LEAK), 0),
    }
    report(tally, storms, server, left, time.monotonic() - began, grown)
    return tally.clean and not any(left.values())


def report(
    tally: Tally, storms: list[Storm], server: Server, left: dict[str, int], seconds: float, grown: float
) -> None:
    struck: Counter[str] = sum((storm.struck for storm in storms), Counter())
    struck["gateway killed"] = server.kills
    rows = [*sorted(struck.items()), ("faults in all", struck.total())]
    rows += [
        ("runs", tally.runs), ("of them stopped", tally.stopped), ("of them after a gap", tally.gaps),
        ("text lost", tally.lost), ("text twice", tally.twice), ("model calls beyond one", tally.beyond),
        ("model asked again by a killed gateway's heir", tally.again),
    ]  # fmt: skip
    print(f"\n{seconds:.0f} s; the clients' process grew by {grown:.0f} MiB")
    for name, count in [*rows, *((f"left behind: {name}", count) for name, count in left.items() if count)]:
        print(f"  {name:46} {count:9,}")
    if len(tally.back) > 1:
        back = sorted(tally.back)
        p50, p99 = back[len(back) // 2] * 1000, back[len(back) * 99 // 100] * 1000
        print(
            f"  abort -> next new token, with all of this going on: P50 {p50:.1f} ms, P99 {p99:.1f} ms ({len(back):,})"
        )
    for sentence, count in tally.errors.most_common(10):
        print(f"  {count} x {sentence}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--faults", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--retain", type=float, default=2.0)  # so that some come back too late to be replayed
    parser.add_argument("--serve", type=int)
    options = parser.parse_args(arguments)
    if options.serve is not None:
        asyncio.run(serve(options.serve, options.retain))
        return 0
    well = asyncio.run(soak(options.minutes * 60, options.faults, options.seed, options.retain))
    print("all of it came, once" if well else f"NOT WELL; again with: make soak SEED={options.seed}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
