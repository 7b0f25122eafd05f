"""Outline, what a timeline draws of a store's snapshots: an entry for each, in order of time, on branches in lanes.

Pure: snapshots are passed in. An entry's place in the list is its column, and neither it nor its lane ever changes. A
pool's run has one entry, though two snapshots keep it, and a branch for each agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import one_line
from ..pool.kept import agents, figures, kept_in, settled
from ..pool.record import Record
from ..snapshots import Snapshot

__all__ = ["FAR", "NONE", "Branch", "Entry", "Outline"]

FAR = 48
"""Columns; the line from a snapshot to a branch that grew from it later than this is not drawn whole."""

HOLD = 24
"""Columns for which the lane of a branch is kept free behind its last snapshot; of an agent at work so many times more
as there are agents."""

NONE = -1

_LABEL = 80  # characters of a name that are shown
_MIDDLE = ("checkpoint", "step")


@dataclass(slots=True)
class Branch:
    """Snapshots of which each grew from the one before: from column ``first`` to ``last``, in one ``lane``.

    ``source`` is the column of the snapshot that the first one grew from, or `NONE`; ``agent`` the name of the one
    whose part in a pool's run it is.
    """

    lane: int
    source: int
    first: int
    last: int
    agent: str = ""

    @property
    def begins(self) -> int:
        """The column from which its line is drawn."""
        return self.source if self.source >= self.first - FAR and self.source != NONE else self.first


@dataclass(slots=True)
class Entry:
    """One snapshot in short. ``parent`` is a column, `NONE` for a first one or where the parent is pruned; ``size``
    bytes; ``spent`` USD of the whole state so far, ``cost`` of it since the snapshot that it grew from; ``level`` 1 to
    4, or 0 where none is known; ``pool`` what is kept of a pool's run that begins here.
    """

    id: str
    parent: int
    branch: int
    label: str
    created: float
    session: str
    kind: str
    length: int
    size: int
    level: int
    spent: float
    cost: float = 0.0
    pool: Record | None = None


class Outline:
    """The entries of a store and their branches; `add` and `relabel` follow what is written to it."""

    def __init__(self, snapshots: Iterable[Snapshot] = ()) -> None:
        self.entries: list[Entry] = []
        self.branches: list[Branch] = []
        self._column: dict[str, int] = {}
        self._lanes: list[int] = []  # the branch that has each lane
        self._ended: set[tuple[int, str]] = set()  # columns from which a turn grew, with its session if an agent's
        self._agents: dict[tuple[int, str], int] = {}  # the branch of each agent of a pool's run, by its session
        self._pools: dict[str, int] = {}  # columns of pools' runs
        self._spent: dict[str, float] = {}  # USD at the end of a pool's run
        self._heard: set[int] = set()
        for snapshot in snapshots:
            self.add(snapshot)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def lanes(self) -> int:
        return len(self._lanes)

    def column(self, id: str) -> int | None:
        return self._column.get(id)

    def add(self, snapshot: Snapshot) -> int | None:
        """The column of a new snapshot; None for one that is there."""
        if snapshot.id in self._column:
            return None
        facts = snapshot.facts
        parent = self._column.get(snapshot.parent or "", NONE)
        spent = float(_fact(facts, "spent", (int, float), 0.0))
        cost = max(0.0, spent - self._spent_at(snapshot.parent, parent))
        pool = kept_in(snapshot)
        if pool is not None and pool.ended is not None and self._settle(snapshot, pool, parent, spent, cost):
            return None
        return self._append(Entry(
            snapshot.id, parent, NONE, one_line(snapshot.label, _LABEL), snapshot.created,
            one_line(snapshot.session or "", _LABEL), one_line(_fact(facts, "kind", str, ""), 20), snapshot.length,
            snapshot.size, _fact(facts, "level", int, 0), spent, cost, pool,
        ))  # fmt: skip

    def _settle(self, end: Snapshot, pool: Record, parent: int, spent: float, cost: float) -> bool:
        """Note how a pool's run ended at the entry of its beginning; False where that one is gone.

        Its session stands where it stood before, and there goes on.
        """
        column = self._pools.get(pool.id, NONE)
        if NONE in (column, parent) or end.length != self.entries[parent].length:
            return False
        entry = self.entries[column]
        self._column[end.id] = parent
        self._spent |= {end.id: spent, entry.id: entry.spent}
        entry.pool, entry.cost = settled(entry.pool, pool) if entry.pool else pool, cost
        if parent == column:
            entry.spent = spent
        self._heard.add(column)
        return True

    def _spent_at(self, id: str | None, column: int) -> float:
        return self._spent.get(id or "", self.entries[column].spent if column != NONE else 0.0)

    def ended(self) -> set[int]:
        """The columns of pools' runs of which the end was heard since this was asked last."""
        ended, self._heard = self._heard, set()
        return ended

    def thinned(self, columns: Iterable[int]) -> tuple[Outline, list[int]]:
        """An outline of these columns only, and how many each leaves out between itself and the one it grows from."""
        thin, left_out, place = Outline(), [], {NONE: NONE}
        for column in sorted(set(columns)):
            parent, count = self.entries[column].parent, 0
            while parent not in place:
                parent, count = self.entries[parent].parent, count + 1
            place[column] = thin._append(replace(self.entries[column], parent=place[parent]))
            left_out.append(count)
        return thin, left_out

    def _append(self, entry: Entry) -> int:
        if entry.kind not in _MIDDLE and entry.parent != NONE:
            self._ended.add(self._began(entry))
        if entry.pool is not None:
            self._pools[entry.pool.id] = len(self.entries)
        entry.branch = self._branch(entry)
        self._column[entry.id] = len(self.entries)
        self.entries.append(entry)
        return len(self.entries) - 1

    def relabel(self, snapshots: Iterable[Snapshot]) -> list[int]:
        """Take the labels of now; the columns whose labels changed. To name one snapshot may unname another."""
        changed = []
        for snapshot in snapshots:
            column = self._column.get(snapshot.id)
            label = one_line(snapshot.label, _LABEL)
            if column is None or self.entries[column].id != snapshot.id:  # the end of a pool's run has none of its own
                continue
            if self.entries[column].label != label:
                self.entries[column].label = label
                changed.append(column)
        return changed

    def columns(self, since: int = 0) -> dict[str, Any]:
        """The entries from column ``since`` on, as lists by field: what a page is told; 10,000 are some 500 kB as JSON.

        ``parents`` counts columns back, 0 for none; ``created`` is in milliseconds, each since the one before;
        ``branches`` are [number, lane, source, first, agent] of those that begin here; sessions and kinds stand in
        ``words``; ``costs`` in millionths of a USD.
        """
        new = self.entries[since:]
        words = list(dict.fromkeys(word for entry in new for word in (entry.session, entry.kind)))
        place = {word: number for number, word in enumerate(words)}
        times = [round(1000 * entry.created) for entry in new]
        return {
            "at": since,
            "ids": " ".join(entry.id for entry in new),
            "parents": [column - e.parent if e.parent != NONE else 0 for column, e in enumerate(new, since)],
            "branch": [entry.branch for entry in new],
            "branches": [
                [number, branch.lane, branch.source, branch.first, branch.agent]
                for number, branch in enumerate(self.branches)
                if branch.first >= since
            ],
            "created": [time - before for time, before in zip(times, [0, *times], strict=False)],
            "words": words,
            "sessions": [place[entry.session] for entry in new],
            "kinds": [place[entry.kind] for entry in new],
            "lengths": [entry.length for entry in new],
            "sizes": [entry.size for entry in new],
            "levels": [entry.level for entry in new],
            "costs": [round(1e6 * entry.cost) for entry in new],
            "labels": {str(column): entry.label for column, entry in enumerate(new, since) if entry.label},
            "pools": self.pools(range(since, len(self.entries))),
        }

    def pools(self, columns: Iterable[int]) -> dict[str, Any]:
        """Of those columns that are pools' runs: [the agents, figures, cost] as a page is told."""
        entries = ((column, self.entries[column]) for column in columns)
        return {
            str(column): [agents(entry.pool), figures(entry.pool), round(1e6 * entry.cost)]
            for column, entry in entries
            if entry.pool is not None
        }

    def unended(self) -> Iterator[int]:
        """The columns of the last snapshots of runs of which no end was kept: under way, or cut. Of pools' runs the
        first ones."""
        for branch in self.branches:
            if (last := self.entries[branch.last]).kind in _MIDDLE and self._began(last) not in self._ended:
                yield branch.last
        for column in self._pools.values():
            if (pool := self.entries[column].pool) is not None and pool.ended is None:
                yield column

    def heads(self, sessions: Mapping[str, Snapshot], here: str | None = None) -> dict[str, int]:
        """Where sessions stand, by name. An agent's at its own part of a pool's run has that part's name already, and
        is left out, unless it is the one that is ``here``."""
        heads = {}
        for name, snapshot in sessions.items():
            column, session = self._column.get(snapshot.id), one_line(name, _LABEL)
            if column is not None and (name == here or not self._agent_at(column, session)):
                heads[one_line(name)] = column
        return heads

    def _agent_at(self, column: int, session: str) -> bool:
        entry = self.entries[column]
        branch = self.branches[entry.branch]
        own = bool(branch.agent) and entry.session == session and branch.last == column
        return own or bool(self._agent(column, session))

    def may_go(self, snapshot: Snapshot) -> bool:
        """Whether it is the first snapshot of a run on its way, which is taken back where the run ends soon."""
        parent = self._column.get(snapshot.parent or "")
        return snapshot.facts.get("kind") in _MIDDLE and (parent is None or self.entries[parent].kind not in _MIDDLE)

    def beside(self, column: int) -> bool:
        """Whether a run's first snapshot, and no other of it, grew from the same one as this end of a run."""
        entry = self.entries[column]
        parent, mid, own = entry.parent, entry.kind in _MIDDLE, self.branches[entry.branch]
        if own.agent:
            before = [other.kind for other in self.entries[own.first : column] if other.branch == entry.branch]
            return not mid and len(before) == 1 and before[0] in _MIDDLE
        return not mid and any(
            branch.source == parent and branch.first == branch.last and self.entries[branch.last].kind in _MIDDLE
            for branch in self.branches
        )

    def gone(self, ids: set[str]) -> bool:
        """Whether one of the entries is not among the ``ids`` that a store has."""
        return not self._column.keys() <= ids

    def added(self, column: int) -> int:
        """Messages that a snapshot has more than the one it grew from."""
        entry = self.entries[column]
        return entry.length - (self.entries[entry.parent].length if entry.parent != NONE else 0)

    def _base(self, column: int) -> int:
        """The snapshot that a run began from."""
        while column != NONE and self.entries[column].kind in _MIDDLE:
            column = self.entries[column].parent
        return column

    def _agent(self, column: int, session: str) -> str:
        """The agent whose session that is in the pool's run that begins there; "" for none."""
        pool = self.entries[column].pool if column != NONE else None
        members = pool.members if pool is not None else ()
        return next((one.name for one in members if one_line(one.session, _LABEL) == session), "")

    def _began(self, entry: Entry) -> tuple[int, str]:
        """The snapshot that a run began from, and its session if that is an agent's in a pool's run from there."""
        column = self._base(entry.parent)
        return column, entry.session if self._agent(column, entry.session) else ""

    def _branch(self, entry: Entry) -> int:
        """The branch of the next entry: the one its parent ends, if that still has its lane, or a new one.

        A run on its way works beside its session, whose own line goes on when the run has ended. An agent of a pool's
        run has a line of its own from its first snapshot on.
        """
        column, parent = len(self.entries), entry.parent
        began = self._began(entry)
        agent = self._agent(*began)
        if agent:
            number = self._agents.get(began)
        elif parent != NONE and not (entry.kind in _MIDDLE and self.entries[parent].kind not in _MIDDLE):
            number = self.entries[parent].branch
        else:
            number = None
        if number is not None and self._goes_on(number, entry):
            self.branches[number].last = column
            return number
        new = Branch(0, parent, column, column, one_line(agent, _LABEL))
        new.lane = self._free_lane(new.begins)
        self.branches.append(new)
        self._lanes[new.lane : new.lane + 1] = [len(self.branches) - 1]
        if agent:
            self._agents[began] = len(self.branches) - 1
        return len(self.branches) - 1

    def _goes_on(self, number: int, entry: Entry) -> bool:
        """Whether a branch may have the next entry: it has its lane still, and ends where that grew from. An agent's
        may end in the middle of its run, which began there too."""
        branch = self.branches[number]
        there = branch.last == entry.parent or (branch.agent and self.entries[branch.last].kind in _MIDDLE)
        return bool(there) and self._lanes[branch.lane] == number

    def _free_lane(self, begins: int) -> int:
        for lane, number in enumerate(self._lanes):
            branch = self.branches[number]
            last = self.entries[branch.last]
            over = last.kind in _MIDDLE and self._began(last) in self._ended
            if branch.last < begins and (over or branch.last < len(self.entries) - self._patience(branch, last)):
                return lane
        return len(self._lanes)

    def _patience(self, branch: Branch, last: Entry) -> int:
        """Columns for which the lane of a branch is kept free. Many agents at work keep each other waiting."""
        pool = self.entries[branch.source].pool if branch.agent and last.kind in _MIDDLE else None
        return HOLD * len(pool.members) if pool is not None else HOLD


def _fact(facts: dict[str, Any], name: str, kind: type | tuple[type, ...], other: Any) -> Any:
    """A fact if it is what it should be; a state may be anybody's."""
    value = facts.get(name)
    return value if isinstance(value, kind) and not isinstance(value, bool) else other
