"""What keeping every state of a conversation costs: beside LangGraph's checkpointers, and how it grows.

A conversation grows message by message, and each of its states is kept and brought back. All work on real files in
WAL mode in one temporary folder; CPU is that of this process. ``python -m tests.bench.snapshots restore FILE ID`` is
how one state is brought back in a fresh process.
"""

from __future__ import annotations

import gc
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from openclaw_nb.snapshots import SnapshotStore

from .checkpoints import MESSAGE_BYTES, Appended, Graph, Keeper, Message, Put, Saved, conversation, versions

__all__ = ["main"]

SNAPSHOTS = 2000
GROWTH = (200, 600, 2000, 6000, 20_000)
GRAPHS = (
    (None, False, (SNAPSHOTS,)),
    (100, False, (200, SNAPSHOTS)),
    (1000, False, (200, SNAPSHOTS)),
    (1000, True, (SNAPSHOTS,)),
)
"""LangGraph's own: whole every so many, whether as plain data, and at which sizes."""

TURN = 50
"""Snapshots that each keeper makes before the next one's turn; the setting of ``synchronous`` changes each time."""

MODES = ("FULL", "NORMAL")
FRESH = 12
"""Processes that bring back one state each."""

SAMPLE = 40
LAST = 40
"""Snapshots at each size whose cost is taken."""

OURS = (Put.name, Appended.name)
RESTORE = 5.0
"""Milliseconds within which any state should be back."""

SIZE = 1.5
SMALLER = {"SqliteSaver": 500, "DeltaChannel": 4}
FASTER = 50


class Cost(NamedTuple):
    """Seconds of CPU and of the clock."""

    cpu: float
    wall: float


@contextmanager
def timed(costs: list[Cost]) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    costs.append(Cost(time.process_time() - cpu, time.perf_counter() - wall))


def micros(costs: Sequence[Cost], each: int = 1) -> str:
    """Means: what all of them took, by their number."""
    cpu, wall = (statistics.fmean(values) / each * 1e6 for values in zip(*costs, strict=True))
    return f"{cpu:8.0f} {wall:8.0f}"


def millis(costs: Sequence[Cost]) -> str:
    """The median and the most, of CPU and of the clock."""
    both = [[value * 1000 for value in values] for values in zip(*costs, strict=True)]
    return " ".join(f"{statistics.median(values):8.2f} {max(values):8.2f}" for values in both)


# -- putting -------------------------------------------------------------------------------------------


