"""Channel, one link of a client, with its session and the runs in flight on it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, OpenClawError, is_retryable
from ..protocol.handshake import Hello
from ..protocol.happened import Happened, Shutdown
from ..protocol.session import ClientSession
from ..stability import Stability
from ..version import __version__
from .balancer import Place
from .flights import Flight, Restore, failed
from .home_loop import NOT_CONNECTED
from .inflight import InFlight
from .link import Link, Retry
from .route import Route

if TYPE_CHECKING:
    from .channels import Channels

__all__ = ["CLOSED", "Channel", "Terms"]

CLOSED = "the client was closed"


@dataclass(frozen=True, slots=True)
class Terms:
    """What all channels have of their client: its address and scopes, how it retries and paces, and whom it tells."""

    uri: str
    scopes: Sequence[str]
    retry: Callable[[], Retry]
    restore: Restore
    pace: Callable[[bool], dict[str, Any]]
    emit: Callable[..., None]
    stability: Stability
    home: Callable[[], str]
    instructions: Callable[[], str]
    attend: Callable[[Hello], None]
    """Told of the hello of a gateway that is not one of ours."""


class Channel:
    """Dials at once, on the running loop: to ``first`` if that is given, else as the balancer chooses.

    ``trial``: nowhere else; ``instead``: in place of one that was up, so it does not give up at the first try.
    """

    def __init__(
        self, channels: Channels, first: Place | None = None, *, trial: bool = False, instead: bool = False
    ) -> None:
        self._channels = channels
        self._terms = terms = channels.terms
        self._time = asyncio.get_running_loop().time
        target = channels.target
        token = target.tokens[target.places[0]] if target.is_local else None
        self.session = ClientSession(token=token, version=__version__, platform=sys.platform, scopes=terms.scopes)
        self.runs = InFlight(
            terms.uri, self.session, self.linked, self.dial, terms.pace, terms.emit, terms.stability, terms.restore,
            terms.home, terms.instructions,
        )  # fmt: skip
        self.runs.elsewhere, self.runs.on_end, self.runs.on_load = self._elsewhere, channels.ended, self._loaded
        self.is_trial = trial
        self.is_leaving = False
        """Whether its gateway goes away: it takes no further run."""
        self._away = False
        self._closed = False
        self._route = Route(terms.uri, channels.balancer, target.proof, now=self._time(), first=first, is_trial=trial)
        self.link = self._make_link(comes_back=instead)

    def __repr__(self) -> str:
        return f"<Channel to {self.place.uri}, {len(self.runs)} runs in flight>"

    @property
    def up(self) -> bool:
        return not self._closed and self.link.up

    @property
    def place(self) -> Place:
        """The endpoint that it is at, or on its way to."""
        return self._route.place

    @property
    def seen(self) -> float | None:
        """Seconds since its gateway said anything; None where it is not up."""
        heard = self.link.heard if self.link.up else None
        return None if heard is None else self._time() - heard

    @property
    def is_closed(self) -> bool:
        return self._closed

    def linked(self) -> Link:
        """Its link; ConnectionLost where it was closed."""
        if self._closed:
            raise ConnectionLost(NOT_CONNECTED)
        return self.link

    def dial(self) -> Link:
        """Another link in place of one that has given up."""
        self.link = self._make_link()
        return self.link

    def _make_link(self, *, comes_back: bool = False) -> Link:
        return Link(self._route, self.session, self._terms.retry(), self, comes_back=comes_back)

    async def hello(self) -> Hello:
        return await self.linked().hello()

    async def reconnect(self) -> None:
        if self.linked().ended:
            self.dial()
        else:
            self.link.again()
        await self.link.hello()

    async def close(self) -> None:
        """Leave. What is in flight ends here as failed."""
        self.abandon()
        await self.link.close()

    def abandon(self) -> None:
        """What is in flight ends here."""
        self._closed = True
        self.given_up(ConnectionLost(CLOSED))

    def launch(self, flight: Flight) -> None:
        """Send it, now or as soon as the link is up."""
        if self._closed:
            self.runs.end(flight, failed(ConnectionLost(CLOSED)))
            return
        if self.link.ended:
            self.dial()
        self.runs.launch(flight)

    # -- what the link tells ---------------------------------------------------------------------

    def happened(self, event: Happened) -> None:
        if isinstance(event, Hello):
            self._let_in(event)
        elif isinstance(event, Shutdown):
            self._channels.leaves(self)
        else:
            self.runs.happened(event)

    def _let_in(self, hello: Hello) -> None:
        self.is_leaving = False
        self.runs.uri = self.place.uri
        self.runs.where = self._channels.where(self.place)
        self.runs.model = self._channels.target.model(self.place)
        self._channels.let_in(self)
        self.runs.up()
        if self._away:
            self._away = False
            self._terms.emit("reconnected")
        if not hello.is_ours and self._channels.first is self:
            self._terms.attend(hello)

    def cut(self, error: OpenClawError) -> None:
        if (self._route.has_others and self._route.is_left) or not self._channels.is_news(self.place):
            return  # it said so before, or another link has told of it
        self._terms.stability.cut()
        self._terms.emit("error", error)

    def retrying(self, attempt: int) -> None:
        self._away = True
        self.runs.wait(f"reconnecting, attempt {attempt} of {self._terms.retry().attempts}")
        self._terms.emit("reconnect", attempt)

    def given_up(self, error: OpenClawError) -> None:
        if self._away:
            self._away = False
            self._terms.emit("error", error)
        if self._closed or self.link.closed or not self._terms.retry().auto:
            self.runs.fail(error)
            return
        if self.is_trial:
            self._channels.drop(self)
            return
        if is_retryable(error):
            self._terms.stability.cut()
        self.runs.lose(error)

    def _loaded(self, load: int | None) -> None:
        if load is not None:
            self._channels.told(self.place, load)

    def _elsewhere(self, flight: Flight) -> bool:
        """Whether a run that was refused, as the gateway goes away, is asked for at another place."""
        return self.is_leaving and self._channels.move(flight, self)
