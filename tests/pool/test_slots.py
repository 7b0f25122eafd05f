"""Slots: never more than there are, never more of one task than it may have, in a fair order, from any thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.pool.slots import SlotQueue, Slots, Ticket


def ignore(_: Ticket) -> None:
    """Begins, and goes on."""


# -- who is next -----------------------------------------------------------------------------------


def test_the_tasks_take_turns_however_big_they_are() -> None:
    slots, began = Slots(2, 2), list[str]()
    big, small = slots.queue(), slots.queue()
    held = [big.ask(lambda _: began.append("big")) for _ in range(6)]
    others = [small.ask(lambda _: began.append("small")) for _ in range(2)]
    assert began == ["big", "big"]
    for ticket in (held[0], held[1], others[0], held[2]):
        ticket.release()
    assert began == ["big", "big", "small", "big", "small", "big"]


def test_a_higher_priority_is_sooner_and_stops_nobody() -> None:
    slots, began = Slots(1, 1), list[int]()
    first = slots.queue().ask(ignore)
    tickets = {p: slots.queue(p).ask(lambda _, p=p: began.append(p)) for p in (0, -1, 2, 1)}  # type: ignore[misc]
    assert (slots.at_work, slots.waiting, began) == (1, 4, [])
    first.release()
    for p in (2, 1, 0, -1):
        tickets[p].release()
    assert began == [2, 1, 0, -1]


def test_of_one_task_they_begin_in_order() -> None:
    slots, began = Slots(3, 1), list[int]()
    queue = slots.queue()
    tickets = [queue.ask(lambda _, n=n: began.append(n)) for n in range(4)]  # type: ignore[misc]
    assert [ticket.held_back for ticket in tickets] == [False, True, True, True]
    tickets[2].release()  # waits no longer
    for ticket in tickets:
        ticket.release()
        ticket.release()
    assert began == [0, 1, 3]
    assert (slots.at_work, slots.waiting) == (0, 0)


def test_it_is_resized_both_ways_while_it_works() -> None:
    slots = Slots(1, 1)
    queues = [slots.queue() for _ in range(4)]
    tickets = [queue.ask(ignore) for queue in queues for _ in range(2)]
    slots.most = 3
    assert slots.at_work == 3
    slots.most = 1
    assert slots.at_work == 3, "those at work go on"
    slots.per_task = 2
    assert slots.at_work == 3
    for ticket in [ticket for ticket in tickets if not ticket.waits][:2]:
        ticket.release()
    assert slots.at_work == 1
    slots.most = 9
    assert (slots.at_work, slots.waiting) == (6, 0)
    assert (slots.most, slots.per_task) == (9, 2)


def test_what_was_in_line_before_the_limit_was_lowered_counts_no_more() -> None:
    slots = Slots(2, 2)
    other, first = slots.queue().ask(ignore), (queue := slots.queue()).ask(ignore)
    for _ in range(3):
        queue.ask(ignore)
    first.release()
    slots.per_task = 1
    other.release()
    assert (queue.at_work, slots.at_work) == (1, 1)


def test_a_slot_that_is_lent_comes_back_before_anybody_else_has_it() -> None:
    slots, other = Slots(1, 1), list[str]()
    parent = slots.queue().ask(ignore)
    child = slots.queue().ask(ignore)
    slots.queue(priority=9).ask(lambda ticket: (other.append("began"), ticket.release()))  # type: ignore[func-returns-value]
    assert child.waits
    parent.lend()
    assert other == ["began"]
    assert not child.waits
    slots.queue(priority=9).ask(lambda _: other.append("too soon"))
    child.release([parent])
    assert (slots.at_work, other) == (1, ["began"])
    parent.release()
    assert other == ["began", "too soon"]


def test_lent_to_another_pool_it_comes_back_too() -> None:
    here, there = Slots(1), Slots(1)
    parent, child = here.queue().ask(ignore), there.queue().ask(ignore)
    parent.lend()
    parent.lend()
    child.release([parent])
    assert (here.at_work, there.at_work) == (0, 0), "it waits for another one as well"
    parent.take_back()
    assert here.at_work == 1


@pytest.mark.parametrize("first", ["lend", "take_back"])
def test_to_lend_and_to_take_back_may_come_in_either_order(first: str) -> None:
    slots = Slots(1)
    ticket = slots.queue().ask(ignore)
    for name in sorted(["lend", "take_back"], key=lambda name: name != first):
        getattr(ticket, name)()
    assert slots.at_work == 1
    ticket.release()
    ticket.lend()
    ticket.take_back()
    assert slots.at_work == 0


# -- against a plain model of it -------------------------------------------------------------------


class Plain:
    """What Slots says of itself, with lists in place of a heap."""

    def __init__(self, most: int, per_task: int) -> None:
        self.most, self.per_task = most, per_task
        self.tasks: list[dict[str, Any]] = []
        self.began: list[int] = []
        self.state: dict[int, str] = {}

    @property
    def at_work(self) -> int:
        return list(self.state.values()).count("at work")

    def limit(self, task: dict[str, Any]) -> int:
        return int(task["most"] or self.per_task)

    def ready(self) -> list[dict[str, Any]]:
        return [task for task in self.tasks if task["line"] and len(task["has"]) < self.limit(task)]

    def grant(self) -> None:
        while self.at_work < self.most and (ready := self.ready()):
            task = min(ready, key=lambda t: (-t["priority"], len(t["has"]), t["started"], t["number"]))
            n = task["line"].pop(0)
            task["has"].add(n)
            task["started"] += 1
            self.state[n] = "at work"
            self.began.append(n)

    def leave(self, n: int) -> None:
        self.state.pop(n, None)
        for task in self.tasks:
            task["has"].discard(n)
            task["line"] = [one for one in task["line"] if one != n]


steps = st.one_of(
    st.tuples(st.just("task"), st.integers(-1, 1), st.none() | st.integers(1, 3)),
    st.tuples(st.just("ask"), st.integers(0, 9), st.integers(1, 4)),
    st.tuples(st.sampled_from(["release", "lend", "take_back"]), st.integers(0, 99), st.just(0)),
    st.tuples(st.sampled_from(["most", "per_task"]), st.integers(1, 5), st.just(0)),
)


@given(st.lists(steps, max_size=60), st.integers(1, 4), st.integers(1, 3))
def test_whatever_happens_it_does_what_a_plain_model_does(
    happened: list[tuple[str, int, Any]], most: int, per_task: int
) -> None:
    slots, plain = Slots(most, per_task), Plain(most, per_task)
    queues: list[SlotQueue] = []
    tickets: list[Ticket] = []
    began: list[int] = []
    for name, a, b in [("task", 0, None), *happened]:
        match name:
            case "task":
                queues.append(slots.queue(a, b))
                task = {"priority": a, "most": b, "line": [], "has": set(), "started": 0, "number": len(queues)}
                plain.tasks.append(task)
            case "ask":
                for _ in range(b):
                    n = len(tickets)
                    plain.tasks[a % len(queues)]["line"].append(n)
                    plain.grant()
                    tickets.append(queues[a % len(queues)].ask(lambda _, n=n: began.append(n)))  # type: ignore[misc]
            case "most" | "per_task":
                setattr(slots, name, a)
                setattr(plain, name, a)
            case _ if tickets:
                n = a % len(tickets)
                if name == "release":
                    tickets[n].release()
                    plain.leave(n)
                elif name == "lend" and plain.state.get(n) == "at work":
                    tickets[n].lend()
                    plain.state[n] = "lent"
                elif name == "take_back" and plain.state.get(n) == "lent":
                    tickets[n].take_back()
                    plain.state[n] = "at work"
        plain.grant()
        assert began == plain.began
        assert slots.at_work == plain.at_work
        assert slots.waiting == sum(len(task["line"]) for task in plain.tasks)
    for ticket in tickets:
        ticket.release()
    assert (slots.at_work, slots.waiting) == (0, 0)


# -- many ------------------------------------------------------------------------------------------


def test_ten_thousand_that_end_at_once_need_no_stack() -> None:
    slots, ended = Slots(1, 1), 0

    def end(ticket: Ticket) -> None:
        nonlocal ended
        ended += 1
        ticket.release()

    first = slots.queue().ask(ignore)
    queue = slots.queue()
    for _ in range(10_000):
        queue.ask(end)
    first.release()
    assert (ended, slots.at_work, slots.waiting) == (10_000, 0, 0)


def test_one_that_cannot_begin_holds_up_nobody() -> None:
    slots, began = Slots(3, 3), list[int]()
    hold = slots.queue(most=3)
    held = [hold.ask(ignore) for _ in range(3)]

    def fail(_: Ticket) -> None:
        raise KeyboardInterrupt

    queue = slots.queue()
    queue.ask(fail)
    waiting = [queue.ask(lambda _, n=n: began.append(n)) for n in range(4)]  # type: ignore[misc]
    slots._most = 0
    for ticket in held:
        ticket.release()
    with pytest.raises(KeyboardInterrupt):
        slots.most = 3
    assert (slots.at_work, began) == (3, [0, 1, 2])
    waiting[0].release()
    assert (slots.at_work, began) == (3, [0, 1, 2, 3])


def test_who_waits_and_goes_away_leaves_nothing_behind() -> None:
    slots = Slots(1, 1)
    held = slots.queue().ask(ignore)
    for _ in range(1_000):
        queue = slots.queue()
        for ticket in [queue.ask(ignore) for _ in range(3)]:
            ticket.release()
    assert not slots._queues
    held.release()
    slots.queue().ask(ignore).release()
    assert not slots._ready


def hammer(slots: Slots, work: Callable[[random.Random, SlotQueue], None], threads: int = 8) -> None:
    def run(seed: int) -> None:
        chance = random.Random(seed)
        queues = [slots.queue(chance.randint(0, 2)) for _ in range(3)]
        for _ in range(300):
            work(chance, chance.choice(queues))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))


def test_threads_that_hammer_it_never_get_more_than_there_is() -> None:
    slots, lock = Slots(4, 2), threading.Lock()
    now: dict[SlotQueue, int] = {}
    over: list[str] = []

    def change(queue: SlotQueue, by: int) -> None:
        with lock:
            now[queue] = now.get(queue, 0) + by
            if sum(now.values()) > 4 or now[queue] > 2:
                over.append(f"{now}")

    def work(chance: random.Random, queue: SlotQueue) -> None:
        if chance.random() < 0.2:
            queue.ask(ignore).release()  # whether it has begun or not
            return
        has = threading.Event()

        def begin(_: Ticket) -> None:
            change(queue, 1)
            has.set()

        ticket = queue.ask(begin)
        assert has.wait(30)
        change(queue, -1)
        ticket.release()

    hammer(slots, work)
    assert (slots.at_work, slots.waiting, over) == (0, 0, [])


def test_listeners_hear_of_size_and_use_and_may_fail() -> None:
    slots, heard = Slots(1, 1), list[tuple[int, int, int]]()

    def fail() -> None:
        raise SystemExit("not me")

    slots.subscribe(fail)
    forget = slots.subscribe(lambda: heard.append((slots.most, slots.at_work, slots.waiting)))
    ticket = slots.queue().ask(ignore)
    waiting = slots.queue().ask(ignore)
    ticket.lend()
    ticket.take_back()
    slots.most = 2
    waiting.release()
    ticket.release()
    assert heard == [(1, 1, 0), (1, 1, 1), (1, 1, 0), (1, 2, 0), (2, 2, 0), (2, 1, 0), (2, 0, 0)]
    forget()
    slots.most = 3
    assert len(heard) == 7
