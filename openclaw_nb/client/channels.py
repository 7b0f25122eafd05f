"""Channels, the links that a client holds: which one a run takes, and their move to where they had better be."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..events import State, Status
from ..protocol.handshake import Hello
from .balancer import EndpointState, Place
from .channel import Channel, Terms
from .destination import Destination

if TYPE_CHECKING:
    from .flights import Flight

__all__ = ["Channels"]

SESSIONS = 10_000
"""Sessions of which it is known by which link their runs went."""

MOMENT = 1.0
"""Seconds within which cuts of links to one endpoint are one event."""

LOOK = 0.25
"""Seconds between two looks for a better place, while there is one to be waited for."""


class Channels:
    """Those to ``target``, on the running loop. `take` and `find` may be called from any thread.

    As many are held as the target says. The runs of a session take the same one while it lives, for a gateway keeps
    them in order; other runs take that of the endpoint which is least busy, or next in turn. One whose gateway goes
    away, or which another has replaced, is left as soon as its runs have ended.
    """

    def __init__(self, terms: Terms, target: Destination) -> None:
        self.terms = terms
        self.target = target
        self.balancer = target.balancer()
        self._loop = asyncio.get_running_loop()
        self._leaving: list[Channel] = []
        self._trial: tuple[Channel, Channel] | None = None
        self._waiting: deque[Flight] = deque()
        self._cuts: dict[Place, float] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._homes: dict[str, Channel] = {}
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._is_single = len(target) == 1 and target.connections == 1
        self._held: list[Channel] = []
        self._held = [Channel(self) for _ in range(target.connections)]

    def __iter__(self) -> Iterator[Channel]:
        """Those that have runs, or may get some."""
        return iter((*self._held, *self._leaving))

    @property
    def first(self) -> Channel:
        """One that is up, if one is."""
        return next((channel for channel in self._held if channel.up), self._held[0])

    async def hello(self) -> Hello:
        """That of the first gateway which lets us in; the error where none does."""
        waiting = [asyncio.ensure_future(channel.hello()) for channel in self._held]
        try:
            for told in asyncio.as_completed(waiting):
                try:
                    return await told
                except Exception:
                    if all(one.done() for one in waiting):
                        raise
            raise AssertionError("there is at least one")
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def reconnect(self) -> None:
        await asyncio.gather(*(channel.reconnect() for channel in self._held))

    def abandon(self) -> None:
        """All that is in flight ends here, and nothing is begun any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for channel in self:
            channel.abandon()

    async def close(self) -> None:
        """Leave, everywhere."""
        self.abandon()
        trial = [self._trial[0]] if self._trial else []
        await asyncio.gather(*(channel.close() for channel in (*self, *trial)), *self._closing)

    # -- which one a run takes -------------------------------------------------------------------

    def take(self, key: str) -> Channel:
        """The one for the next run, or request, of a session."""
        if self._is_single and not self._leaving:
            return self._held[0]
        with self._lock:
            known = self._homes.pop(key, None)
            if known is None or not self._keeps(known, key):
                known = self._pick()
            self._homes[key] = known  # the newest is the last
            while len(self._homes) > SESSIONS:
                del self._homes[next(iter(self._homes))]
            return known

    def _keeps(self, channel: Channel, key: str) -> bool:
        """Whether a session stays with it."""
        if channel in self._held:
            return not (channel.is_leaving or channel.link.ended)
        return not channel.is_leaving and channel in self._leaving and any(
            flight.params["sessionKey"] == key for flight in channel.runs.flights
        )  # fmt: skip

    def _pick(self) -> Channel:
        up = [channel for channel in self._held if channel.up and not channel.is_leaving] or self._held
        if len(up) == 1:
            return up[0]
        return up[self.balancer.pick(self._loop.time(), [(channel.place, len(channel.runs)) for channel in up])]

    def find(self, run_id: str) -> Channel | None:
        """The one on which a run is in flight."""
        return next((channel for channel in self if channel.runs.find(run_id) is not None), None)

    # -- where they are --------------------------------------------------------------------------

    def where(self, place: Place) -> str:
        """What is said of runs at a place, where that is not the one meant, or ""."""
        first = self.target.places[0].cluster
        return f"at {place.cluster}, as {first} is away" if place.rank else ""

    def let_in(self, channel: Channel) -> None:
        """A channel is up: a trial takes the place of the one it is better than."""
        if self._trial is not None and self._trial[0] is channel:
            (_, before), self._trial = self._trial, None
            channel.is_trial = False
            self._replace(before, channel)
        self._look_soon()

    def is_news(self, place: Place) -> bool:
        """Whether a cut there is not one that another link has told of: an instance that dies takes all of its links
        with it."""
        now, before = self._loop.time(), self._cuts.get(place, float("-inf"))
        self._cuts[place] = now
        return self._is_single or now - before >= MOMENT

    def drop(self, channel: Channel) -> None:
        """A trial was not let in."""
        if self._trial is not None and self._trial[0] is channel:
            self._trial = None
        self._look_soon()

    def leaves(self, channel: Channel) -> None:
        """Its gateway goes away: its runs end there if they can, and new ones go elsewhere."""
        channel.is_leaving = True
        elsewhere = self.balancer.choose(self._loop.time(), {channel.place})
        if channel in self._held and elsewhere is not None and not self._is_closed:
            self._replace(channel, Channel(self, elsewhere, instead=True))

    def move(self, flight: Flight, channel: Channel) -> bool:
        """Ask for it on another one, as its gateway takes nothing new; whether it was moved."""
        if self._is_closed:
            return False
        if channel in self._held:
            self._replace(channel, Channel(self, instead=True))
        channel.runs.hand_over(flight, self.take(flight.key).runs)
        self._tidy()
        return True

    def _replace(self, before: Channel, after: Channel) -> None:
        if before not in self._held:
            self._retire(after)
            return
        self._held[self._held.index(before)] = after
        self._retire(before)

    def _retire(self, channel: Channel) -> None:
        """It gets nothing new; what was not asked for yet goes on another one."""
        self._leaving.append(channel)
        for flight in channel.runs.flights:
            if not flight.asked:
                channel.runs.hand_over(flight, self.take(flight.key).runs)
        self._tidy()

    def launch(self, channel: Channel, flight: Flight) -> None:
        """Send it on that one, or as soon as no more of the runs here are at work than may be."""
        if channel.is_closed and channel not in self:  # it was left just now
            before, channel = channel, self.take(flight.key)
            before.runs.hand_over(flight, channel.runs)
        limit = self.target.max_runs
        flight.waits_here = limit is not None and sum(not one.waits_here for one in self._flights()) > limit
        if flight.waits_here:
            self._waiting.append(flight)
            what = f"waiting for another run: {limit} at once is the limit of {self.terms.uri}"
            flight.run.push(State(Status.WAITING, what))
        else:
            channel.launch(flight)

    def _flights(self) -> Iterator[Flight]:
        return (flight for channel in self for flight in channel.runs.flights)

    def ended(self) -> None:
        """A run has."""
        while self._waiting and sum(not one.waits_here for one in self._flights()) < (self.target.max_runs or 0):
            flight = self._waiting.popleft()
            if (channel := self.find(flight.run.id)) is not None:
                flight.waits_here = False
                flight.run.push(State(Status.WAITING))
                channel.launch(flight)
        if self._leaving and self._loop.is_running():
            self._loop.call_soon(self._tidy)

    def _tidy(self) -> None:
        """Leave those that have nothing to do any more."""
        for channel in tuple(self._leaving):
            if not len(channel.runs):
                self._leaving.remove(channel)
                with self._lock:
                    self._homes = {key: home for key, home in self._homes.items() if home is not channel}
                task = self._loop.create_task(channel.close(), name=f"openclaw leaves {channel.place.uri}")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def _look_soon(self) -> None:
        if self._is_single or self._is_closed or self._timer is not None or not self.terms.retry().auto:
            return
        if self.balancer.is_uneven([channel.place for channel in self._held]):
            self._timer = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        """Try a better place, while what there is goes on."""
        self._timer = None
        up = [channel for channel in self._held if channel.up]
        found = self.balancer.better(self._loop.time(), [channel.place for channel in up]) if up else None
        if found is not None and self._trial is None:
            worst, place = found
            self._trial = Channel(self, place, trial=True), up[worst]
        self._look_soon()

    def told(self, place: Place, load: int) -> None:
        """The gateway there has so many runs at work, ours and those of others."""
        ours = sum(len(channel.runs) for channel in self if channel.place == place)
        self.balancer.told(place, self._loop.time(), load, ours)

    # -- what people are told --------------------------------------------------------------------

    def states(self) -> tuple[EndpointState, ...]:
        """How each endpoint stands."""
        seen = {channel.place: channel.seen for channel in self if channel.up}
        runs = [(channel.place, len(channel.runs)) for channel in self]
        return self.balancer.states(self._loop.time(), runs, seen)
