"""A store with runs of a pool in it, written as a pool writes them."""

from __future__ import annotations

from typing import Any

from openclaw_nb.pool import record as records
from openclaw_nb.pool.record import Member, Record
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import Snapshot

__all__ = ["Pooled"]


class Pooled:
    """One run of a pool in ``session``; its agents say what they are made to."""

    def __init__(self, memory: Memory, *names: str, session: str = "main", run: str = "p", **facts: Any) -> None:
        self.memory, self.session = memory, session
        members = [Member(name, name, f"{session}/{name}", f"{run}-{n}") for n, name in enumerate(names)]
        self.record = Record(run, facts.pop("task", "implement feature X"), facts.pop("mode", "parallel"), members)
        self.began = records.enter(memory, session, self.record)

    def sessions(self) -> list[str]:
        return [member.session for member in self.record.members]

    def on_the_way(self, name: str, text: str = "half", parent: Snapshot | None = None) -> Snapshot:
        """A checkpoint of that agent's run."""
        member = self._member(name)
        run = {
            "id": member.run, "agent": "main", "message": self.record.task, "level": 2, "model": None, "budget": None,
            "at": self.began.length, "base": self.began.id, "tokens": 1, "offset": len(text), "calls": [],
            "state": "running",
        }  # fmt: skip
        said: list[dict[str, Any]] = [{"role": "assistant", "content": text, "run": member.run, "part": 0}]
        if parent is None:
            said.insert(0, {"role": "user", "content": self.record.task})
        base = (parent or self.began).id
        return self.memory.fork(member.session, base, said, kind="checkpoint", level=2, run=run)

    def answers(self, name: str, text: str = "done it", cost: float = 0.0) -> Snapshot:
        """The end of that agent's run."""
        member = self._member(name)
        said = [
            {"role": "user", "content": self.record.task},
            {"role": "assistant", "content": text, "run": member.run, "level": 2},
        ]
        head = self.memory.head(member.session)
        spent = (head.state.get("spent", 0.0) if head else 0.0) + cost
        return self.memory.append(member.session, said, kind="turn", level=2, spent=spent)

    def ends(self, cost: float | None = None, **ended: str) -> Snapshot:
        """The end of all, each as said or else done."""
        self.record.ended = {member.name: "done" for member in self.record.members} | ended
        return self.memory.store.get(records.end(self.memory, self.session, self.record, cost))

    def _member(self, name: str) -> Member:
        return next(member for member in self.record.members if member.name == name)
