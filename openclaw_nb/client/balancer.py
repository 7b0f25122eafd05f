"""Balancer, which endpoint a client dials and which gets a run: pure, with time and chance passed in.

A client dials the lowest rank that has an endpoint free: the first cluster is rank 0, those it falls back to come
after it. One that failed rests, twice as long each time, and is tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Balancer", "EndpointState", "Place"]

REST = 0.5
"""Seconds that an endpoint rests at most after it failed once; doubling, with jitter."""

LONGEST = 30.0
"""Seconds that it rests at most, however often it failed; so long from the first time where it refuses us."""

DRAIN = 5.0
"""Seconds that one which goes away is left alone where it does not say for how long."""

FRESH = 60.0
"""Seconds for which it counts how busy a gateway said it is: two of its ticks."""


@dataclass(frozen=True, slots=True)
class Place:
    """One endpoint: ``url`` is dialled, ``uri`` is what people see; ``cluster`` is the name of its cluster, or ""."""

    url: str
    uri: str = ""
    cluster: str = ""
    rank: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class EndpointState:
    """How an endpoint stands for this client. ``state`` in words; ``links`` and ``runs`` are this client's there,
    ``failures`` those in a row, ``cuts`` all of its links that were lost; ``load`` is what the gateway itself said of
    its runs, ``last_seen`` seconds since it last let us in or said anything: None where it did not."""

    url: str
    cluster: str
    weight: float
    state: str
    links: int
    runs: int
    failures: int
    cuts: int
    load: int | None
    last_seen: float | None


@dataclass(slots=True)
class _Standing:
    """What is known of one endpoint. Moments are seconds of one clock."""

    aimed: int = 0
    links: int = 0
    failures: int = 0
    cuts: int = 0
    until: float = float("-inf")
    why: str = ""
    drains: bool = False
    seen: float | None = None
    told: int | None = None
    others: int = 0
    told_at: float = float("-inf")
    credit: float = 0.0


class Balancer:
    """The endpoints of a client, and what it saw of them.

    ``balance`` says for each rank how runs are spread: "least-busy" gives one to where the fewest are at work for its
    weight, "round-robin" to each in turn, by weights. ``chance`` decides between equals.
    """

    def __init__(self, places: Sequence[Place], balance: Sequence[str] = (), chance: Random | None = None) -> None:
        self.places = tuple(places)
        self._balance = tuple(balance)
        self._chance = chance or Random()  # noqa: S311 - it spreads load, and keeps no secret
        self._standing = {place: _Standing() for place in self.places}

    def __repr__(self) -> str:
        return f"<Balancer of {len(self.places)} endpoints>"

    # -- where to dial ---------------------------------------------------------------------------

    def choose(self, now: float, tried: Collection[Place] = ()) -> Place | None:
        """Where a link is dialled: one that was not tried and does not rest, or None.

        Those that have no link of ours come first, drawn by weight, so that many clients spread; then whichever has
        the fewest links for its weight.
        """
        free = [place for place in self.places if place not in tried and self._standing[place].until <= now]
        lowest = min((place.rank for place in free), default=0)
        free = [place for place in free if place.rank == lowest]
        if not free:
            return None
        if bare := [place for place in free if not self._standing[place].aimed]:
            return self._chance.choices(bare, [place.weight for place in bare])[0]
        return min(free, key=lambda place: ((self._standing[place].aimed + 1) / place.weight, self._chance.random()))

    def soonest(self) -> Place:
        """Where to dial while all of them rest."""
        return min(self.places, key=lambda place: (self._standing[place].until, place.rank))

    def rests(self, place: Place, now: float) -> bool:
        return self._standing[place].until > now

    def drains(self, place: Place) -> bool:
        """Whether it said that it goes away, and has not let us in since."""
        return self._standing[place].drains

    def fails(self, place: Place) -> bool:
        """Whether the last that was seen of it was a failure."""
        return self._standing[place].failures > 0

    def aim(self, place: Place, links: int = 1) -> None:
        """So many more links are there, or on their way."""
        self._standing[place].aimed += links

    # -- what was seen ---------------------------------------------------------------------------

    def up(self, place: Place, now: float) -> None:
        """It has let us in."""
        standing = self._standing[place]
        standing.links += 1
        standing.drains, standing.why, standing.seen = False, "", now
        standing.until = float("-inf")

    def heard(self, place: Place, now: float) -> None:
        """Something came from it: it works."""
        standing = self._standing[place]
        standing.failures, standing.seen = 0, now

    def down(self, place: Place, *, cut: bool) -> None:
        """A link to it has ended, by a ``cut`` or because we left."""
        standing = self._standing[place]
        standing.links = max(0, standing.links - 1)
        standing.cuts += cut

    def stumbled(self, place: Place) -> None:
        """A link to it was cut, for a reason that may be the network's: it need not rest, if it works now."""
        self._standing[place].failures += 1

    def failed(self, place: Place, now: float, why: str, *, refused: bool = False, rest: float = 0.0) -> None:
        """It was not to be had, or cut us off; it rests at least ``rest`` seconds. ``refused``: it does not want us."""
        standing = self._standing[place]
        if standing.until > now and standing.failures:  # another link of ours has seen the same
            return
        standing.failures += 1
        longest = LONGEST if refused else min(LONGEST, REST * 2.0 ** min(standing.failures - 1, 10))
        standing.until = now + max(rest, longest * self._chance.uniform(0.5, 1.0))
        standing.why = why

    def leaves(self, place: Place, now: float, rest: float | None, why: str = "") -> None:
        """It said that it goes away, for ``rest`` seconds if it said how long."""
        standing = self._standing[place]
        standing.drains, standing.why = True, why
        standing.until = now + min(DRAIN if rest is None else rest, LONGEST)

    def opened(self, place: Place) -> None:
        """Its port, which was closed, is open: it need not rest any longer."""
        self._standing[place].until = float("-inf")

    def told(self, place: Place, now: float, load: int, ours: int) -> None:
        """Its gateway said how many runs it has at work; so many of them are ours."""
        standing = self._standing[place]
        standing.told, standing.others, standing.told_at = load, max(0, load - ours), now

    # -- which link gets a run -------------------------------------------------------------------

    def pick(self, now: float, offers: Sequence[tuple[Place, int]]) -> int:
        """Which of these links, each a place and the runs it has, gets the next run; its index."""
        lowest = min(place.rank for place, _ in offers)
        runs: dict[Place, int] = {}
        for place, count in offers:
            if place.rank == lowest:
                runs[place] = runs.get(place, 0) + count
        if self.balance(lowest) == "least-busy":
            busy = {place: (count + self._others(place, now)) / place.weight for place, count in runs.items()}
            runs = {place: count for place, count in runs.items() if busy[place] == min(busy.values())}
        chosen = self._next_in_turn(list(runs))
        return min((index for index, offer in enumerate(offers) if offer[0] == chosen), key=lambda i: offers[i][1])

    def balance(self, rank: int) -> str:
        return self._balance[rank] if rank < len(self._balance) else "least-busy"

    def _others(self, place: Place, now: float) -> int:
        standing = self._standing[place]
        return standing.others if now - standing.told_at < FRESH else 0

    def _next_in_turn(self, places: Sequence[Place]) -> Place:
        """Smooth weighted round robin: in each round every one comes as often as its weight says, well mixed."""
        for place in places:
            self._standing[place].credit += place.weight
        chosen = max(places, key=lambda place: self._standing[place].credit)
        self._standing[chosen].credit -= sum(place.weight for place in places)
        return chosen

    # -- going back ------------------------------------------------------------------------------

    def better(self, now: float, links: Sequence[Place]) -> tuple[int, Place] | None:
        """Which of these links had better be at another place, which is free: one at a cluster further down the order,
        or one of several at an endpoint while another has none. None where none is."""
        there = set(links)
        for place in sorted(self.places, key=lambda place: (place.rank, self._standing[place].aimed / place.weight)):
            if self._standing[place].until > now:
                continue
            spare = [
                index for index, at in enumerate(links)
                if at.rank > place.rank or (at.rank == place.rank and place not in there and links.count(at) > 1)
            ]  # fmt: skip
            if spare:
                return max(spare, key=lambda i: (links[i].rank, links.count(links[i]) / links[i].weight)), place
        return None

    def is_uneven(self, links: Sequence[Place]) -> bool:
        """Whether there is anything better to be waited for."""
        ranks = {place.rank for place in links}
        if max(ranks, default=0) > 0:
            return True
        there = set(links)
        first = [place for place in self.places if place.rank == 0]
        return len(there) < min(len(links), len(first))

    # -- what people are told --------------------------------------------------------------------

    def states(
        self, now: float, runs: Sequence[tuple[Place, int]], silent: Mapping[Place, float | None]
    ) -> tuple[EndpointState, ...]:
        """How each of them stands. ``runs`` are those of each link, ``silent`` is for how long nothing came from it."""
        return tuple(
            self._state(place, now, sum(count for at, count in runs if at == place), silent.get(place))
            for place in self.places
        )

    def _state(self, place: Place, now: float, runs: int, silent: float | None) -> EndpointState:
        standing = self._standing[place]
        before = None if standing.seen is None else max(0.0, now - standing.seen)
        return EndpointState(
            place.url, place.cluster, place.weight, self._words(standing, now), standing.links, runs,
            standing.failures, standing.cuts, standing.told if now - standing.told_at < FRESH else None,
            before if silent is None else silent,
        )  # fmt: skip

    def _words(self, standing: _Standing, now: float) -> str:
        rests = f", tried again in {standing.until - now:.1f} s" if standing.until > now else ""
        if standing.drains:
            return "draining" + (f" ({standing.why})" if standing.why else "") + rests
        if standing.links:
            return "up"
        if standing.failures:
            return f"away ({standing.why}){rests}"
        return "free" if standing.seen is not None else "not tried yet"
