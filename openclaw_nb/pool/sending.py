"""Sending, how an agent's part of a task becomes its run: what it is told, and where its tools are to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import seams
from ..events import Status
from ..prompts import Data, Prompt, parse, with_part
from ..prompts.images import attachment
from ..prompts.values import cut
from ..reasoning.budgets import Budget
from ..run import Run
from .afar import lend_answers
from .binding import Bindings
from .lane import Lane
from .roles import RoleAgent

if TYPE_CHECKING:
    from ..distributed.executor import Executor

__all__ = ["Terms", "send_to", "told"]

HANDED_ON = 60_000
"""Characters of what the agents before it made that one in a pipeline is told."""


@dataclass(frozen=True)
class Terms:
    """On which a task is done: ``timeout`` in seconds for each agent, ``budget`` for all of them; ``process`` says that
    tools run in a process; ``options`` are those of `Front.send`; an ``executor`` has agents at work elsewhere."""

    model: str | None
    timeout: float
    budget: Budget | None
    process: bool
    per_task: int | None
    options: dict[str, Any]
    executor: Executor | None = None

    def plain(self) -> dict[str, Any]:
        """What a later kernel needs to go on, as plain data."""
        options = {name: value for name, value in self.options.items() if name != "read"}
        kept = {
            "model": self.model, "timeout": self.timeout, "isolation": "process" if self.process else "thread",
            "per_task": self.per_task, "budget": self.budget.limit if self.budget is not None else None,
            "options": options,
        }  # fmt: skip
        return {name: value for name, value in kept.items() if value}


def send_to(terms: Terms, bindings: Bindings, lane: Lane) -> Run:
    """Send an agent its part, or what was cut of it again. Raises what sending raises."""
    agent = lane.agent
    limit: float | None = terms.timeout
    afar = terms.executor if agent.client.is_local else None
    if agent.thread_bound or (terms.process and afar is None):
        lane.binding = bindings.take(agent, process=terms.process and afar is None)
    if afar is not None:
        lane.leave, limit = lend_answers(afar, lane, terms.timeout, process=terms.process), None
    elif lane.binding is not None and agent.client.is_local:
        lane.leave = seams.local_runtime().lend_place(lane.run_id, lane.place)
    where: dict[str, Any] = {
        "session": lane.session, "agent": agent.id, "timeout": limit, "budget": terms.budget,
        "idempotency_key": lane.run_id, "hear": agent.hear(lane.call),
    }  # fmt: skip
    if (before := lane.cut) is not None:
        return agent.front.resume(
            agent.client, before.message, level=before.level, model=before.model, spent=before.spent,
            partial=(before.text, before.tokens), output=before.output,
            attachments=[attachment(image) for image in before.images],
            **{**where, "budget": before.budget if terms.budget is None else terms.budget},
        )  # fmt: skip
    model = agent.model_name if agent.has_model else terms.model
    return agent.front.send(agent.client, told(lane), model=model, **{**terms.options, **where})


def told(lane: Lane) -> str:
    """The task as this agent is told it: in a pipeline with what those before it made, as data."""
    task = lane.work.prompt
    if isinstance(lane.agent, RoleAgent) and lane.agent.preface:
        task = with_part(lane.agent.preface, task)
    lanes = lane.work.lanes
    before = lanes[: lanes.index(lane)] if lane.work.mode == "pipeline" else ()
    made = [other for other in before if other.status is Status.DONE]
    if not made:
        return task
    asked = parse(task)
    room = HANDED_ON // len(made)
    data = [Data(other.name, "answer", f"{len(other.text)}", cut(other.text, room)) for other in made]
    return str(Prompt(asked.text, (*asked.data, *data)))
