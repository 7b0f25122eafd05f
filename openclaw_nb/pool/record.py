"""Record, what the snapshots know of a pool's run: by it the timeline shows it, and a new kernel goes on with it.

At its start a session gets one entry, which changes nothing that was said, and from which the agents' own sessions
branch; at its end another one with how each ended. What they said comes into the session by `merge` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from msgspec import Struct, ValidationError, convert, to_builtins

from .. import seams
from ..errors import ConfigError
from ..sessions.memory import Memory
from ..snapshots import Snapshot
from ..wording import in_words

if TYPE_CHECKING:
    from .work import PoolResult

__all__ = ["Member", "Record", "end", "enter", "merge", "merge_recorded", "record_in"]


class Member(Struct, omit_defaults=True):
    """One agent: the name of its lane, what it was asked for by, its session and its run's id; ``own`` where the user
    had made it, as it is a role's otherwise, the names of its tools, and whether it works at a gateway elsewhere, which
    keeps what it says."""

    name: str
    agent: str
    session: str
    run: str
    own: bool = False
    tools: list[str] = []
    away: bool = False


class Record(Struct, omit_defaults=True):
    """``state["pool"]``. ``options`` are those of the call; ``at`` is how many messages the session had, and ``ended``
    says how each agent ended, None as long as they are at work, and ``tokens`` and ``seconds`` what it took."""

    id: str
    task: str
    mode: str
    members: list[Member]
    options: dict[str, Any] = {}
    at: int = 0
    ended: dict[str, str] | None = None
    tokens: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        return f"<Record {self.id[:8]} {', '.join(member.name for member in self.members)}>"


def record_in(state: Mapping[str, Any]) -> Record | None:
    """The record of the last pool's run in a state, or None where there is none that we have left."""
    try:
        return convert(state.get("pool"), Record)
    except ValidationError:
        return None


def enter(memory: Memory, session: str, record: Record) -> Snapshot:
    """Note in a session that it begins, with a branch for each agent: main/coder, or main/coder-2 where that has begun.

    On the writer's thread.
    """
    head = memory.head(session)
    record.at = len(head.state.get("messages", [])) if head else 0
    taken: set[str] = set()
    for member in record.members:
        names = chain([member.session], (f"{member.session}-{n}" for n in count(2)))
        free = (name for name in names if name not in taken and not memory.begun(name) and not memory.lanes.busy(name))
        member.session = next(free)
        taken.add(member.session)
    others: dict[str, Any] = {"run": None} if head and head.state.get("run") else {}  # one that was cut is left then
    entry = memory.append(session, (), kind="pool", pool=to_builtins(record), **others)
    for member in record.members:
        memory.point(member.session, entry.id)
    return entry


def end(memory: Memory, session: str, record: Record, cost: float | None) -> str:
    """Note in a session how it ended; the id of the snapshot. On the writer's thread."""
    head = memory.head(session)
    others: dict[str, Any] = {"kind": "pool end", "pool": to_builtins(record)}
    if cost:
        others["spent"] = (head.state.get("spent", 0.0) if head else 0.0) + cost
    return memory.append(session, (), **others).id


def merge(result: PoolResult, name: str | None) -> str:
    """As `PoolResult.merge`."""
    if result.record is None:
        raise ConfigError("the gateway keeps its sessions itself, so there is nothing to merge here")
    memory: Memory = seams.local_runtime().memory
    return memory.submit(merge_recorded, memory, result.session, result.record, name).result().id


def merge_recorded(memory: Memory, session: str, record: Record, name: str | None) -> Snapshot:
    """Let a session grow by what an agent of a pool's run said and did, or by the task and all answers as one exchange;
    what is in it already is not added again.

    On the writer's thread. ConfigError where there is no such agent, or nothing was said.
    """
    members = {member.name: member for member in record.members}
    if name is not None and name not in members:
        raise ConfigError(f"no agent of it is called {name!r}; there are {', '.join(map(in_words, members))}")
    head = memory.head(session)
    there = {message.get("run") for message in head.state.get("messages", [])} if head else set()
    if head is not None and (members[name].run if name is not None else record.id) in there:
        return head
    if name is not None:
        if members[name].away:
            kept = f"what {in_words(name)} said is kept by its gateway elsewhere"
            raise ConfigError(f"{kept}, so there is nothing to merge here")
        if not (messages := _said(memory, members[name], record.at)):
            raise ConfigError(f"{in_words(name)} has said nothing that could be merged")
        return memory.append(session, messages, kind="turn")
    said = {name: _said(memory, member, record.at) for name, member in members.items()}
    answers = {name: _answer(messages) for name, messages in said.items() if messages}
    if not answers:
        raise ConfigError("none of the agents has said anything that could be merged")
    text = "\n\n".join(f"## {name}\n\n{answer}" for name, answer in answers.items())
    question = {"role": "user", "content": record.task}
    answer = {"role": "assistant", "content": text, "run": record.id}
    return memory.append(session, [question, answer], kind="turn")


def _said(memory: Memory, member: Member, at: int) -> list[dict[str, Any]]:
    """What was said in an agent's session, here or in an earlier kernel; nothing where that stands elsewhere by now."""
    head = memory.latest(member.session)
    messages: list[dict[str, Any]] = head.state.get("messages", [])[at:] if head else []
    return messages if any(message.get("run") == member.run for message in messages) else []


def _answer(messages: Iterable[Mapping[str, Any]]) -> str:
    return "".join(message["content"] for message in messages if message["role"] == "assistant")
