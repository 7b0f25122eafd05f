"""Fork: the state that one run works on, beside its session: kept as it grows, and merged back when the run ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from msgspec import to_builtins

from ..errors import SnapshotError
from ..ledger import Ledger
from ..models.base import Image, Message, Output
from ..reasoning.budgets import Meter
from ..redaction import settled
from ..snapshots import Snapshot
from .memory import Cut, Memory, stage_key

__all__ = ["Fork", "Task"]

log = logging.getLogger("openclaw_nb")


@dataclass(slots=True)
class Task:
    """What a run was asked, as its snapshots keep it; ``budget`` is its limit in USD, ``beside`` how it works."""

    id: str
    message: str
    session: str
    agent: str
    level: int
    model: str | None
    budget: float | None = None
    beside: bool = False
    images: tuple[Image, ...] = field(default=(), repr=False)
    output: Output | None = None


class Fork:
    """One run's state. ``past`` is what was said in its session before; ``answer`` collects what is said now.

    A snapshot is taken when it begins (where a file outlives the process), every ``interval`` seconds in which the
    answer grew, and at each `step`. Writing is done elsewhere, so that no stream waits for it. None takes none.

    ``cut`` is what is known of a run that is taken up again: its ``ledger`` has the tool calls, ``known`` its text,
    ``stages`` the steps that came to their end.
    """

    def __init__(
        self, memory: Memory, task: Task, base: Snapshot | None, interval: float | None, cut: Cut | None = None
    ) -> None:
        self.task = task
        self.session = task.session
        """The session that it is merged into: a branch of the one asked for where that has moved on."""
        self.ledger = Ledger(task.id, cut.calls if cut else ())
        self.known = cut.text if cut else ""
        self.stages: dict[str, str] = dict(cut.stages) if cut else {}
        """What the steps of its deliberation gave, by key."""
        self.spent_before = cut.spent if cut else 0.0
        """USD that its earlier attempts cost."""
        self.meter: Meter | None = None
        self.answer: list[str] = []
        self.tokens = 0
        state = base.state if base else {}
        self.past: list[dict[str, Any]] = state.get("messages", [])
        self._memory = memory
        self._base = base.id if base else None
        self._spent: float = state.get("spent", 0.0)
        self._was_cut = bool(state.get("run"))
        self._interval = interval
        self._kept = 0  # pieces of the answer that are kept
        self._tip: str | None = None  # the newest snapshot of this fork
        self._parts = 0
        self._given: set[str] = set()  # keys of the calls whose results are kept
        self._staged = 0  # stages that are kept
        self._unkept: list[dict[str, Any]] = []  # messages, where the disk refused
        self._unstaged: dict[str, Any] = {}  # and the rest of that state
        self._held = ""  # of the answer, as it may be the first half of a secret
        self._grew = False
        self._bare: list[str] = []  # its snapshots that have the question alone
        self._taken = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def question(self) -> Message:
        """What the model is asked."""
        question: Message = {"role": "user", "content": self.task.message}
        if self.task.images:
            question["images"] = list(self.task.images)
        return question

    def begin(self) -> None:
        """Take the first snapshot, and the others in time."""
        if self._interval is None:
            return
        if not self._memory.store.in_memory:
            self._take("checkpoint", "running")
        self._again()

    def stage(self, key: str, text: str) -> None:
        """A step of the deliberation has come to its end."""
        self.stages[key] = text
        self.step()

    def step(self) -> None:
        """Take a snapshot now; the answer's steps are points to return to as well."""
        if self._interval is not None:
            self._take("step", "running")

    async def keep_calls(self) -> None:
        """Have the ledger kept when this returns, interval or none. SnapshotError where that fails: no call unkept."""
        await asyncio.shield(asyncio.wrap_future(self._take("step", "running", strict=True)))

    async def merge(self, facts: Mapping[str, Any], cost: float | None) -> str:
        """Let the session grow by question and answer, and end; the id of the snapshot."""
        text = "".join(self.answer)
        exchange = [{**message, "run": self.task.id} for message in self.ledger.messages(text)]
        answer = {"role": "assistant", "content": text[self.ledger.at :], "run": self.task.id, **facts}
        others: dict[str, Any] = {"kind": "turn", "level": self.task.level}
        if cost:
            others["spent"] = self._spent + cost
        if self.task.budget is not None:
            others["budget"] = self.task.budget
        ended = facts.keys() & {"stopped", "failed"}
        if ended:
            others["run"] = self._record("".join(ended))
        elif self._was_cut:
            others["run"] = None
        return await self._memory.do(self._merge, [self._asked(), *exchange, answer], others)

    async def give_up(self, state: str) -> str | None:
        """End beside the session, which stays as it was; the id of the snapshot that knows what was asked and said.

        With "" it came to its end, and had nothing to say: nobody is to go on with it.
        """
        if state or self._taken:
            await asyncio.shield(asyncio.wrap_future(self._take("checkpoint", state or "stopped")))
        return self._tip

    def end(self) -> None:
        """Take no more snapshots."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- inside ----------------------------------------------------------------------------------

    def _again(self) -> None:
        if self._interval is not None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if len(self.answer) > self._kept:
            self._take("checkpoint", "running")
        self._again()

    def _take(self, kind: str, state: str, *, strict: bool = False) -> Future[None]:
        """Keep what is new of the answer, and how far the run is."""
        self._taken = True
        text, self._kept = self._held + "".join(self.answer[self._kept :]), len(self.answer)
        # Half a secret has no name yet; where the model has stopped, there is no other half.
        end = settled(text) if (kind, state) == ("checkpoint", "running") else len(text)
        new, self._held = text[:end], text[end:]
        record = self._record(state)
        record["offset"] -= len(self._held)
        if self.stages:
            record["stages"] = dict.fromkeys(self.stages, "")  # each text is kept once, beside it
        stages = {stage_key(key): self.stages[key] for key in list(self.stages)[self._staged :]}
        self._staged = len(self.stages)
        results = [one for one in self.ledger.entries if one.state == "done" and one.key not in self._given]
        self._given |= {one.key for one in results}
        others = {"kind": kind, "level": self.task.level, "run": record, **stages}
        return self._memory.submit(self._keep, new, [self.ledger.result(one) for one in results], others, strict)

    def _keep(self, new: str, results: list[dict[str, Any]], others: dict[str, Any], strict: bool) -> None:
        """On the writer's thread: add what is new to what was kept. A disk that refuses must not end a stream."""
        messages = self._unkept or ([] if self._tip else [self._asked()])
        if new:
            messages.append({"role": "assistant", "content": new, "run": self.task.id, "part": self._parts})
            self._parts += 1
        messages += results
        others = self._unstaged | others
        try:
            self._tip = self._memory.fork(self.task.session, self._tip or self._base, messages, **others).id
            self._grew |= bool(new or results or self.stages or self.ledger.entries)
            if not self._grew:
                self._bare.append(self._tip)
            self._unkept, self._unstaged = [], {}
        except Exception:
            self._unkept, self._unstaged = messages, others
            if strict:
                raise
            log.warning("run %s was not kept on its way", self.task.id, exc_info=True)

    def _merge(self, messages: list[dict[str, Any]], others: dict[str, Any]) -> str:
        """On the writer's thread; a fork that never grew leaves nothing behind."""
        if self.task.beside:
            place = self.session, self.task.id, self.past, self._base
            merged, self.session = self._memory.merge_beside(*place, messages, **others)
        else:
            merged = self._memory.append(self.session, messages, **others)
        with suppress(SnapshotError):
            while self._bare and not self._grew:
                self._memory.store.retract(self._bare.pop())
        return merged.id

    def _spent_so_far(self) -> float:
        """USD that this run cost; of a provider of which no price was looked up yet, what it cost before."""
        meter = self.meter
        return (meter.cost or 0.0) if meter is not None and meter.tariff.at_hand else self.spent_before

    def _asked(self) -> dict[str, Any]:
        """The question as it is kept, with what its answer had to be."""
        output = self.task.output
        return {**self.question, **({"output": to_builtins(output)} if output else {})}

    def _record(self, state: str) -> dict[str, Any]:
        task = self.task
        return {
            "id": task.id, "agent": task.agent, "message": task.message, "level": task.level, "model": task.model,
            "budget": task.budget, "at": len(self.past), "base": self._base, "tokens": self.tokens,
            "offset": sum(map(len, self.answer)), "calls": self.ledger.plain(), "state": state,
            **({"stages": dict(self.stages)} if self.stages else {}),
            **({"spent": spent} if (spent := self._spent_so_far()) else {}),
        }  # fmt: skip
