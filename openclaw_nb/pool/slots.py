"""Slots, how many may work at once, in all and of one task, and who of those who wait is next."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from heapq import heappop, heappush
from itertools import count

from ..metrics.pools import known

__all__ = ["SlotQueue", "Slots", "Ticket"]

Start = Callable[["Ticket"], None]

log = logging.getLogger("openclaw_nb")

Entry = tuple[int, int, int, int, int, "SlotQueue"]
"""When a queue is to have the next slot, as it was when it was pushed."""


class _Is(Enum):
    WAITING = 1
    AT_WORK = 2
    LENT = 3
    OVER = 4


class Slots:
    """``most`` slots in all, and ``per_task`` of them for one task; both may be set while they are in use.

    Next is who has the highest priority; among those the task that has the fewest at work, then the one of which the
    fewest were started, then the oldest: no task waits because another is big. Starting is left to whoever frees the
    slot, on that thread, without a lock held.
    """

    def __init__(self, most: int = 10, per_task: int = 3) -> None:
        self._most = most
        self._per_task = per_task
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._numbers = count()
        self._ready: list[Entry] = []  # a heap; an old entry of a queue is skipped
        self._queues: set[SlotQueue] = set()  # those in which anybody waits
        self._at_work = 0
        self._starting = threading.local()
        known.add(self)

    @property
    def most(self) -> int:
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        with self._lock:
            self._most = most
            granted = self._grant()
        self._start(granted)

    @property
    def per_task(self) -> int:
        return self._per_task

    @per_task.setter
    def per_task(self, per_task: int) -> None:
        with self._lock:
            self._per_task = per_task
            for queue in self._queues:
                queue.push()
            granted = self._grant()
        self._start(granted)

    @property
    def at_work(self) -> int:
        """Slots in use now."""
        return self._at_work

    @property
    def waiting(self) -> int:
        """Those who wait for one."""
        with self._lock:
            return sum(queue.waiting for queue in self._queues)

    def queue(self, priority: int = 0, most: int | None = None) -> SlotQueue:
        """A new task's queue; ``most`` limits its slots in place of ``per_task``."""
        return SlotQueue(self, priority, most, next(self._numbers))

    def close(self) -> None:
        """Count no more among the pools that are open."""
        known.discard(self)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` when the size or use has changed, on whichever thread that was; the way to unsubscribe."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    # -- inside ------------------------------------------------------------------------------------

    def _grant(self) -> list[Ticket]:
        """Who has a slot from now on. Under the lock."""
        granted = []
        while self._at_work < self._most and self._ready:
            entry = heappop(self._ready)
            queue = entry[-1]
            if entry is not queue.entry:
                continue
            queue.entry = None
            if (ticket := queue.take()) is not None:
                self._at_work += 1
                granted.append(ticket)
            queue.push()
        return granted

    def _start(self, granted: list[Ticket]) -> None:
        """Start them, one after another: one that ends at once frees a slot, and must not start the next inside it."""
        local = self._starting
        if (waiting := getattr(local, "tickets", None)) is not None:
            waiting.extend(granted)
            return
        local.tickets = waiting = deque(granted)
        raised: BaseException | None = None
        while waiting:
            ticket = waiting.popleft()
            try:
                ticket.start(ticket)
            except BaseException as error:  # no reason not to start the others
                ticket.release()
                raised = error
        del local.tickets
        self._changed()
        if raised is not None:
            raise raised

    def _changed(self) -> None:
        for listener in tuple(self._listeners):
            try:
                listener()
            except BaseException:  # sys.exit() in one must not end the thread that freed a slot
                log.exception("a listener of a pool failed")


class SlotQueue:
    """Those of one task who wait for a slot, in order."""

    __slots__ = ("_limit", "_number", "_priority", "_slots", "_started", "_tickets", "at_work", "entry", "waiting")

    def __init__(self, slots: Slots, priority: int, most: int | None, number: int) -> None:
        self._slots = slots
        self._priority = priority
        self._limit = most
        self._number = number
        self._started = 0
        self._tickets: deque[Ticket] = deque()
        self.at_work = 0
        self.waiting = 0
        self.entry: Entry | None = None

    @property
    def slots(self) -> Slots:
        return self._slots

    @property
    def most(self) -> int:
        """Slots that it may have at once."""
        return self._slots.per_task if self._limit is None else self._limit

    def ask(self, start: Start) -> Ticket:
        """Wait for a slot: ``start`` is called with the ticket when it has one, which may be now."""
        ticket, slots = Ticket(self, start), self._slots
        with slots._lock:
            self._tickets.append(ticket)
            self.waiting += 1
            slots._queues.add(self)
            self.push()
            granted = slots._grant()
        slots._start(granted)
        return ticket

    def push(self) -> None:
        """Note that it is ready for another slot, if it is."""
        if self.waiting and self.at_work < self.most:
            before = self.entry
            if before is None or (before[1], before[2]) != (self.at_work, self._started):
                order = -self._priority, self.at_work, self._started, self._number
                self.entry = (*order, next(self._slots._numbers), self)  # no two compare equal
                heappush(self._slots._ready, self.entry)
        else:
            self.entry = None

    def take(self) -> Ticket | None:
        """The next ticket, which has a slot from now on."""
        while self._tickets:
            ticket = self._tickets.popleft()
            if ticket.state is _Is.WAITING:
                ticket.state = _Is.AT_WORK
                self.at_work += 1
                self._started += 1
                self.fewer()
                return ticket
        return None

    def fewer(self) -> None:
        """One waits no longer."""
        self.waiting -= 1
        if not self.waiting:
            self._tickets.clear()  # of those who went away
            self._slots._queues.discard(self)


class Ticket:
    """One who waits for a slot, has one, or had one. From any thread; to give back twice is no mistake."""

    __slots__ = ("_lends", "_queue", "start", "state")

    def __init__(self, queue: SlotQueue, start: Start) -> None:
        self._queue = queue
        self._lends = 0
        self.start = start
        self.state = _Is.WAITING

    @property
    def waits(self) -> bool:
        return self.state is _Is.WAITING

    @property
    def held_back(self) -> bool:
        """Whether it waits only for others of its own task."""
        return self.waits and self._queue.at_work >= self._queue.most

    def lend(self) -> None:
        """Leave the slot to others while its holder only waits for them; its task still counts it. It is back when it
        was taken back as often, in whichever order."""
        slots = self._queue._slots
        with slots._lock:
            self._lends += 1
            if self._lends != 1 or self.state is not _Is.AT_WORK:
                return
            self.state = _Is.LENT
            slots._at_work -= 1
            granted = slots._grant()
        slots._start(granted)

    def take_back(self) -> None:
        """Work on. Should nobody have given the slot back yet, one more than there are is in use until somebody does:
        to wait here would be to wait for those who wait for this one."""
        slots = self._queue._slots
        with slots._lock:
            self._take_back()
        slots._changed()

    def _take_back(self) -> None:
        self._lends -= 1
        if not self._lends and self.state is _Is.LENT:
            self.state = _Is.AT_WORK
            self._queue._slots._at_work += 1

    def release(self, to: Iterable[Ticket] = ()) -> None:
        """Give the slot back, or wait no longer for one; first of all ``to`` those who have lent theirs, and waited
        for this one."""
        queue = self._queue
        slots = queue._slots
        elsewhere = []
        with slots._lock:
            for ticket in to:
                if ticket._queue._slots is slots:
                    ticket._take_back()
                else:
                    elsewhere.append(ticket)
            match self.state:
                case _Is.WAITING:
                    queue.fewer()
                case _Is.AT_WORK:
                    slots._at_work -= 1
                    queue.at_work -= 1
                case _Is.LENT:
                    queue.at_work -= 1
            self.state = _Is.OVER
            queue.push()
            granted = slots._grant()
        slots._start(granted)
        for ticket in elsewhere:
            ticket.take_back()
