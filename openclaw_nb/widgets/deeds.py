"""Deeds, what a timeline's page may ask for, done and said in words: restore, branch, compare, name, and to show one.

What asks is a page, so of its message nothing is taken that is not what it should be.
"""

from __future__ import annotations

from typing import Any

from ..errors import SnapshotError, one_line
from ..pool.kept import after, agents, cut_in_session, kept_in, outcomes, whole
from ..render import counted
from ..sessions.comparison import Side, compare
from ..snapshots import Snapshot, SnapshotStore
from ..wording import exchange
from .places import Places

__all__ = ["Deeds"]

LINE = 300  # characters of a message of one snapshot
SIDE, TEXT = 12, 2000  # of one side of a comparison
NAME = 80  # characters of a name

_IN_FIGURES = ("kind", "level", "run", "spent")  # keys of a state of which a side's figures say more


class Deeds:
    """``session`` is the one that restoring moves; None: the one the snapshot was made in."""

    def __init__(self, store: SnapshotStore, places: Places, session: str | None) -> None:
        self._store, self._places, self._session = store, places, session

    def do(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The answer with its ``words`` and ``tone``; None for what is no request. SnapshotError where it fails."""
        match asked:
            case {"kind": "show", "id": str() as id}:
                return {"id": id, "said": self._show(id)}
            case {"kind": "restore", "id": str() as id}:
                return self._restore(id)
            case {"kind": "branch", "id": str() as id, "name": str() as name}:
                return self._branch(id, _name(name))
            case {"kind": "name", "id": str() as id, "name": str() as name}:
                self._store.name(id, one_line(name, NAME))
                return _said(
                    f"{id[:8]} is named {one_line(name, NAME)} now" if name.strip() else f"{id[:8]} has no name now"
                )
            case {"kind": "compare", "a": str() as a, "b": str() as b}:
                return self._compare(a, b)
            case _:
                return None

    def _restore(self, id: str) -> dict[str, Any]:
        snapshot = self._at(id)
        session = self._session or snapshot.session or "main"
        cut = self._places.restore(session, snapshot)
        again = f"%openclaw restore {id[:8]} goes on with it"
        if cut is not None:
            return _said(f"session {session} stands before a question whose run was cut; {again}", "warn")
        if kept_in(snapshot) is not None and cut_in_session(self._store, session, snapshot)[:1]:
            return _said(f"session {session} stands at a pool's run that has no end; {again} if it was cut", "warn")
        return _said(f"session {session} stands at {id[:8]} now")

    def _branch(self, id: str, name: str) -> dict[str, Any]:
        self._places.branch(name, self._at(id).id)
        return _said(f"session {name} begins at {id[:8]}; %%openclaw --session goes on there")

    def _at(self, id: str) -> Snapshot:
        """What an entry stands for: of a pool's run, where its session stood at the end."""
        return after(self._store, self._store.get(id))

    def _compare(self, a: str, b: str) -> dict[str, Any]:
        compared = compare(self._store, a, b)
        sides = [
            {"name": _title(side), "figures": side.figures, "said": _clipped(side)} for side in (compared.a, compared.b)
        ]
        return {
            "common": compared.common,
            "sides": sides,
            "changed": [one_line(key, NAME) for key in compared.changed if key not in _IN_FIGURES],
            **_said(""),
        }

    def _show(self, id: str) -> list[tuple[str, str]]:
        """The first and the last message that the snapshot before it has not; of all, where that one is gone. Of a
        pool's run its task, and how the agents ended."""
        snapshot = self._store.get(id)
        if (pool := kept_in(snapshot)) is not None:
            pool = whole(self._store, snapshot, pool)
            how = " · ".join(outcomes(pool)) if pool.ended else agents(pool)
            return [("task", one_line(pool.task, LINE)), ("agents", one_line(how, LINE))]
        try:
            new = (
                self._store.diff(snapshot.parent, snapshot).only_b
                if snapshot.parent
                else snapshot.state.get("messages")
            )
        except SnapshotError:
            new = snapshot.state.get("messages")
        said = exchange(new if isinstance(new, list) else [])
        return [(who, one_line(text, LINE)) for who, text in (said[:1] + said[1:][-1:])]


def _title(side: Side) -> str:
    return " ".join(filter(None, (side.snapshot.id[:8], one_line(side.snapshot.label, NAME))))


def _clipped(side: Side) -> list[tuple[str, str]]:
    said = exchange(side.messages)
    more = len(said) - SIDE
    rows = [(who, text if len(text) <= TEXT else text[:TEXT] + "…") for who, text in said[:SIDE]]
    return [*rows, ("", f"and {counted(more, 'message')} more")] if more > 0 else rows


def _name(text: str) -> str:
    name = one_line(text, NAME)
    if not name:
        raise SnapshotError("a branch needs a name for its session")
    return name


def _said(words: str, tone: str = "ok") -> dict[str, Any]:
    return {"words": words, "tone": tone}
