"""Agents that wait: for whom, since when, where they hang, and what of the pool keeps the others from their turn."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import DeadlockError, RunError, RunTimeout
from ..render import counted
from ..waits import Waiting, places, waiting
from .finding import Finding, State, seconds
from .kernel import innermost
from .patient import Patient

if TYPE_CHECKING:
    from ..pool import PoolRun
    from ..pool.lane import Lane

__all__ = ["deadlocks"]

LOOKS = 0.2
"""Seconds between two looks at a tool: one that hangs is at the same line in both."""

LONG = 0.5
"""The part of its time limit from which on an agent is worth a look."""

PATIENT = 10.0
"""Seconds without a limit after which it is."""


def deadlocks(patient: Patient) -> Iterator[Finding]:
    """Whether agents side by side hold each other up."""
    works = _works(patient)
    lanes = [lane for work in works for lane in work.lanes if not lane.done()]
    waits = {one.run_id: one for one in waiting()}
    yield from _given_up(patient)
    if not lanes:
        yield Finding("pool", State.OK, "no agents are at work side by side", _size(patient))
        return
    hung = list(_hung(lanes))
    yield from hung
    yield from _circle(lanes, waits)
    yield _queue(works, hanging=bool(hung))


def _works(patient: Patient) -> list[PoolRun]:
    """The tasks of all pools that are at work, the oldest first, whoever made the pool."""
    works: dict[str, PoolRun] = {}
    own = patient.runtime.open_pool
    known = [lane.work for lane in tuple(places.values()) if hasattr(lane, "work")]
    for work in [*(own.runs if own is not None else ()), *known]:
        if not work.done():
            works[work.id] = work
    return sorted(works.values(), key=lambda work: -work.seconds)


def _size(patient: Patient) -> str:
    pool = patient.runtime.open_pool
    return "" if pool is None else f"{counted(pool.max_threads, 'thread')}, {pool.max_per_task} per task"


def _hung(lanes: list[Lane]) -> Iterator[Finding]:
    """Tools that stand at one line for long."""
    first = {lane.run_id: lane.stack for lane in lanes}
    if not any(first.values()):
        return
    time.sleep(LOOKS)
    for lane in lanes:
        stack, limit = lane.stack, _limit(lane)
        if not stack or stack != first[lane.run_id] or lane.seconds < (LONG * limit if limit else PATIENT):
            continue
        left = f", and {seconds(max(limit - lane.seconds, 0.0))} until it is given up" if limit else ""
        measured = f"for {seconds(lane.seconds)}{left}"
        figures = {"seconds": lane.seconds, **({"limit": limit} if limit else {})}
        remedy = (
            "%openclaw pool --timeout S gives it up sooner; ThreadPool(isolation='process') can end its process; "
            "agents that share a lock need a state of their own: snapshots (use_snapshot=True), or one task each"
        )
        yield Finding("pool", State.LOOK, f"{lane.name} hangs, its tool is {_place(stack)}", measured, remedy, figures)


def _circle(lanes: list[Lane], waits: dict[str, Waiting]) -> Iterator[Finding]:
    """Who waits for whom; a circle is refused when it begins, so these are chains."""
    for lane in lanes:
        one = waits.get(lane.run_id)
        if one is None:
            continue
        limit = _limit(lane)
        names = ", ".join(one.names)
        since = time.monotonic() - one.since
        near = bool(limit) and lane.seconds >= LONG * limit
        left = f", {seconds(max(limit - lane.seconds, 0.0))} before its own time limit" if limit else ""
        yield Finding(
            "pool", State.LOOK if near else State.OK, f"{lane.name} waits for {names}", f"for {seconds(since)}{left}",
            "%openclaw pool --timeout S lets it wait longer, or ask those directly with fewer agents in a task"
            if near else "",
            {"seconds": since, "limit": limit},
        )  # fmt: skip


def _queue(works: list[PoolRun], *, hanging: bool) -> Finding:
    """Those who wait for a slot, and for what."""
    slots = works[0].queue.slots
    most, at_work, queued = slots.most, slots.at_work, slots.waiting
    held = sum(lane.ticket is not None and lane.ticket.held_back for work in works for lane in work.lanes)
    measured = f"{at_work} of {most} at work, {queued} in line, at most {slots.per_task} of one task"
    figures = {"size": most, "at_work": at_work, "waiting": queued, "held_back": held}
    if queued and held == queued:
        remedy = f"%openclaw pool --per-task {slots.per_task + 1} lets more of one task work at once"
        return Finding("pool", State.LOOK, "agents wait only for others of their own task", measured, remedy, figures)
    if queued and at_work >= most:
        largest = max(works, key=lambda work: work.queue.at_work)
        remedy = f"%openclaw pool {min(most * 2, 1_000)} lets more work at once"
        if most > 1 and largest.queue.at_work >= most and len(works) > 1:
            remedy = f"%openclaw pool --per-task {max(1, most // 2)} leaves room for other tasks"
        if hanging:
            remedy = f"those that hang hold their slots: see above; {remedy}"
        return Finding("pool", State.LOOK, "all slots are taken, and agents wait for one", measured, remedy, figures)
    return Finding("pool", State.OK, "no agent waits for a slot", measured, figures=figures)


def _given_up(patient: Patient) -> Iterator[Finding]:
    """Those of this notebook that ended by their limit, or because they would have waited for themselves."""
    ended = [
        (lane, lane.outcome)
        for work in patient.works if hasattr(work, "lanes")
        for lane in work.lanes if isinstance(lane.outcome, RunError)
    ]  # fmt: skip
    circles = [(lane, error) for lane, error in ended if error.code == DeadlockError.code]
    late = [(lane, error) for lane, error in ended if error.code == RunTimeout.code]
    if circles:
        remedy = "have one of them take its answer as text in place of asking the other, or use mode='pipeline'"
        words = f"agents would have waited for each other: {circles[-1][1]}"
        yield Finding("pool", State.LOOK, words, counted(len(circles), "agent"), remedy, {"circles": len(circles)})
    if late:
        lane, error = late[-1]
        remedy = "%openclaw pool --timeout S gives them longer, %openclaw pool --per-task M fewer at once"
        words = f"agents reached their time limit, {lane.name} at last: {error}"
        yield Finding("pool", State.LOOK, words, counted(len(late), "agent"), remedy, {"timeouts": len(late)})


_CALL = re.compile(r'^  File "(.+)", line ([0-9]+), in (.+)$', re.MULTILINE)


def _place(stack: str) -> str:
    """Where a stack ends in the user's own code, in words."""
    calls = [(file, int(line), function) for file, line, function in _CALL.findall(stack)]
    return innermost(calls) if calls else "somewhere"


def _limit(lane: Lane) -> float:
    """Seconds that it may work, or 0 where it has no limit."""
    with suppress(AttributeError):
        return next((flight.timeout or 0.0 for flight in lane.agent.client.flights if flight.run is lane.run), 0.0)
    return 0.0
