"""ClusterConfig, what a file configures: the notebook's own pace, what is watched, named clusters, and a gateway."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from ..door import check_network, is_loopback
from ..errors import ConfigError, nearest, one_line
from .document import LARGEST, GivenUp, Node, Reading, Table, compose, find
from .kinds import Choice, Duration, File, Number, Share, Text, Truth, Whole, shown
from .references import Reference, TokenReference
from .sections import Listed, Named, Section, Setting, check_made, keyed
from .uri import CLUSTER_NAME, check_host, check_redis, check_url

__all__ = ["AlertThresholds", "Cluster", "ClusterConfig", "Endpoint", "Limits", "Monitoring", "Serving", "schema"]

_MODEL = Text("the name of a model, such as offline or openai-chat:gpt-5-mini", r"[A-Za-z0-9][!-~]{0,199}")
_HOST = Text("the name or address of a host, without a port", r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}", check_host)
_PORT = Whole(0, 65_535)
_PROXY = Text("an address, or a network such as 10.0.0.0/24", r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?", check_network)

LINKS = 8
"""Connections that are held to a cluster at most, where it does not say how many."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a cluster; of two, one with double the weight gets double the runs."""

    url: Annotated[
        str,
        Setting(
            Text("the address of a gateway, wss://HOST or ws://127.0.0.1:PORT", r"(?:wss?|WSS?)://.+", check_url),
            "its address, wss://HOST or ws://127.0.0.1:PORT, without a token",
        ),
    ] = ""
    weight: Annotated[int, Setting(Whole(1, 100), "how much of the work it gets, beside the others")] = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one notebook may ask of a cluster; None is without a limit."""

    max_runs: Annotated[int | None, Setting(Whole(1, 1_000), "runs at work at once")] = None
    max_level: Annotated[int | None, Setting(Whole(1, 4), "the deepest level that runs take")] = None
    budget: Annotated[
        float | None, Setting(Number(1_000_000), "US dollars that all runs of a notebook may cost there")
    ] = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Gateways that answer for each other, as ``agent://NAME``."""

    name: str
    endpoints: Annotated[
        tuple[Endpoint, ...],
        Setting(
            Listed(Section(Endpoint, "an endpoint", required=("url",), short="url"), "endpoints", 256),
            "the addresses of its gateways",
        ),
    ] = ()
    token: Annotated[
        TokenReference | None,
        Setting(Reference(), "where the token is that they take: env: VARIABLE or file: PATH, never the token itself"),
    ] = None
    balance: Annotated[str, Setting(Choice(("least-busy", "round-robin")), "which of its gateways gets a run")] = (
        "least-busy"
    )
    connections: Annotated[
        int | None,
        Setting(Whole(1, 64), "connections that are held to it, over which sessions spread; one for each endpoint"),
    ] = None
    model: Annotated[str | None, Setting(_MODEL, "the model that its runs take, unless they say another")] = None
    limits: Annotated[Limits, Setting(Section(Limits, "limits"), "what one notebook may ask of it")] = field(
        default_factory=Limits
    )
    fallback: Annotated[
        tuple[str, ...],
        Setting(
            Listed(Text("a name such as production/cluster-a", CLUSTER_NAME), "names of clusters", 16),
            "the clusters that take over, in this order, while all its gateways are away",
        ),
    ] = ()

    def check(self) -> None:
        """ConfigError for what a file could not say either: code may have made it."""
        ends = self.endpoints
        if not isinstance(ends, Sequence) or not ends or not all(isinstance(one, Endpoint) for one in ends):
            raise ConfigError("a cluster needs endpoints, as Cluster('name', (Endpoint('wss://HOST'),))")
        if not isinstance(self.token, TokenReference | None):
            raise ConfigError("the token of a cluster is a TokenReference('env:VARIABLE'), never the token itself")
        check_made(self, "a Cluster")
        check_made(self.limits, "its Limits")
        for end in ends:
            check_made(end, "an Endpoint")

    @property
    def links(self) -> int:
        """Connections that are held to it: where none are named one for each endpoint, to LINKS of them."""
        return self.connections or min(len(self.endpoints), LINKS)

    @property
    def max_runs(self) -> int | None:
        """Runs of one notebook at work there at once."""
        return self.limits.max_runs


