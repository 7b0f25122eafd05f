"""Outline, what a timeline draws of a store's snapshots: an entry for each, in order of time, on branches in lanes.

Pure: snapshots are passed in. An entry's place in the list is its column, and neither it nor its lane ever changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import one_line
from ..snapshots import Snapshot

__all__ = ["FAR", "NONE", "Branch", "Entry", "Outline"]

FAR = 48
"""Columns; the line from a snapshot to a branch that grew from it later than this is not drawn whole."""

HOLD = 24
"""Columns for which the lane of a branch is kept free behind its last snapshot."""

NONE = -1

_LABEL = 80  # characters of a name that are shown
_MIDDLE = ("checkpoint", "step")


@dataclass(slots=True)
class Branch:
    """Snapshots of which each grew from the one before: from column ``first`` to ``last``, in one ``lane``.

    ``source`` is the column of the snapshot that the first one grew from, or `NONE`.
    """

    lane: int
    source: int
    first: int
    last: int

    @property
    def begins(self) -> int:
        """The column from which its line is drawn."""
        return self.source if self.source >= self.first - FAR and self.source != NONE else self.first


@dataclass(slots=True)
class Entry:
    """One snapshot in short. ``parent`` is a column, `NONE` for a first one or where the parent is pruned; ``size``
    bytes; ``spent`` USD of the whole state so far; ``level`` 1 to 4, or 0 where none is known.
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


class Outline:
    """The entries of a store and their branches; `add` and `relabel` follow what is written to it."""

    def __init__(self, snapshots: Iterable[Snapshot] = ()) -> None:
        self.entries: list[Entry] = []
        self.branches: list[Branch] = []
        self._column: dict[str, int] = {}
        self._lanes: list[int] = []  # the branch that has each lane
        self._ended: set[int] = set()  # columns from which a turn grew
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
        return self._append(Entry(
            snapshot.id, parent, NONE, one_line(snapshot.label, _LABEL), snapshot.created,
            one_line(snapshot.session or "", _LABEL), one_line(_fact(facts, "kind", str, ""), 20), snapshot.length,
            snapshot.size, _fact(facts, "level", int, 0), float(_fact(facts, "spent", (int, float), 0.0)),
        ))  # fmt: skip

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
            self._ended.add(self._base(entry.parent))
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
            if column is not None and self.entries[column].label != label:
                self.entries[column].label = label
                changed.append(column)
        return changed

    def columns(self, since: int = 0) -> dict[str, Any]:
        """The entries from column ``since`` on, as lists by field: what a page is told; 10,000 are some 500 kB as JSON.

        ``parents`` counts columns back, 0 for none; ``created`` is in milliseconds, each since the one before;
        ``branches`` are [number, lane, source, first] of those that begin here; sessions and kinds stand in ``words``.
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
                [number, branch.lane, branch.source, branch.first]
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
            "spent": [round(1e6 * entry.spent) for entry in new],
            "labels": {str(column): entry.label for column, entry in enumerate(new, since) if entry.label},
        }

    def unended(self) -> Iterator[int]:
        """The columns of the last snapshots of runs of which no end was kept: under way, or cut."""
        for branch in self.branches:
            if self.entries[branch.last].kind in _MIDDLE and self._base(branch.last) not in self._ended:
                yield branch.last

    def may_go(self, snapshot: Snapshot) -> bool:
        """Whether it is the first snapshot of a run on its way, which is taken back where the run ends soon."""
        parent = self._column.get(snapshot.parent or "")
        return snapshot.facts.get("kind") in _MIDDLE and (parent is None or self.entries[parent].kind not in _MIDDLE)

    def beside(self, column: int) -> bool:
        """Whether a run's first snapshot, and no other of it, grew from the same one as this end of a run."""
        parent, mid = self.entries[column].parent, self.entries[column].kind in _MIDDLE
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

    def cost(self, column: int) -> float:
        """USD that were spent since the snapshot it grew from."""
        entry = self.entries[column]
        return max(0.0, entry.spent - (self.entries[entry.parent].spent if entry.parent != NONE else 0.0))

    def _base(self, column: int) -> int:
        """The snapshot that a run began from."""
        while column != NONE and self.entries[column].kind in _MIDDLE:
            column = self.entries[column].parent
        return column

    def _branch(self, entry: Entry) -> int:
        """The branch of the next entry: the one its parent ends, if that still has its lane, or a new one.

        A run on its way works beside its session, whose own line goes on when the run has ended.
        """
        column, parent = len(self.entries), entry.parent
        if parent != NONE and not (entry.kind in _MIDDLE and self.entries[parent].kind not in _MIDDLE):
            number = self.entries[parent].branch
            branch = self.branches[number]
            if branch.last == parent and self._lanes[branch.lane] == number:
                branch.last = column
                return number
        new = Branch(0, parent, column, column)
        new.lane = self._free_lane(new.begins)
        self.branches.append(new)
        self._lanes[new.lane : new.lane + 1] = [len(self.branches) - 1]
        return len(self.branches) - 1

    def _free_lane(self, begins: int) -> int:
        for lane, number in enumerate(self._lanes):
            last = self.branches[number].last
            over = self.entries[last].kind in _MIDDLE and self._base(last) in self._ended
            if last < begins and (over or last < len(self.entries) - HOLD):
                return lane
        return len(self._lanes)


def _fact(facts: dict[str, Any], name: str, kind: type | tuple[type, ...], other: Any) -> Any:
    """A fact if it is what it should be; a state may be anybody's."""
    value = facts.get(name)
    return value if isinstance(value, kind) and not isinstance(value, bool) else other