class Race:
    """Keepers that take turns, so that a machine that is slow for a while is slow for all of them."""

    def __init__(self, keepers: Sequence[Keeper], said: list[Message]) -> None:
        self.keepers, self._said = keepers, said
        self.defaults = {keeper: keeper.synchronous() for keeper in keepers}
        self.costs: dict[tuple[Keeper, str], list[Cost]] = {(each, mode): [] for each in keepers for mode in MODES}
        self._states: dict[Keeper, list[Message]] = {keeper: [] for keeper in keepers}

    def run(self, until: int) -> None:
        """Keep all states up to the one of so many messages."""
        for start in range(len(self._states[self.keepers[0]]), until, TURN):
            mode = MODES[start // TURN % len(MODES)]
            for keeper in self.keepers:
                keeper.synchronous(mode)
                messages = self._states[keeper]
                with timed(self.costs[keeper, mode]):
                    for message in self._said[start : start + TURN]:
                        messages.append(message)
                        keeper.keep(messages)

    def last(self, keeper: Keeper) -> list[Cost]:
        """What each of the last snapshots cost, as the keeper comes."""
        return [Cost(cost.cpu / TURN, cost.wall / TURN) for cost in self.costs[keeper, self.defaults[keeper]][-1:]]

    def report(self, theirs: Keeper) -> None:
        print(
            f"\none more kept, us: mean of all {SNAPSHOTS}, of the last {TURN * 4}; times faster in CPU (aim {FASTER})"
        )
        print(f"  {'':46} {'synchronous':>18} {'CPU':>8} {'wall':>8} {'times':>7} {'CPU':>10} {'wall':>8} {'times':>7}")
        for keeper in self.keepers:
            for mode in sorted(MODES, key=lambda mode: mode != self.defaults[keeper]):
                says = f"{mode}, its own" if mode == self.defaults[keeper] else mode
                other = self.costs[theirs, self.defaults[theirs] if mode == self.defaults[keeper] else mode]
                costs = self.costs[keeper, mode]
                print(f"  {keeper.name:46} {says:>18} {micros(costs, TURN)} {ratio(other, costs):7.1f} ", end="")
                print(f" {micros(costs[-2:], TURN)} {ratio(other[-2:], costs[-2:]):7.1f}")


def ratio(theirs: Sequence[Cost], ours: Sequence[Cost]) -> float:
    """By how much the mean CPU of one is more than that of the other."""
    return statistics.fmean(cost.cpu for cost in theirs) / statistics.fmean(cost.cpu for cost in ours)


# -- bringing back -------------------------------------------------------------------------------------


def restored(keeper: Keeper, lengths: Sequence[int], said: list[Message]) -> list[Cost]:
    costs: list[Cost] = []
    for length in lengths:
        with timed(costs):
            messages = keeper.restore(length)
        assert messages == said[:length], f"{keeper.name} gave back another conversation"
    return costs


def in_fresh_stores(path: Path, ids: Sequence[str]) -> list[Cost]:
    """From opening on, with nothing remembered."""
    costs: list[Cost] = []
    for id in ids:
        with timed(costs):
            store = SnapshotStore(path)
            _ = store.get(id).state
        store.close()
    return costs


def in_fresh_processes(path: Path, ids: Sequence[str]) -> list[Cost]:
    """The first thing that a process does once it has the module."""
    command = [sys.executable, "-m", "tests.bench.snapshots", "restore", str(path)]
    return [Cost(*json.loads(subprocess.check_output([*command, id]))) for id in ids]


def report_restores(race: Race, said: list[Message]) -> None:
    title = f"a state of {SNAPSHOTS} brought back, ms (bound {RESTORE:g})"
    print(f"\n{title:48} {'times':>6} {'CPU P50':>8} {'max':>8} {'wall P50':>8} {'max':>8}")
    lengths = [*random.Random(4).sample(range(1, SNAPSHOTS), SAMPLE - 1), SNAPSHOTS]
    ours = next(keeper for keeper in race.keepers if isinstance(keeper, Put))
    ids = [ours.ids[length - 1] for length in lengths]
    rows = {
        "openclaw_nb, fresh process": in_fresh_processes(ours.path, ids[-FRESH:]),
        "openclaw_nb, opened anew, with that": in_fresh_stores(ours.path, ids),
        "openclaw_nb, the longest, opened anew": in_fresh_stores(ours.path, ids[-1:] * SAMPLE),
        "openclaw_nb, every one, in any order": restored(ours, random.sample(range(1, SNAPSHOTS + 1), SNAPSHOTS), said),
    }
    for keeper in race.keepers:
        if isinstance(keeper, Saved):
            rows[keeper.name] = restored(keeper, lengths, said)
    for name, costs in rows.items():
        print(f"  {name:46} {len(costs):6} {millis(costs)}")


# -- sizes, and how it grows ---------------------------------------------------------------------------


class Point(NamedTuple):
    """What a keeper is like at so many snapshots: bytes of its file at rest and with the log in use, what the last ones
    cost to keep, each, and what it takes to bring one back.
    """

    rest: int
    in_use: int
    kept: list[Cost]
    restores: list[Cost]

    def row(self, name: str, count: int) -> str:
        rest, in_use = (bytes / (count * MESSAGE_BYTES) for bytes in (self.rest, self.in_use))
        return f"  {name:46} {count:6} {rest:8.2f} {in_use:8.2f} {micros(self.kept)}   {millis(self.restores)}"


def look(keeper: Keeper, said: list[Message], kept: list[Cost]) -> Point:
    rest, in_use = keeper.sizes()
    lengths = [*random.sample(range(1, len(said) + 1), SAMPLE // 4), len(said)]
    return Point(rest, in_use, kept, restored(keeper, lengths, said))


Points = dict[str, dict[int, Point]]


def grown(folder: Path, said: list[Message]) -> Points:
    """The store far beyond what the others can bear: by append, and at each size a few whole states as well."""
    keeper, other = Appended(folder / "grown.db"), Put(folder / "grown.db")
    points: Points = {keeper.name: {}, other.name: {}}
    messages: list[Message] = []
    for count in GROWTH:
        kept: dict[Keeper, list[Cost]] = {keeper: [], other: []}
        for message in said[len(messages) : count]:
            messages.append(message)
            by = other if count - len(messages) < LAST else keeper
            with timed(kept[by]):
                by.keep(messages)
            keeper.ids.extend(other.ids)
            other.ids.clear()
        point = look(keeper, messages, kept[keeper][-LAST:])
        points[keeper.name][count] = point
        points[other.name][count] = point._replace(kept=kept[other][1:])  # the first one sees a state new to it
    other.close()
    keeper.close()
    return points


def graphs(folder: Path, said: list[Message]) -> Points:
    points: Points = {}
    for every, plain, sizes in GRAPHS:
        for count in sizes:
            keeper = Graph(folder / f"graph-{every}-{plain}-{count}.db", every, plain=plain)
            kept: list[Cost] = []
            with timed(kept):
                keeper.keep(said[:count])
            each = [Cost(cost.cpu / count, cost.wall / count) for cost in kept]
            points.setdefault(keeper.name, {})[count] = look(keeper, said[:count], each)
            keeper.close()
            keeper.path.unlink()
    return points


def report_puts_beyond(folder: Path, said: list[Message], points: Points) -> None:
    """What one more of its puts costs where a whole file of them would not fit on this disk."""
    for count in GROWTH:
        if count > SNAPSHOTS:
            keeper = Saved(folder / "beyond.db")
            costs: list[Cost] = []
            for length in range(count - LAST // 4, count):
                state = said[:length]
                with timed(costs):
                    keeper.keep(state)
            keeper.close()
            keeper.path.unlink()
            ours = " and ".join(f"{ratio(costs, points[each][count].kept):.0f} x {each}" for each in OURS)
            lies = count**2 * MESSAGE_BYTES / 2e9
            print(f"  {keeper.name} at {count:6}: {micros(costs)} us, {ours}; all {count} would take {lies:.0f} GB")


def report_sizes(points: Points) -> None:
    ours = points[Put.name][SNAPSHOTS]
    print(
        f"\n{SNAPSHOTS} snapshots, a conversation growing by {MESSAGE_BYTES} B: x raw at rest (ours at most {SIZE}), ",
        end="",
    )
    print("all of the log in the file, and as both lay in use")
    for name, found in points.items():
        rest, in_use = (bytes / (SNAPSHOTS * MESSAGE_BYTES) for bytes in found[SNAPSHOTS][:2])
        smaller = found[SNAPSHOTS].rest / ours.rest
        bound = next((f"at least {least}" for what, least in SMALLER.items() if what in name), "")
        print(f"  {name:46} {rest:8.2f} {in_use:8.2f}   {smaller:7.1f} times ours {bound}")


def report_growth(points: Points) -> None:
    print(
        "\nhow it grows: x raw at rest, in use; us to keep each of the last (of a graph: of all); ms to bring one back"
    )
    print(f"  {'':46} {'':6} {'rest':>8} {'in use':>8} {'CPU':>8} {'wall':>8}", end="   ")
    print(f"{'CPU P50':>8} {'max':>8} {'wall P50':>8} {'max':>8}")
    for name, found in points.items():
        for count, point in found.items():
            print(point.row(name, count))


def main() -> None:
    said = conversation(max(GROWTH))
    gc.collect()
    gc.freeze()  # the collector's searches through LangGraph's modules are no part of what is measured, for anybody
    print(f"\n{versions()}; SQLite {sqlite3.sqlite_version}, write-ahead log with all")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        race = Race([Put(folder / "put.db"), Appended(folder / "append.db"), Saved(folder / "saved.db")], said)
        points: Points = {keeper.name: {} for keeper in race.keepers}
        for count in (size for size in GROWTH if size <= SNAPSHOTS):
            race.run(count)
            for keeper in race.keepers:
                points[keeper.name][count] = look(keeper, said[:count], race.last(keeper))
        race.report(race.keepers[-1])
        report_restores(race, said)
        for keeper in race.keepers:
            keeper.close()
            keeper.path.unlink()
        points |= graphs(folder, said)
        report_sizes(points)
        for name, more in grown(folder, said).items():
            points[name] |= more
        report_growth(points)
        report_puts_beyond(folder, said, points)


def restore(path: str, id: str) -> None:
    """Say what bringing one state back cost in this process."""
    costs: list[Cost] = []
    with timed(costs):
        _ = SnapshotStore(path).get(id).state
    print(json.dumps(costs[0]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["restore"]:
        restore(*sys.argv[2:])
    else:
        main()
