"""Resuming, what a pool's run that was cut left of each agent, so that a new kernel goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..agent import OpenClawAgent, known_agents
from ..errors import ConfigError, RunError
from ..events import Status, Usage
from ..run import Result
from ..sessions.memory import Cut, Memory, run_in
from ..snapshots import Snapshot
from .record import Member, Record
from .roles import agent_called, known_roles

__all__ = ["Left", "agents_of", "take_up"]


@dataclass
class Left:
    """``cuts`` are the agents' runs that were under way, ``over`` what came of those that had ended; both by name. Of
    the others nothing had begun."""

    cuts: dict[str, Cut] = field(default_factory=dict)
    over: dict[str, Result | RunError] = field(default_factory=dict)

    def spent(self, name: str) -> float:
        """USD that an agent has cost so far."""
        outcome = self.over.get(name)
        if isinstance(outcome, Result):
            return outcome.cost or 0.0
        return self.cuts[name].spent if name in self.cuts else 0.0


def agents_of(record: Record) -> list[OpenClawAgent]:
    """The agents that it had, as they are made here; ConfigError where one is not, or has not its tools."""
    if away := [member.name for member in record.members if member.away]:
        raise ConfigError(f"the pool's run cannot go on here: {', '.join(away)} had its part at a gateway elsewhere")
    asked = {member.agent: member for member in record.members}
    missing = [member.agent for member in asked.values() if not _is_known(member)]
    if missing:
        names = ", ".join(map(repr, missing))
        ways = ", ".join(_way(asked[name]) for name in missing)
        raise ConfigError(f"the pool's run cannot go on without {names}, not made in this kernel yet: first {ways}")
    agents = [agent_called(member.agent, None) for member in record.members]
    for member, agent in zip(record.members, agents, strict=True):
        if lost := [name for name in member.tools if name not in agent.tool_names]:
            raise ConfigError(
                f"the pool's run cannot go on: {member.agent} had the tools {', '.join(lost)} and has them not in this "
                "kernel; make it with them first"
            )
    return agents


def _is_known(member: Member) -> bool:
    return member.agent in known_agents() or (not member.own and member.agent in known_roles)


def _way(member: Member) -> str:
    return f"OpenClawAgent({member.agent!r}, …)" if member.own else f"role({member.agent!r}, 'You …')"


# -- what is there -------------------------------------------------------------------------------------


def take_up(memory: Memory, entry: Snapshot, record: Record) -> Left:
    """Put each agent's session where it stood, or before the question that was cut in it, and say how far each was.

    On the writer's thread. Where a session of that name has begun here since, the agent gets another one.
    """
    left, begun = Left(), memory.sessions()
    grown = _grown(memory, entry, {member.session for member in record.members})
    for member in record.members:
        own = grown[member.session]
        if (head := begun.get(member.session)) is not None and head.id not in {one.id for one in (entry, *own)}:
            names = (f"{member.session}-{n}" for n in count(2))
            member.session = next(name for name in names if memory.head(name) is None)
        _look(memory, entry, member, own, left)
    if record.mode == "pipeline":
        _end_those_behind(record, left)
    return left


def _grown(memory: Memory, entry: Snapshot, sessions: Iterable[str]) -> dict[str, list[Snapshot]]:
    """What grew from the entry in each of the sessions, oldest first."""
    grown: dict[str, list[Snapshot]] = {session: [] for session in sessions}
    ids = {session: {entry.id} for session in grown}
    for one in memory.store.list():
        if one.session in grown and one.parent in ids[one.session]:
            grown[one.session].append(one)
            ids[one.session].add(one.id)
    return grown


def _look(memory: Memory, entry: Snapshot, member: Member, grown: list[Snapshot], left: Left) -> None:
    """How far one agent was."""
    for one in grown:
        if one.facts.get("kind") == "turn" and (outcome := _outcome(one, member)) is not None:
            left.over[member.name] = outcome
            memory.point(member.session, _stood(memory, member.session, grown) or one.id)
            return
    last = next((one for one in reversed(grown) if _has_run(one, member.run)), None)
    if last is None:
        memory.point(member.session, entry.id)
        return
    run = run_in(last.state)
    if run is not None and run.state == "stopped":  # before it had said anything
        memory.point(member.session, entry.id)
        left.over[member.name] = Result(status=Status.STOPPED, session=member.session, run_id=member.run)
    elif (cut := memory.restore(member.session, last)) is not None:
        left.cuts[member.name] = cut


def _outcome(turn: Snapshot, member: Member) -> Result | None:
    """What the agent's run gave, where this is its end; None of one that failed, which is asked again."""
    answer = turn.state["messages"][-1]
    if answer.get("run") != member.run or answer.get("failed"):
        return None
    messages = [message for message in turn.state["messages"] if message.get("run") == member.run]
    text = "".join(message["content"] for message in messages if message["role"] == "assistant")
    return Result(
        text, status=Status.STOPPED if answer.get("stopped") else Status.DONE, level=answer.get("level"),
        usage=_usage(answer.get("tokens")), cost=answer.get("cost"), model=answer.get("model", ""),
        session=member.session, run_id=member.run, snapshot=turn.id,
    )  # fmt: skip


def _usage(tokens: Any) -> Usage:
    match tokens:
        case [int() as read, int() as written]:
            return Usage(read, written)
    return Usage()


def _has_run(snapshot: Snapshot, id: str) -> bool:
    run = run_in(snapshot.state)
    return run is not None and run.id == id


def _stood(memory: Memory, session: str, grown: Iterable[Snapshot]) -> str | None:
    """Where the session stood, as something may have been said in it since."""
    places: Mapping[str, str | None] = memory.store.places()
    stood = places.get(session)
    return stood if stood in {one.id for one in grown} else None


def _end_those_behind(record: Record, left: Left) -> None:
    """In a pipeline nobody goes on where the one before has not come to its end."""
    before: Member | None = None
    for member in record.members:
        if before is not None and member.name not in left.over and member.name not in left.cuts:
            outcome = left.over.get(before.name)
            if isinstance(outcome, RunError) or (outcome is not None and outcome.status is not Status.DONE):
                left.over[member.name] = RunError(
                    f"{member.name} was not started: {before.name} has not come to its end", code="NOT_STARTED"
                )
        before = member
