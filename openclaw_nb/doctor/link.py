"""The link to the gateway: whether it answers, how fast, and what of that is the way and what the gateway."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from ..client import OpenClawClient
from ..errors import OpenClawError, RequestError
from ..protocol.handshake import Hello
from ..remote import reading
from ..render import counted
from ..version import __version__
from .finding import Finding, State, seconds
from .kernel import percentile
from .patient import PATIENCE, Patient

__all__ = ["DEFAULT_PORTS", "Trip", "gateway", "link", "measure"]

PINGS = 20
"""Requests that are timed at most."""

LONGEST = 2.0
"""Seconds for all of them."""

PING = "last-heartbeat"
"""A method that asks next to nothing of a gateway; of one that has it not, `health` is asked."""

SLOW = 0.1
"""Seconds of a round trip from which on it is worth a look: a fifth of the document's 500 ms."""

SKEW = 5.0
"""Seconds between the clocks of both sides from which on they are worth a look."""

DEFAULT_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True)
class Trip:
    """Seconds: of each round trip, of the `health` method, of opening a connection, and by which the clocks differ."""

    trips: list[float]
    health: float
    opening: float | None
    skew: float | None

    @property
    def usual(self) -> float:
        return median(self.trips)


def gateway(patient: Patient) -> Iterator[Finding]:
    """Whether runs can be sent at all."""
    where = patient.uri or patient.runtime.uri
    try:
        client = patient.client
        hello = patient.ask(client.hello())
        patient.ask(_health(client))
    except OpenClawError as error:
        away = "%openclaw connect agent://local goes back to this kernel"
        yield Finding("gateway", State.BROKEN, str(error), remedy=away)
        return
    except FutureTimeout:
        words = f"{where} does not answer"
        yield Finding("gateway", State.BROKEN, words, f"within {PATIENCE:g} s", "see that it runs, and restart it")
        return
    yield Finding("gateway", State.OK, f"{client.uri} answers")
    yield _versions(hello)


def _versions(hello: Hello) -> Finding:
    if not hello.is_ours:
        words = "this package speaks OpenClaw's protocol with a gateway of OpenClaw's own"
        return Finding("versions", State.OK, words, f"openclaw_nb {__version__}, OpenClaw {hello.version or 'unnamed'}")
    if hello.version == __version__:
        return Finding("versions", State.OK, "the same on both sides", __version__)
    measured = f"{__version__} here, {hello.version} there"
    return Finding("versions", State.LOOK, "not the same on both sides", measured, "pip install -U openclaw_nb on both")


def link(patient: Patient, trip: Trip) -> Iterator[Finding]:
    """How fast the gateway answers, and whose time that is."""
    usual, worst = trip.usual, percentile(trip.trips, 0.99)
    counts = counted(len(trip.trips), "request")
    measured = f"a round trip takes {seconds(usual)} (P50), {seconds(worst)} (P99), of {counts}"
    if trip.opening is not None:
        measured += f"; opening a connection {seconds(trip.opening)}"
    figures = {"p50": usual, "p99": worst, "health": trip.health, "requests": float(len(trip.trips))}
    figures |= {"opening": trip.opening} if trip.opening is not None else {}
    if usual < SLOW:
        yield Finding("link", State.OK, "the gateway is near", measured, figures=figures)
    elif trip.opening is not None and trip.opening > usual / 2:
        remedy = "a gateway nearer to this kernel answers sooner: %openclaw connect URI"
        yield Finding("link", State.LOOK, "the way to the gateway is long", measured, remedy, figures)
    else:
        remedy = (
            "more instances share its work (openclaw-nb serve --workers N), and more connections the way "
            "(connections: N of the cluster's configuration)"
        )
        words = "the gateway, or what stands before it, is slow"
        yield Finding("link", State.LOOK, words, measured, remedy, figures)
    if trip.skew is not None:
        yield _clocks(trip.skew)


def _clocks(skew: float) -> Finding:
    figures = {"skew": skew}
    if abs(skew) < SKEW:
        return Finding("clocks", State.OK, "both sides have the same time", figures=figures)
    ahead = "ahead of" if skew > 0 else "behind"
    words, measured = f"the gateway's clock is {ahead} this one", f"by {seconds(abs(skew))}"
    return Finding("clocks", State.LOOK, words, measured, "let both machines keep time by NTP (timedatectl)", figures)


def measure(patient: Patient, hello: Hello) -> Trip:
    """Time the link of a client that is let in."""
    client = patient.client
    trips, health, skew = patient.ask(_trips(client, hello), LONGEST + PATIENCE)
    return Trip(trips, health, _opening(client.dialled[0]), skew)


async def _trips(client: OpenClawClient, hello: Hello) -> tuple[list[float], float, float | None]:
    method = PING if PING in hello.methods else "health"
    trips: list[float] = []
    until = time.perf_counter() + LONGEST
    while not trips or (len(trips) < PINGS and time.perf_counter() < until):
        start = time.perf_counter()
        with suppress(RequestError):  # a refusal takes as long
            await client.request(method)
        trips.append(time.perf_counter() - start)
    start = time.perf_counter()
    await _health(client)
    return trips, time.perf_counter() - start, await _skew(client)


async def _skew(client: OpenClawClient) -> float | None:
    """By which the gateway's clock is ahead, as it says who is there: what a real one says of its health is as old as
    a minute."""
    before = time.time()
    with suppress(RequestError):
        there = await client.request("system-presence")
        if told := [moment for one in reading.members(there) if (moment := reading.seconds(one.get("ts"))) is not None]:
            return max(told) - (before + time.time()) / 2
    return None


async def _health(client: OpenClawClient) -> None:
    with suppress(RequestError):  # whoever refuses it has answered
        await client.request("health")


def _opening(url: str) -> float | None:
    """Seconds that a bare connection takes to be opened, the name looked up before: the way there and back."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    if not parts.hostname:
        return None
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
        start = time.perf_counter()
        with socket.socket(found[0], found[1]) as one:
            one.settimeout(PATIENCE / 2)
            one.connect(found[4])
            return time.perf_counter() - start
    except OSError:  # it may be reached through a proxy only
        return None
