"""Memory: at which snapshot each session stands, and what was cut in it; the store as an agent's sessions see it.

A state is plain data. ``messages`` holds what was said, each answer with its ``run``, ``level``, ``model``, ``cost``
and ``tokens``; ``spent`` is USD for all of it, ``kind`` what the snapshot was taken for: a "turn" that ended, a
"checkpoint" in the middle of one, one of its "step"s, or "named" by hand; a "pool" of agents that begins or its "pool
end", which say nothing (see `pool.record`). ``run`` is there while a run is under way or was cut, and ``vars`` where
notebook variables were kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from msgspec import Struct, ValidationError, convert

from ..errors import SnapshotError
from ..ledger import joined
from ..models.base import Image
from ..redaction import redact
from ..snapshots import Snapshot, SnapshotStore
from .lanes import Lanes

__all__ = ["Cut", "Memory", "RunRecord", "cut_in", "run_in", "stage_key"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cut:
    """A run that did not come to its end: what was asked, and the ``text`` and ``tokens`` of the answer that are there.

    ``state`` is "running" where its process died, "failed" or "stopped"; ``calls`` are its tool calls, ``stages`` what
    the steps before its answer gave, by key, ``spent`` USD that it cost. ``images`` went with the message, and
    ``output`` is what the answer has to be, as `chat.send` is told it.
    """

    run_id: str
    message: str
    session: str
    snapshot: str
    agent: str = "main"
    level: int = 2
    model: str | None = None
    budget: float | None = None
    text: str = ""
    tokens: int = 0
    state: str = "running"
    calls: list[dict[str, Any]] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)
    spent: float = 0.0
    images: list[Image] = field(default_factory=list, repr=False)
    output: dict[str, Any] | None = None


class RunRecord(Struct):
    """``state["run"]``: what a run was asked, and how far it came. Its question is the message ``at``, ``base`` the
    snapshot that it began from, ``offset`` code points of its answer are here.
    """

    id: str
    message: str
    agent: str
    level: int
    model: str | None
    budget: float | None
    at: int
    base: str | None
    tokens: int
    offset: int
    calls: list[dict[str, Any]]
    state: str
    stages: dict[str, str] = {}
    spent: float = 0.0


def run_in(state: Mapping[str, Any]) -> RunRecord | None:
    """The record of a run in a state, or None where there is none that a run of ours has left."""
    with suppress(ValidationError):
        return convert(state.get("run"), RunRecord)
    return None


def cut_in(snapshot: Snapshot) -> Cut | None:
    """The run that was cut in a snapshot, or None where none was."""
    state = snapshot.state
    run = run_in(state)
    if run is None:
        return None
    return Cut(
        run.id, run.message, snapshot.session or "main", snapshot.id, run.agent, run.level, run.model, run.budget,
        _said(state["messages"], run.id), run.tokens, run.state, joined(run.calls, state["messages"]),
        {key: text or state.get(stage_key(key), "") for key, text in run.stages.items()}, run.spent,
        *_wishes(state["messages"][run.at : run.at + 1]),
    )  # fmt: skip


def stage_key(key: str) -> str:
    """Where a state on the way has the text of a stage: a part of ``run`` would be kept anew with each of them."""
    return f"stage {key}"


def _cut_at(snapshot: Snapshot, head: Snapshot | None) -> bool:
    """Whether a run was cut in a snapshot that went on from what is said at ``head``."""
    state = snapshot.state
    run = run_in(state)
    if run is None or run.state == "stopped":
        return False
    # By what was said, as the head may have been kept by hand since, or its base pruned.
    return bool(state["messages"][: run.at] == (head.state.get("messages", []) if head else []))


def _wishes(question: list[dict[str, Any]]) -> tuple[list[Image], dict[str, Any] | None]:
    """The images of a question, and what its answer has to be."""
    return (question[0].get("images", []), question[0].get("output")) if question else ([], None)


def _said(messages: list[dict[str, Any]], run_id: str) -> str:
    """The text of one run's answer, which stands in parts while it is under way."""
    return "".join(m["content"] for m in messages if m["role"] == "assistant" and m.get("run") == run_id)


