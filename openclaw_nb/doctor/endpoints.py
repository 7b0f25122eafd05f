"""Endpoints: whether each instance of a cluster is ready, how fast it says so, and whether they share their runs."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from ..door import is_loopback
from ..errors import OpenClawError, one_line
from ..render import counted
from .finding import Finding, State, seconds
from .link import DEFAULT_PORTS
from .patient import Patient

__all__ = ["Ready", "endpoints", "ready", "redis", "shared"]

READY = 2.0
"""Seconds that an endpoint may take to say that it is ready."""

LARGEST = 65_536
"""Bytes of what it says that are read."""

AT_ONCE = 16
"""Endpoints that are asked at once."""

REDIS = 6379


@dataclass(frozen=True)
class Ready:
    """What an instance says of itself: ``why`` it is not ready, or "". ``facts`` are its own words, if it has any."""

    url: str
    taken: float
    why: str = ""
    facts: Mapping[str, Any] | None = None


def endpoints(patient: Patient) -> Iterator[Finding]:
    """The instances of the cluster that runs go to, or the one gateway elsewhere."""
    urls = _urls(patient)
    if not urls:
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(ready, urls))
    up = [one for one in found if not one.why]
    held = {state.url: state for state in patient.client.endpoints}
    for number, one in enumerate(found, 1):
        known, which = held.get(one.url), f"{number} of {len(found)}"
        told = f"{one.url}, {seconds(one.taken)}{_told(one.facts)}"
        resting = known is not None and not known.links and known.failures > 0
        if known is not None:
            told += f", {known.links} of ours" + (f"; {known.state}" if resting else "")
        figures = {"seconds": one.taken, "up": float(not one.why)}
        if not one.why and resting:
            words = f"{which} is ready, but this client is not there"
            yield Finding("endpoint", State.LOOK, words, told, "%openclaw connect URI tries at once", figures)
        elif not one.why:
            yield Finding("endpoint", State.OK, f"{which} is ready", told, figures=figures)
        else:
            state = State.LOOK if up else State.BROKEN
            remedy = "openclaw-nb serve starts it; until then the others have its work" if up else "start one of them"
            yield Finding("endpoint", state, f"{which} is not ready, {one.why}", told, remedy, figures)
    yield from shared(up, wanted=patient.config.gateway.redis is not None)
    if (cluster := patient.cluster) is not None:
        measured = f"{counted(cluster.links, 'connection')}, {cluster.balance}"
        yield Finding("connections", State.OK, f"those to agent://{cluster.name} are shared by all runs", measured)


def shared(up: list[Ready], *, wanted: bool = False) -> Iterator[Finding]:
    """Whether a run outlives its instance."""
    said = [one.facts["shared"] for one in up if one.facts is not None and "shared" in one.facts]
    if not said:
        return
    away = sum(value is False for value in said)
    if away:
        remedy = "start Redis, or see that it is reached (gateway: redis: of the configuration)"
        words = "instances cannot reach Redis, and stand alone"
        yield Finding("sharing", State.LOOK, words, f"{away} of {len(said)}", remedy, {"alone": float(away)})
    elif all(said):
        yield Finding("sharing", State.OK, "a run goes on at another instance where its own ends")
    elif wanted:
        words = "each instance stands alone, though the configuration has a Redis"
        remedy = "start them again with that configuration: openclaw-nb serve --config FILE"
        yield Finding("sharing", State.LOOK, words, f"{said.count(None)} of {len(said)}", remedy)
    else:
        words = "each instance stands alone, as no Redis is configured: a run that is cut is asked for again"
        yield Finding("sharing", State.OK, words)


def redis(patient: Patient) -> Iterator[Finding]:
    """Whether the Redis of the configuration is there."""
    address = patient.config.gateway.redis
    if address is None:
        return
    parts = urlsplit(address)
    start = time.perf_counter()
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or REDIS), READY) as plain:
            link = plain
            if parts.scheme == "rediss":
                link = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
            with link:
                link.sendall(b"PING\r\n")
                said = link.recv(200)
    except OSError as error:
        words = f"it cannot be reached, {_reason(error)}, and instances stand alone until it can"
        remedy = "start it (redis-server), or leave `gateway: redis:` out"
        yield Finding("redis", State.LOOK, words, address, remedy)
        return
    taken = time.perf_counter() - start
    if said.startswith((b"+PONG", b"-NOAUTH", b"-ERR")):
        yield Finding("redis", State.OK, "it answers", f"{address}, {seconds(taken)}", figures={"seconds": taken})
    else:
        words = f"what listens there is no Redis, and says {one_line(said.decode(errors='replace'), 60)}"
        yield Finding("redis", State.LOOK, words, address, "see `gateway: redis:` of the configuration")


def ready(url: str) -> Ready:
    """Ask one instance whether it is ready, over plain HTTP at its own port, as a balancer does."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    kind = HTTPSConnection if parts.scheme == "wss" else HTTPConnection
    start = time.perf_counter()
    try:
        with closing(kind(host, port, timeout=READY)) as connection:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            data = answer.read(LARGEST)
    except (OSError, HTTPException) as error:
        return Ready(url, time.perf_counter() - start, _reason(error))
    taken, facts = time.perf_counter() - start, _facts(data)
    if facts is not None and answer.status >= 400:
        return Ready(url, taken, one_line(facts.get("status") or answer.reason, 60), facts)
    return Ready(url, taken, f"HTTP {answer.status}" if answer.status >= 500 else "", facts)


def _facts(data: bytes) -> Mapping[str, Any] | None:
    with suppress(ValueError, RecursionError):
        said = json.loads(data)
        return said if isinstance(said, dict) else None
    return None


def _told(facts: Mapping[str, Any] | None) -> str:
    """How much is at work there, as it says."""
    if facts is None:
        return ""
    known = {name: facts.get(name) for name in ("runs", "connections")}
    told = [counted(value, name.removesuffix("s")) for name, value in known.items() if isinstance(value, int)]
    return f", {', '.join(told)} there" if told else ""


def _urls(patient: Patient) -> list[str]:
    """What is dialled: all of a cluster, or of a gateway elsewhere the one."""
    if (cluster := patient.cluster) is not None:
        return [one.url for one in cluster.endpoints]
    try:
        url = patient.address.url
    except OpenClawError:
        return []
    return [url] if url is not None and is_loopback(urlsplit(url).hostname or "") else []


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return one_line(str(strerror or error or type(error).__name__)).lower()
