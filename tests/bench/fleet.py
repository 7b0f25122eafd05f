"""A fleet: instances behind the haproxy that `openclaw-nb deploy haproxy` configures, and what they all use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from openclaw_nb.config import ClusterConfig
from openclaw_nb.deploy import haproxy
from openclaw_nb.deploy.plan import Plan
from tests.cluster import daemons

from .instances import Instance

__all__ = ["SECONDS", "Fleet", "Used", "fleet"]

SECONDS = float(os.environ.get("OPENCLAW_BENCH_SECONDS", "60"))
"""How long a load lasts."""

CONFIG = "clusters: {{fleet: {{endpoints: [{endpoints}]}}}}\n"

PROBES = ("option httpchk", "http-check")
"""By which haproxy asks gateways whether they are ready."""


@dataclass(frozen=True)
class Used:
    """CPU seconds, user and system."""

    instances: float
    balancer: float


@dataclass(frozen=True)
class Fleet:
    """Instances, and the ports that clients dial: the balancer's, or where there is none their own."""

    instances: list[Instance]
    ports: list[int]
    balancer: int | None

    def used(self) -> Used:
        """What they have used so far; not of those that were killed."""
        instances = sum(instance.used()[0] for instance in self.instances)
        return Used(instances, _cpu(self.balancer) if self.balancer else 0.0)

    @property
    def resident(self) -> int:
        """Bytes of all instances together."""
        return sum(instance.used()[1] for instance in self.instances)


@contextmanager
def fleet(kind: str, count: int, *, balanced: bool = True) -> Iterator[Fleet]:
    """So many instances of a kind; those that are "shared" have a Redis of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(daemons.redis_server(folder)).port if kind == "shared" else None
        address = redis and f"redis://127.0.0.1:{redis}/0"
        instances = [stack.enter_context(closing(Instance(kind, redis=address))) for _ in range(count)]
        own = [instance.port for instance in instances]
        if not balanced:
            yield Fleet(instances, own, None)
            return
        port = daemons.free_port()
        balancer = stack.enter_context(daemons.haproxy(folder, _config(own, port, probed=kind != "plain"), port))
        yield Fleet(instances, [port], balancer.pid)


def _config(backends: list[int], port: int, *, probed: bool) -> str:
    """What is deployed; a server that is no gateway is looked at by whether it takes connections."""
    endpoints = ", ".join(f'"ws://127.0.0.1:{backend}"' for backend in backends)
    config = ClusterConfig.parse(CONFIG.format(endpoints=endpoints))
    made = haproxy.make(Plan(config, Path("fleet.yaml"), listen=f"127.0.0.1:{port}", cluster="fleet"))
    lines = made.files["haproxy.cfg"].splitlines(keepends=True)
    return "".join(line for line in lines if probed or not any(word in line for word in PROBES))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
