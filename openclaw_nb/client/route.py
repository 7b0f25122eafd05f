"""Route, where one link is dialled, and where next: each endpoint once without a pause, then all of them again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from ..door import is_loopback
from ..errors import ConnectionLost, OpenClawError, is_retryable
from .balancer import Balancer, Place
from .credentials import Credentials

__all__ = ["Route"]

OPEN_TIMEOUT = 10.0
"""Seconds until a gateway has let us in."""

WHERE_OTHERS_ARE = 3.0
"""Seconds for that while another endpoint waits to be tried."""

QUICK = 0.25
"""Seconds, at least, for the endpoint whose link was just cut: it has the runs, and is often there at once."""

TIMES = 3.0
"""Times what it took there before, if that is more."""


class Route:
    """The way of a link over the endpoints of ``balancer``, which it shares with the client's other links.

    ``proof`` gives by what one is let in at an endpoint, ``first`` is where to begin, and a trial goes nowhere
    else until it was up. Moments are seconds of one clock.
    """

    def __init__(
        self, uri: str, balancer: Balancer, proof: Callable[[Place], Credentials | None], *, now: float,
        first: Place | None = None, is_trial: bool = False,
    ) -> None:  # fmt: skip
        self.uri = uri
        self._balancer = balancer
        self._proof_of = proof
        self._proofs: dict[Place, Credentials | None] = {}
        self._tried: set[Place] = set()
        self._errors: list[OpenClawError] = []
        self._took: dict[Place, float] = {}
        self._is_quick = False
        self._is_up = False
        self._is_trial = is_trial
        self.refused: set[Place] = set()
        """Where nobody listened since it was up."""
        self._is_aimed = False
        self.place = first or balancer.choose(now) or balancer.soonest()
        self.begin()

    @classmethod
    def single(cls, uri: str, url: str, credentials: Credentials | None = None) -> Route:
        """To one endpoint only."""
        return cls(uri, Balancer([Place(url, uri)]), lambda _: credentials, now=0.0)

    @property
    def proof(self) -> Credentials | None:
        """By what one is let in where it is dialled now."""
        if self.place not in self._proofs:
            self._proofs[self.place] = self._proof_of(self.place)
        return self._proofs[self.place]

    @property
    def has_others(self) -> bool:
        return len(self._balancer.places) > 1

    @property
    def is_loopback(self) -> bool:
        return is_loopback(urlsplit(self.place.url).hostname or "")

    @property
    def is_left(self) -> bool:
        """Whether the gateway there said that it goes away."""
        return self._balancer.drains(self.place)

    def timeout(self, now: float) -> float:
        """Seconds until we have to be let in where it is dialled now."""
        if self._is_quick:
            return max(QUICK, TIMES * self._took.get(self.place, 0.0))
        others = self.has_others and self._balancer.choose(now, {*self._tried, self.place}) is not None
        return WHERE_OTHERS_ARE if others else OPEN_TIMEOUT

    # -- what happened there ---------------------------------------------------------------------

    def up(self, now: float, seconds: float) -> None:
        """We were let in there, after so many seconds."""
        self._is_up, self._is_quick, self._is_trial = True, False, False
        self._took[self.place] = seconds
        self._balancer.up(self.place, now)

    def heard(self, now: float) -> None:
        """Something came of it after it had let us in."""
        self._balancer.heard(self.place, now)

    def leaves(self, now: float, seconds: float | None, why: str) -> None:
        """The gateway there says that it goes away."""
        self._balancer.leaves(self.place, now, seconds, why)

    def ended(self, *, cut: bool = False) -> None:
        """The connection there is no more."""
        if self._is_up:
            self._is_up = False
            self._balancer.down(self.place, cut=cut)

    def moves_on(self, error: OpenClawError, now: float, *, was_up: bool, abrupt: bool) -> bool:
        """It failed so, or was cut: whether it is to be dialled again at once.

        One that was cut ``abrupt`` and had worked until then is asked once more, for it may have been the network.
        """
        if was_up:
            self._tried.clear()
            self._errors.clear()
            self.refused.clear()
        self._errors.append(error)
        here = self.place
        comes_back_here = was_up and abrupt and not (self.is_left or self._balancer.fails(here))
        rest = error.retry_after if isinstance(error, ConnectionLost) else 0.0
        if comes_back_here and self.has_others:
            self._balancer.stumbled(here)
            self._is_quick = True
            return True
        self._is_quick = False
        if not (was_up and self.is_left):
            self._balancer.failed(here, now, str(error), refused=not is_retryable(error), rest=rest)
        self._tried.add(here)
        other = self._balancer.choose(now, self._tried) if self.has_others and not self._is_trial else None
        if other is not None:
            self._aim_at(other)
        return other is not None

    def again(self, now: float) -> None:
        """All of them may be tried again."""
        self._tried.clear()
        self._errors.clear()
        self._aim_at(self._balancer.choose(now) or self._balancer.soonest())

    def begin(self) -> None:
        """A link is on its way: others go elsewhere."""
        if not self._is_aimed:
            self._balancer.aim(self.place)
            self._is_aimed = True

    def end(self) -> None:
        """It is given up, or closed."""
        if self._is_aimed:
            self._balancer.aim(self.place, -1)
            self._is_aimed = False

    def _aim_at(self, place: Place) -> None:
        self.end()
        self.place = place
        self.begin()

    def opened(self, place: Place) -> None:
        """Somebody listens there again."""
        self.refused.discard(place)
        self._balancer.opened(place)

    def verdict(self, error: OpenClawError) -> OpenClawError:
        """What it comes to that none of them let us in, of which ``error`` is the last."""
        passing = next((one for one in reversed(self._errors) if is_retryable(one)), None)
        if passing is None or not self.has_others or self._is_trial:
            return error
        summary = ConnectionLost(
            f"none of the {len(self._balancer.places)} endpoints of {self.uri} is there: {passing}"
        )
        starting = [one for one in self._errors if isinstance(one, ConnectionLost) and one.is_starting]
        if starting:
            summary.is_starting, summary.retry_after = True, min(one.retry_after for one in starting)
        return summary