@dataclass(frozen=True, slots=True)
class AlertThresholds:
    """From where on something is told; None is never."""

    latency_p99: Annotated[
        float | None,
        Setting(
            Duration(0.001, 3_600), "seconds, or ms, that one of a hundred requests waits for its first token", off=True
        ),
    ] = 0.5
    error_rate: Annotated[float | None, Setting(Share(), "the share of requests that fail", off=True)] = 0.01
    thread_pool_utilization: Annotated[
        float | None, Setting(Share(), "the share of the pool's threads that are at work", off=True)
    ] = 0.9


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What Prometheus may read, and where."""

    metrics_path: Annotated[
        str, Setting(Text("a path such as /metrics", r"/[A-Za-z0-9._~/-]{0,99}"), "the path that is scraped")
    ] = "/metrics"
    prometheus_enabled: Annotated[bool, Setting(Truth(), "whether figures can be scraped at all")] = True
    host: Annotated[str, Setting(_HOST, "the address that is listened at")] = "127.0.0.1"
    port: Annotated[int, Setting(_PORT, "the port; another is taken, and said, where it is in use")] = 9090
    alert_thresholds: Annotated[
        AlertThresholds, Setting(Section(AlertThresholds, "alertThresholds"), "from where on something is told")
    ] = field(default_factory=AlertThresholds)


def _check_serving(made: Any, nodes: Mapping[str, Node], reading: Reading) -> None:
    if "tls_key" in nodes and "tls_cert" not in nodes:
        reading.tell(nodes["tls_key"].mark, "tlsKey needs tlsCert, the certificate that goes with it")
    if not is_loopback(made.host) and "tls_cert" not in nodes and not made.insecure:
        reading.tell(nodes["host"].mark, "beyond loopback a gateway needs tlsCert, or insecure: true behind a balancer")
    if "redis_password" in nodes and "redis" not in nodes:
        reading.tell(nodes["redis_password"].mark, "redisPassword needs redis, the address of what it opens")
    if made.redis and not (made.redis.startswith("rediss:") or made.insecure or _is_here(made.redis)):
        words = "beyond loopback redis:// goes in clear; write rediss://, or insecure: true in a network of your own"
        reading.tell(nodes["redis"].mark, words)
    if made.ports_missing:
        reading.tell(nodes["workers"].mark, made.ports_missing)


def _is_here(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


@dataclass(frozen=True, slots=True)
class Serving:
    """What ``openclaw-nb serve`` serves."""

    host: Annotated[str, Setting(_HOST, "a loopback address; any other needs tlsCert or insecure")] = "127.0.0.1"
    port: Annotated[int, Setting(_PORT, "the port of the first instance")] = 18_789
    ports: Annotated[
        str, Setting(Choice(("one", "many")), "one port for all workers, or a port for each from this on")
    ] = "one"
    workers: Annotated[int, Setting(Whole(1, 256), "processes that serve")] = 1
    model: Annotated[str, Setting(_MODEL, "the model it serves")] = "offline"
    token: Annotated[
        TokenReference | None,
        Setting(
            Reference(), "where the token is that clients need: env: VARIABLE or file: PATH, never the token itself"
        ),
    ] = None
    store: Annotated[Path | None, Setting(File(), "the file that keeps its sessions")] = None
    redis: Annotated[
        str | None,
        Setting(
            Text("the address of a Redis, redis://HOST:PORT/DB or rediss://…", r"rediss?://.+", check_redis),
            "where instances share their runs: redis://HOST:PORT/DB, without a password",
        ),
    ] = None
    redis_password: Annotated[
        TokenReference | None, Setting(Reference(), "where the password of Redis is: env: VARIABLE or file: PATH")
    ] = None
    drain: Annotated[
        float, Setting(Duration(0, 3_600, "s"), "seconds that runs get to move on before a gateway ends")
    ] = 30.0
    grace: Annotated[
        float,
        Setting(Duration(0, 600, "s"), "seconds that it says it is not ready before it closes its door, for balancers"),
    ] = 0.0
    names: Annotated[
        tuple[str, ...], Setting(Listed(_HOST, "names", 64), "names that it is reached by beyond loopback")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Setting(
            Listed(_PROXY, "balancers", 64), "balancers, by address or network, that are believed where a client is"
        ),
    ] = ()
    tls_cert: Annotated[Path | None, Setting(File(), "the certificate chain (PEM) to serve wss:// with")] = None
    tls_key: Annotated[Path | None, Setting(File(), "its private key, where that is not in the same file")] = None
    insecure: Annotated[
        bool, Setting(Truth(), "whether it may serve beyond loopback without TLS, as behind a balancer")
    ] = False

    @property
    def ports_missing(self) -> str:
        """What is wrong where there are fewer ports from the first on than workers that take one each; else ""."""
        if self.ports == "one" or self.port + self.workers - 1 <= 65_535:
            return ""
        return f"from port {self.port} on there are no {self.workers} ports"


@dataclass(frozen=True, slots=True)
class _Pace:
    """The section ``cluster``, whose settings ClusterConfig has as its own."""

    max_threads: Annotated[int, Setting(Whole(1, 1_000), "agents that work at once")] = 10
    max_per_task: Annotated[int, Setting(Whole(1, 1_000), "agents that work at one task at once")] = 3
    timeout: Annotated[float, Setting(Duration(0.001, 86_400, "s"), "seconds that an agent of a pool may work")] = 30.0
    adaptive_reasoning: Annotated[bool, Setting(Truth(), "whether the level is chosen by the task")] = True
    streaming: Annotated[bool, Setting(Truth(), "whether text comes as it is made")] = True
    token_interval: Annotated[float, Setting(Duration(0, 10, "ms"), "milliseconds between two updates of a view")] = (
        0.05
    )
    snapshot_interval: Annotated[
        float, Setting(Duration(0.1, 86_400, "ms"), "milliseconds after which a run that goes on is kept again")
    ] = 5.0


@dataclass(frozen=True, slots=True)
class _Whole:
    """All that a file may hold."""

    cluster: Annotated[_Pace, Setting(Section(_Pace, "cluster"), "the notebook's own pace")] = field(
        default_factory=_Pace
    )
    monitoring: Annotated[Monitoring, Setting(Section(Monitoring, "monitoring"), "what is watched")] = field(
        default_factory=Monitoring
    )
    clusters: Annotated[
        Mapping[str, Cluster],
        Setting(
            Named(
                Section(Cluster, "a cluster", required=("endpoints",)),
                CLUSTER_NAME,
                "a name such as production/cluster-a",
            ),
            "gateways elsewhere, each as agent://NAME",
        ),
    ] = field(default_factory=dict)
    gateway: Annotated[
        Serving, Setting(Section(Serving, "gateway", check=_check_serving), "what openclaw-nb serve serves")
    ] = field(default_factory=Serving)


def _check_clusters(made: Any, nodes: Mapping[str, Node], reading: Reading) -> None:
    for name, cluster in made.clusters.items():
        node = find(nodes["clusters"], name)
        for at, other in enumerate(cluster.fallback):
            mark = (find(node, "fallback", at) or nodes["clusters"]).mark
            if other == name:
                reading.tell(mark, "a cluster cannot take over from itself")
            elif other not in made.clusters:
                reading.tell(mark, f"no cluster here is called {shown(other)}{nearest(other, made.clusters)}")
        urls = [endpoint.url for endpoint in cluster.endpoints]
        for at, url in enumerate(urls):
            if url and url in urls[:at]:
                reading.tell((find(node, "endpoints", at) or nodes["clusters"]).mark, "this endpoint is listed twice")


_WHOLE = Section(_Whole, "a configuration", check=_check_clusters)
_HOMES = {key: title for key, title in _WHOLE.homes() if title != _WHOLE.title}


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What a file configures, or the defaults. Durations are seconds, shares are of 1.

    ``given`` are the settings that the file has, as ``cluster.maxThreads``: who applies it leaves the others alone.
    """

    max_threads: int = 10
    max_per_task: int = 3
    timeout: float = 30.0
    adaptive_reasoning: bool = True
    streaming: bool = True
    token_interval: float = 0.05
    snapshot_interval: float = 5.0
    monitoring: Monitoring = field(default_factory=Monitoring)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    gateway: Serving = field(default_factory=Serving)
    given: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ClusterConfig:
        """Read a file; ConfigError is the first thing that is wrong with it."""
        found, mistakes = cls.check(path)
        if mistakes:
            raise ConfigError(mistakes[0])
        return found

    @classmethod
    def parse(cls, text: str, name: str = "config.yaml") -> ClusterConfig:
        """Read a text, which errors call ``name``; paths in it begin at the working directory."""
        found, mistakes = _read(text, Reading(name, Path.cwd(), _HOMES))
        if mistakes:
            raise ConfigError(mistakes[0])
        return found

    @classmethod
    def check(cls, path: str | os.PathLike[str]) -> tuple[ClusterConfig, list[str]]:
        """What a file configures as far as it is right, and a sentence for each thing that is wrong with it."""
        file = Path(path).expanduser()
        return _read(_text(file), Reading(one_line(path), file.absolute().parent, _HOMES))

    def says(self, name: str) -> bool:
        """Whether the file has a setting of its section ``cluster``, by the name of its field."""
        return f"cluster.{keyed(name)}" in self.given

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name; ConfigError with the nearest where there is none."""
        if name in self.clusters:
            return self.clusters[name]
        there = nearest(name, self.clusters) or "; %openclaw config FILE, or OPENCLAW_NB_CONFIG, reads a file with some"
        raise ConfigError(f"no cluster is configured for agent://{name}{there}")


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what a file may hold: from the same table by which it is read.

    Whatever is read is valid by it. What is wrong between settings only reading finds.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:openclaw-nb:cluster",
        "title": "Configuration of openclaw_nb",
        **_WHOLE.schema(),
    }


def _read(text: str, reading: Reading) -> tuple[ClusterConfig, list[str]]:
    node, whole = compose(text, reading), _Whole()
    with suppress(GivenUp):  # it is told why
        whole = whole if node is None else _WHOLE.read(node, reading)
    pace = {one.name: getattr(whole.cluster, one.name) for one in fields(_Pace)}
    made = ClusterConfig(
        **pace, monitoring=whole.monitoring, clusters=whole.clusters, gateway=whole.gateway,
        given=frozenset(_given(node)),
    )  # fmt: skip
    return made, reading.mistakes


def _given(node: Node | None, before: str = "") -> Iterator[str]:
    """The settings that stand in a text, as paths of keys."""
    if isinstance(node, Table):
        for key, value in node.entries:
            yield f"{before}{key.text}"
            yield from _given(value, f"{before}{key.text}.")


def _text(path: Path) -> str:
    """What is in a file, which is regular and not large; ConfigError otherwise."""
    try:
        return _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"it is no text in UTF-8 at byte {error.start + 1:,}"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise ConfigError(f"{one_line(path)} cannot be read: {one_line(why)}")


def _bytes(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        return os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