class Memory:
    """The sessions over a store: each stands at a snapshot, and grows from it.

    With ``fresh``, as in a kernel, all begin anew, whatever the store's file has of earlier processes: that comes back
    by `restore`. Without, as at a gateway, they are the file's, for all processes that share it.
    """

    def __init__(self, store: SnapshotStore, *, fresh: bool = False) -> None:
        self.store = store
        self.lanes = Lanes()
        self._heads: dict[str, str | None] | None = {} if fresh else None
        self._left: dict[str, str] = {}  # what an earlier kernel left of the sessions that have begun here
        self._moving = threading.RLock()  # a session grows from where it stands, whoever else moves it meanwhile
        self._cuts: dict[str, Cut] = {}
        self.branched: dict[str, str] = {}
        """The sessions of the runs that have begun a branch, by the run's id."""
        self._writer: ThreadPoolExecutor | None = None
        self.heard: Callable[[str, list[dict[str, Any]], dict[str, Any]], None] | None = None
        """Is told what a session grew by, on the thread that writes it: its name, messages, the rest of that state."""

    # -- where sessions stand --------------------------------------------------------------------

    def head(self, session: str) -> Snapshot | None:
        """The snapshot that a session stands at, or None where it has not begun."""
        if self._heads is None:
            return self.store.head(session)
        id = self._heads.get(session)
        return None if id is None else self.store.get(id)

    def begun(self, session: str) -> bool:
        """Whether a session has begun."""
        return self.store.head(session) is not None if self._heads is None else self._heads.get(session) is not None

    def sessions(self) -> dict[str, Snapshot]:
        """The sessions that have begun, by name, each with the snapshot it stands at."""
        if self._heads is None:
            return self.store.sessions()
        return {name: self.store.peek(id) for name, id in sorted(self._heads.items()) if id is not None}

    def earlier(self) -> dict[str, Snapshot]:
        """Where the sessions of earlier kernels stood, or the run that was cut there; by name."""
        left = {name: self.store.get(id) for name, id in self._left.items()}
        others = {name: self.latest(name) for name in self.store.places() if name not in (self._heads or ())}
        return {name: snapshot for name, snapshot in sorted((left | others).items()) if snapshot is not None}

    def latest(self, session: str) -> Snapshot | None:
        """The newest state of a session, or the run cut in it; an earlier kernel's if it did not begin here."""
        began = self._heads is None or session in self._heads
        head = self.head(session) if began else self.store.head(session)
        last = self.store.last(session)
        return last if last is not None and _cut_at(last, head) else head

    def find(self, which: str | None, session: str = "main") -> Snapshot:
        """A snapshot by name or id, or the newest state of ``session``; SnapshotError where there is none."""
        found = self.store.find(which) if which is not None else self.latest(session)
        if found is None:
            raise SnapshotError(f"session {session!r} has no snapshot yet, and none is left of an earlier kernel")
        return found

    def point(self, session: str, id: str | None) -> None:
        """Put a session at a snapshot, or before all of them."""
        with self._moving:
            self._begin(session)
            self.store.point(session, id)
            if self._heads is not None:
                self._heads[session] = id

    # -- going back, and aside -------------------------------------------------------------------

    def restore(self, session: str, snapshot: Snapshot | None, *, stopped: bool = False) -> Cut | None:
        """Put a session at ``snapshot``, None for before all; where a run was cut in it, before its question.

        Gives that run to go on with: not one that came to its end later, and one that the user stopped only if
        ``stopped`` says so. SnapshotError while a run is at work.
        """
        if self.lanes.busy(session):
            raise SnapshotError(
                f"a run is at work in session {session!r}; stop it first, or restore to another session"
            )
        cut = cut_in(snapshot) if snapshot else None
        stays = cut is not None and cut.text and (self._ended(cut) if cut.state != "stopped" else not stopped)
        if snapshot is None or cut is None or stays:
            self.point(session, snapshot.id if snapshot else None)
            return None
        self._go_before(session, snapshot)
        self._cuts[cut.run_id] = cut
        return cut if cut.state != "stopped" or stopped else None

    def branch(self, session: str, which: str) -> Snapshot:
        """Begin ``session`` at a snapshot, by name or id, or where another session stands; again is no mistake."""
        start = self.head(which) or self.store.find(which)
        head = self.head(session)
        if head is not None and head.id != start.id:
            raise SnapshotError(f"session {session!r} has begun already; give the branch a new name")
        self.point(session, start.id)
        return start

    # -- keeping ---------------------------------------------------------------------------------

    def keep(self, session: str, label: str, **others: Any) -> Snapshot:
        """Keep where a session stands by hand, under a name, with other values such as ``vars``."""
        return self.append(session, (), label=label, kind="named", **others)

    def append(
        self, session: str, messages: Iterable[Mapping[str, Any]], *, label: str = "", **others: Any
    ) -> Snapshot:
        """Let a session grow by ``messages``; secrets in them are kept as what they are called."""
        names = [name for name in others if name != "vars"]
        # All at once: to know what is to be looked for takes longer than to look.
        said, label, *found = redact((list(messages), label, *(others[name] for name in names)))
        values = others | dict(zip(names, found, strict=True))
        with self._moving:
            self._begin(session)
            parent = None if self._heads is None else self._heads[session] or ""
            snapshot = self.store.append(session, said, label=label, parent=parent, **values)
            if self._heads is not None:
                self._heads[session] = snapshot.id
        if self.heard is not None:
            self.heard(session, said, values)
        return snapshot

    def merge_beside(
        self, session: str, run_id: str, past: list[dict[str, Any]], base: str | None, *args: Any, **others: Any
    ) -> tuple[Snapshot, str]:
        """Let a session grow from where a run began that worked beside others, if it still says what it said then.

        Where it has moved on, or another run is at work in it, that run has begun a branch: main-2, main-3, … Gives the
        snapshot, and the session that stands at it.
        """
        with self._moving:
            head = self.head(session)
            if self.lanes.busy(session) or (head.state.get("messages", []) if head else []) != past:
                free = (name for n in count(2) if not self.lanes.busy(name := f"{session}-{n}") and not self.head(name))
                session = self.branched[run_id] = next(free)
                self.point(session, base)
            return self.append(session, *args, **others), session

    def fork(self, session: str, parent: str | None, messages: Iterable[Mapping[str, Any]], **others: Any) -> Snapshot:
        """Keep the state ``parent`` (None: nothing) grown by ``messages``, beside the session, which stays."""
        return self.store.append(session, redact(list(messages)), parent=parent or "", merge=False, **redact(others))

    def cut(self, session: str, run_id: str, text: str) -> Cut | None:
        """What is known of a run that was cut, from where its session stands, its last state, or what was restored.

        One that has come to its end since goes on under a new id; it is known by the ``text`` that it goes on from.
        """
        for snapshot in (self.head(session), self.store.last(session)):
            if snapshot is not None and (cut := cut_in(snapshot)) is not None and cut.run_id == run_id:
                return cut
        again = (cut for cut in self._cuts.values() if text and cut.text == text)
        return self._cuts.get(run_id) or next(again, None)

    def base(self, session: str, run_id: str) -> Snapshot | None:
        """What a run begins from: where its session stands, but before its question if it was taken up again."""
        self._begin(session)
        head = self.head(session)
        if head is None or "run" not in head.keys - head.facts.keys():
            return head
        run = run_in(head.state)
        if run is not None and run.id == run_id:
            self._go_before(session, head)
            return self.head(session)
        return head

    # -- not on the loop -------------------------------------------------------------------------

    def submit(self, work: Callable[..., T], *args: Any, **others: Any) -> Future[T]:
        """Have it done after all that was submitted before: here in memory, on a thread of its own for a file."""
        if self.store.in_memory:
            done: Future[T] = Future()
            try:
                done.set_result(work(*args, **others))
            except Exception as error:
                done.set_exception(error)
            return done
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "openclaw snapshots")
        return self._writer.submit(partial(work, *args, **others))

    async def do(self, work: Callable[..., T], *args: Any, **others: Any) -> T:
        """The same, waited for."""
        if self.store.in_memory:
            return work(*args, **others)
        # Whoever waits may be stopped, and a second time while the disk is slow: the work is done all the same.
        return await asyncio.shield(asyncio.wrap_future(self.submit(work, *args, **others)))

    def close(self) -> None:
        """Finish what was submitted. The store stays open."""
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    # -- inside ----------------------------------------------------------------------------------

    def _begin(self, session: str) -> None:
        """Before the first word of this kernel in a session: note what an earlier one left of it."""
        with self._moving:
            if self._heads is None or session in self._heads:
                return
            with suppress(SnapshotError):  # damaged, and a new beginning needs none of it
                if (left := self.latest(session)) is not None:
                    self._left[session] = left.id
            self._heads[session] = None

    def _ended(self, cut: Cut) -> bool:
        """Whether a run that was under way in a snapshot came to its end after it."""
        run = run_in(self.store.get(cut.snapshot).state)
        base = run.base if run else None
        later = (s for s in self.store.list() if s.parent == base and s.facts.get("kind") == "turn")
        ends = (s.state["messages"][-1:] for s in later if "run" not in s.keys - s.facts.keys())
        return any(message.get("run") == cut.run_id for end in ends for message in end)

    def _go_before(self, session: str, snapshot: Snapshot) -> None:
        """Put a session at the state before the question of the run in ``snapshot``."""
        state = snapshot.state
        run = convert(state["run"], RunRecord)
        base = run.base
        try:
            if base is not None:
                self.store.get(base)
        except SnapshotError:  # pruned, so what it had is taken from here
            own = dict.fromkeys(map(stage_key, run.stages))
            before = {**state, **own, "messages": state["messages"][: run.at], "run": None, "kind": "turn"}
            base = self.store.put(before, parent=snapshot.id, session=session).id
        self.point(session, base)
