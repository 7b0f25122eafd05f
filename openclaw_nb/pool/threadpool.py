"""ThreadPool, agents side by side: it gives them slots and threads, and has each do its part of a task."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from .. import seams
from ..agent import OpenClawAgent
from ..client import OpenClawClient
from ..errors import ConfigError, OpenClawError, nearest
from ..events import Status
from ..front import Front
from ..outputs import Expected
from ..prompts.images import attachment, images_of
from ..reasoning.budgets import Budget
from ..reasoning.costs import load
from ..reasoning.levels import read_level
from ..sessions.memory import Memory
from ..snapshots import Snapshot
from . import record as records
from .afar import executor_of
from .binding import Bindings
from .lane import Lane
from .record import Member, Record
from .resuming import Left, agents_of
from .roles import Role, RoleAgent, agent_called
from .sending import Terms, send_to
from .slots import Slots
from .work import PoolRun

if TYPE_CHECKING:
    from ..distributed.executor import Executor

__all__ = ["MODES", "ThreadPool"]

MODES = ("parallel", "pipeline")

MOST = 1_000
"""Threads that a pool may have."""

OPTIONS = dict.fromkeys(("attachments", "complexity", "level", "output", "read", "streaming"))
"""Those of `Front.send` that are the same for all agents of a task."""


class ThreadPool:
    """At most ``max_threads`` agents at work at once, and ``max_per_task`` of them at one task, each for ``timeout``
    seconds at most, from when it begins. All three may be changed while it works.

    With an ``executor`` agents of this process's gateway work at Dask workers: "local" starts some, with room for
    ``max_threads``; others are named by their scheduler's address, "tcp://host:8786", or a Client of it.

    Agents asked for by name or role take their level from ``front``. With ``isolation`` "process" their tools run in
    a process of the agent's own, which can be killed. ``with ThreadPool() as pool``, or ``async with``, ends its
    threads, as `close` does.
    """

    def __init__(
        self,
        max_threads: int = 10,
        max_per_task: int = 3,
        timeout: float = 30,
        *,
        isolation: str = "thread",
        front: Front | None = None,
        executor: object = None,
    ) -> None:
        slots = self._slots = Slots(_count("max_threads", max_threads), _count("max_per_task", max_per_task))
        self._bindings = Bindings(lambda: slots.most)  # which must not hold the pool, or it would never end
        self._timeout = _seconds(timeout)
        self._isolation = _isolation(isolation)
        self.front = front
        self._runs: dict[str, PoolRun] = {}
        self._closed = False
        self._executor: Executor | None = None
        self.executor = executor
        weakref.finalize(self, self._bindings.close)

    def __repr__(self) -> str:
        return f"<ThreadPool {self.at_work} of {self.max_threads} at work, {self.max_per_task} per task>"

    def __enter__(self) -> ThreadPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> ThreadPool:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    # -- its size ----------------------------------------------------------------------------------

    @property
    def max_threads(self) -> int:
        """How many may be at work at once. Where it is lowered, those at work go on, and nobody begins meanwhile."""
        return self._slots.most

    @max_threads.setter
    def max_threads(self, count: int) -> None:
        self._slots.most = _count("max_threads", count)

    @property
    def max_per_task(self) -> int:
        """How many may be at work at one task at once."""
        return self._slots.per_task

    @max_per_task.setter
    def max_per_task(self, count: int) -> None:
        self._slots.per_task = _count("max_per_task", count)

    @property
    def timeout(self) -> float:
        """Seconds that an agent may work, for the tasks to come."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._timeout = _seconds(seconds)

    @property
    def isolation(self) -> str:
        """Where tools run, "thread" or "process", for the tasks to come."""
        return self._isolation

    @isolation.setter
    def isolation(self, where: str) -> None:
        self._isolation = _isolation(where)

    @property
    def executor(self) -> Executor | None:
        """Where agents work, for the tasks to come; None is here. Takes "local", a scheduler's address or a Client."""
        return self._executor

    @executor.setter
    def executor(self, what: object) -> None:
        before = self._executor
        if before is not None and self.runs and not self._closed:
            raise ConfigError(f"agents of this pool are at work at {before.name}; wait for them, or pool.cancel()")
        self._executor = executor_of(what, self.max_threads)
        if before is not None:
            before.close()

    @property
    def at_work(self) -> int:
        """Agents at work now; those that only wait for others are not."""
        return self._slots.at_work

    @property
    def waiting(self) -> int:
        """Agents that wait for a slot."""
        return self._slots.waiting

    @property
    def slots(self) -> Slots:
        """Who may work; also for what works side by side in one agent."""
        return self._slots

    @property
    def runs(self) -> tuple[PoolRun, ...]:
        """The tasks at work."""
        return tuple(run for run in tuple(self._runs.values()) if not run.done())  # who has a result knows it ended

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` when its size or use has changed, on whichever thread that was; the way to unsubscribe."""
        return self._slots.subscribe(listener)

    # -- work --------------------------------------------------------------------------------------

    def execute(
        self,
        agents: str | OpenClawAgent | Role | Sequence[str | OpenClawAgent | Role],
        task: str,
        *,
        mode: str = "parallel",
        session: str = "main",
        client: OpenClawClient | None = None,
        model: str | None = None,
        timeout: float | None = None,
        budget: float | Budget | None = None,
        priority: int = 0,
        per_task: int | None = None,
        isolation: str | None = None,
        output_type: Any = None,
        images: Sequence[object] = (),
        **options: Any,
    ) -> PoolRun:
        """Have the agents do ``task``, side by side or, in a "pipeline", each with what those before it made.

        An agent is an OpenClawAgent, a role, or the name of one of these; its ``model`` is this one where it has none
        of its own. Each works in a session of its own, a branch of ``session``, which stays as it is: see
        `PoolResult.merge`. Those beyond ``per_task`` wait, as do all while the pool is full: higher ``priority`` is
        sooner. ``budget`` in USD is for all of them together. Other options are ``level``, ``complexity`` and
        ``attachments``, as of `OpenClawAgent.analyze`.
        ConfigError for what cannot be done, before anything is.
        """
        if mode not in MODES:
            raise ConfigError(f"mode is 'parallel' or 'pipeline', not {mode!r}")
        if not isinstance(task, str) or not task.strip():
            raise ConfigError("the task is text that says what is to be done")
        if client is not None and not isinstance(client, OpenClawClient):
            raise ConfigError(f"client is an OpenClawClient, not {client!r:.80}")
        if not isinstance(session, str) or not session:
            raise ConfigError(f"a session is a name, not {session!r}")
        if not isinstance(priority, int):
            raise ConfigError(f"priority is a whole number, and 1 is before 0, not {priority!r}")
        task = str(task)  # of a Secret, what it is called
        if output_type is not None:
            options |= Expected(output_type).wishes
        if not isinstance(images, Sequence):
            raise ConfigError(f"images is a list of figures and pictures, not {images!r}")
        if images:
            options["attachments"] = [attachment(image) for image in images_of(images)]
        terms = self._terms(model, timeout, budget, isolation, per_task, options)
        made = [self._agent(one, client) for one in _several(agents)]
        terms = replace(terms, budget=terms.budget or _part_of_notebook(made))
        run_id = secrets.token_hex(16)
        record = Record(run_id, task, mode, [], terms.plain())
        for n, (name, agent) in enumerate(zip(_names(made), made, strict=True)):
            own, tools = not isinstance(agent, RoleAgent), list(agent.tool_names)
            away = not agent.client.is_local
            record.members.append(Member(name, agent.name, f"{session}/{name}", f"{run_id}-{n}", own, tools, away))
        run = self._run(record, made, terms, session, priority)
        self._enter(run, record)
        return run

    def resume(self, record: Record, session: str, left: Left) -> PoolRun:
        """Go on with a pool's run that was cut, with what is ``left`` of each agent: those that had ended are not asked
        again. ConfigError for an agent that is not known here."""
        made = agents_of(record)
        terms = self._terms(**{**_NO_TERMS, "options": {}, **record.options})
        if terms.budget is not None:
            for member in record.members:
                terms.budget.settle(member.run, left.spent(member.name))
        run = self._run(record, made, terms, session, 0, left)
        self._keep_end(run, seams.local_runtime().memory, record)
        run.begin()
        return run

    def cancel(self, why: str = "stopped by you") -> None:
        """Stop all that are at work or wait; what came is kept."""
        for run in self.runs:
            run.cancel(why=why)

    def close(self) -> None:
        """Stop all, and end the threads and processes."""
        self._closed = True
        self._slots.close()
        self.cancel("the pool was closed")
        self._bindings.close()
        self.executor = None

    # -- inside ------------------------------------------------------------------------------------

    def _terms(
        self, model: str | None, timeout: float | None, budget: float | Budget | None, isolation: str | None,
        per_task: int | None, options: dict[str, Any],
    ) -> Terms:  # fmt: skip
        if self._closed:
            raise ConfigError("this pool is closed")
        if options.get("level") is not None:
            read_level(options["level"])
        for name in options.keys() - OPTIONS.keys():
            raise ConfigError(f"a task of a pool has no option {name!r}{nearest(name, OPTIONS | _NO_TERMS)}")
        if budget is not None and not isinstance(budget, Budget):
            budget = Budget(budget, "pool")
        if model is not None and not isinstance(model, str):
            raise ConfigError(f"model is a name, for the agents that have none of their own, not {model!r}")
        if budget is not None:
            load()  # it takes a while, and the thread that feeds the runs must not wait for it
        process = _isolation(isolation or self.isolation) == "process"
        most = None if per_task is None else _count("per_task", per_task)
        limit = self.timeout if timeout is None else _seconds(timeout)
        return Terms(model, limit, budget, process, most, options, self.executor)

    def _agent(self, one: str | OpenClawAgent | Role, client: OpenClawClient | None) -> OpenClawAgent:
        if isinstance(one, OpenClawAgent):
            return one
        if isinstance(one, Role):
            one = one.name
        if not isinstance(one, str):
            raise ConfigError(f"an agent is an OpenClawAgent, a role, or the name of one of these, not {one!r}")
        agent = agent_called(one, client)
        if isinstance(agent, RoleAgent) and self.front is not None:
            agent.front = self.front
        return agent

    def _run(
        self,
        record: Record,
        made: Sequence[OpenClawAgent],
        terms: Terms,
        session: str,
        priority: int,
        left: Left | None = None,
    ) -> PoolRun:
        queue = self._slots.queue(priority, terms.per_task)
        run = PoolRun(record.id, record.task, session, record.mode, queue)
        send = partial(send_to, terms, self._bindings)
        cuts, over = (left.cuts, left.over) if left is not None else ({}, {})
        run.take(
            Lane(run, member, agent, send, cuts.get(member.name), over.get(member.name))
            for member, agent in zip(record.members, made, strict=True)
        )
        if terms.budget is not None and record.mode == "parallel":
            terms.budget.parts += len(made)
        self._runs[run.id] = run
        run.subscribe(lambda lane, event: None if lane else self._forget(run))
        return run

    def _forget(self, run: PoolRun) -> None:
        self._runs.pop(run.id, None)

    def _enter(self, run: PoolRun, record: Record) -> None:
        """Have it noted in its session where that is kept here, and then begin."""
        local = [member for member, lane in zip(record.members, run.lanes, strict=True) if lane.agent.client.is_local]
        if not local:
            for lane in run.lanes:
                lane.session += f"-{run.id[:6]}"  # nobody here knows which ones have begun there
            run.begin()
            return
        memory: Memory = seams.local_runtime().memory
        self._keep_end(run, memory, record)

        def entered(entry: Future[Snapshot]) -> None:
            error = entry.exception()
            if error is not None:
                run.fail(error if isinstance(error, OpenClawError) else ConfigError(str(error)))
                return
            for member, lane in zip(record.members, run.lanes, strict=True):
                lane.enter(member.session)
            run.begin()

        memory.submit(records.enter, memory, run.session, record).add_done_callback(entered)

    def _keep_end(self, run: PoolRun, memory: Memory, record: Record) -> None:
        run.record = record

        def finish() -> Future[str | None]:
            record.ended = {lane.name: "done" if lane.status is Status.DONE else lane.words for lane in run.lanes}
            record.tokens, record.seconds = run.tokens, round(run.seconds, 3)
            return memory.submit(records.end, memory, run.session, record, run.cost)

        run.finish = finish


_NO_TERMS: dict[str, Any] = dict.fromkeys(("model", "timeout", "budget", "isolation", "per_task"))


def _part_of_notebook(agents: Sequence[OpenClawAgent]) -> Budget | None:
    """What is left of the notebook's budget, for these agents to share; None where it has none."""
    whole = agents[0].client.spending.budget
    return Budget(whole.left, "notebook") if whole is not None and whole.left else None


def _names(agents: Iterable[OpenClawAgent]) -> list[str]:
    """A name for each that no other has: coder, coder-2, …"""
    names: dict[str, None] = {}
    numbers: dict[str, Iterator[int]] = {}
    for agent in agents:
        name = agent.name
        while name in names:
            name = f"{agent.name}-{next(numbers.setdefault(agent.name, count(2)))}"
        names[name] = None
    return list(names)


def _several(agents: Any) -> list[Any]:
    """What was given as agents, which may be one alone."""
    several = list(agents) if isinstance(agents, Iterable) and not isinstance(agents, str) else [agents]
    if not several or several == [None]:
        raise ConfigError("a task needs at least one agent, as in agents=['coder', 'tester']")
    return several


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        raise ConfigError(f"{name} is a whole number from 1 to {MOST}, not {value!r}")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"timeout is a number of seconds above 0, not {value!r}")
    return value


def _isolation(value: str) -> str:
    if value not in ("thread", "process"):
        raise ConfigError(f"isolation is 'thread' or 'process', not {value!r}")
    return value
