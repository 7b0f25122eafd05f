"""Plan, what a deployment is made from: a configuration, where it lies, and a few words it does not hold.

The same plan gives the same text. A secret is never read here, only its reference is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from ..config import ClusterConfig, Serving, TokenReference
from ..door import is_loopback
from ..errors import ConfigError
from ..version import __version__

__all__ = [
    "MARGIN", "STATE", "TOKEN", "Backend", "Made", "Plan", "dumped", "headed", "in_container", "leaving", "quoted",
    "redis_is_here", "trust", "variables",
]  # fmt: skip

TOKEN = "OPENCLAW_GATEWAY_TOKEN"  # noqa: S105 - the variable's name
"""Where the token of clients is when the configuration names no other place."""

MARGIN = 15
"""Seconds that a gateway may take to end beyond its grace and drain, before it is killed."""

FOLDER = "/etc/openclaw"
"""Where a container has its configuration."""

STATE = "/var/lib/openclaw"
"""The folder that a gateway may write in."""

_PORTS = {"ws": 80, "wss": 443}
_LISTEN = re.compile(r"(\*|[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Backend:
    """One gateway behind a balancer."""

    name: str
    host: str
    port: int
    tls: bool = False
    weight: int = 1

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: texts by the names of their files, and what to do with them, in a line."""

    files: Mapping[str, str]
    next: str


@dataclass(frozen=True, slots=True)
class Plan:
    """``path`` is where ``config`` was read from.

    A balancer listens at ``listen``, with TLS if there is ``tls_cert``, and stands before the gateways of this
    configuration, or before those of the ``cluster`` that it names.
    """

    config: ClusterConfig
    path: Path
    listen: str = "127.0.0.1:18788"
    cluster: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    command: str = "/opt/openclaw/bin/openclaw-nb"
    image: str = f"openclaw-nb:{__version__}"
    namespace: str = "openclaw"

    @property
    def serving(self) -> Serving:
        return self.config.gateway

    @property
    def bound(self) -> tuple[str, int]:
        """(host, port) that a balancer listens at; ConfigError where ``listen`` is no such thing."""
        found = _LISTEN.fullmatch(self.listen)
        if found is None or not 0 < int(found[2]) < 65_536:
            raise ConfigError(f"{self.listen!r} is no HOST:PORT to listen at, such as 127.0.0.1:18788 or *:443")
        return found[1], int(found[2])

    def backends(self) -> tuple[Backend, ...]:
        """The gateways behind a balancer. ConfigError where they have no port of their own, or the same as it."""
        if self.cluster is not None:
            found = tuple(
                _backend(f"gateway{number}", endpoint.url, endpoint.weight)
                for number, endpoint in enumerate(self.config.cluster(self.cluster).endpoints, 1)
            )
        else:
            found = tuple(self._own())
        if any(backend.port == self.bound[1] and backend.host == self.bound[0] for backend in found):
            raise ConfigError(f"a balancer cannot listen at {self.listen}, where a gateway does; name another --listen")
        return found

    def _own(self) -> list[Backend]:
        serving = self.serving
        if not serving.port:
            raise ConfigError("gateway.port is 0, which is another one each time; give it a number to be found at")
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is what is replaced
        host = everywhere.get(serving.host, serving.host)
        many = range(serving.workers) if serving.ports == "many" else range(1)
        return [
            Backend(f"gateway{index + 1}", host, serving.port + index, serving.tls_cert is not None) for index in many
        ]


def headed(made_by: str, check: str, *lines: str) -> str:
    """The comment on top of what is made."""
    words = [f"Made by `openclaw-nb deploy {made_by}` ({__version__}); it holds no secret. Check it: {check}", *lines]
    return "".join(f"# {line}\n" for line in words)


def leaving(serving: Serving) -> int:
    """Seconds after which a gateway has ended that was told to."""
    return int(serving.grace + serving.drain) + MARGIN


def variables(serving: Serving, *, only: bool = False) -> dict[str, str]:
    """What the environment of a gateway has to hold, by variable, in words; secrets that lie elsewhere are not there.

    With ``only`` ConfigError for a secret that is not to come from the environment.
    """
    wanted = {"the token that clients need": serving.token, "the password of Redis": serving.redis_password}
    found = {}
    for words, reference in wanted.items():
        kind, _, name = str(reference or "").partition(":")
        if kind == "env":
            found[name] = words
        elif reference is not None and only:
            raise ConfigError(f"a container takes {words} from its environment, not from a {kind}; write env: VARIABLE")
    if serving.token is None:
        found[TOKEN] = "the token that clients need"
    return found


def in_container(plan: Plan, names: tuple[str, ...] = ()) -> str:
    """The configuration of one gateway in a container, which is reached from outside of it, also by these names.

    ConfigError where it keeps a secret in a file.
    """
    serving, watched = plan.serving, plan.config.monitoring
    variables(serving, only=True)
    gateway: dict[str, Any] = {
        "host": "0.0.0.0",  # noqa: S104 - the container's own, which nobody reaches but by what is before it
        "port": serving.port or Serving().port, "workers": 1, "model": serving.model,
        "token": {"env": str(serving.token or TokenReference(f"env:{TOKEN}")).partition(":")[2]},
        "drain": f"{serving.drain:g}s", "grace": f"{serving.grace:g}s",
    }  # fmt: skip
    if serving.redis is not None:
        if redis_is_here(serving):
            raise ConfigError("gateway.redis is loopback, which in a container is the container; name a host")
        gateway["redis"] = serving.redis
    if serving.redis_password is not None:
        gateway["redisPassword"] = {"env": str(serving.redis_password).partition(":")[2]}
    if serving.store is not None:
        gateway["store"] = f"{STATE}/sessions.db"
    if names := tuple(dict.fromkeys((*serving.names, *names))):
        gateway["names"] = list(names)
    if serving.trusted_proxies:
        gateway["trustedProxies"] = list(serving.trusted_proxies)
    if serving.tls_cert is not None:
        gateway |= {"tlsCert": f"{FOLDER}/tls/tls.crt", "tlsKey": f"{FOLDER}/tls/tls.key"}
    if serving.tls_cert is None or serving.insecure:
        gateway["insecure"] = True
    monitoring = {
        "metricsPath": watched.metrics_path, "prometheusEnabled": watched.prometheus_enabled,
        "host": "0.0.0.0", "port": watched.port or 9090,  # noqa: S104
    }  # fmt: skip
    return dumped({"gateway": gateway, "monitoring": monitoring})


class _Dumper(yaml.SafeDumper):
    """Lines stay lines, and nothing is said by reference to what stands above."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump_text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _dump_text)


def dumped(data: Any) -> str:
    """Plain data as YAML, in its own order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120)


def redis_is_here(serving: Serving) -> bool:
    """Whether the Redis that it shares runs in is on its own machine."""
    return serving.redis is not None and is_loopback(urlsplit(serving.redis).hostname or "")


def trust(serving: Serving) -> str:
    """What is left to say where gateways do not know of a balancer before them."""
    if serving.trusted_proxies:
        return ""
    return "; name it in gateway.trustedProxies, or they count the wrong tokens of all clients as one's"


def quoted(path: Path | str) -> str:
    """A path as haproxy and nginx take one, in quotes; ConfigError where it has what they cannot hold."""
    text = str(path)
    if not text.isprintable() or set(text) & set("\"\\$'"):
        raise ConfigError(f"{text!r} has characters that a path in this file cannot have")
    return f'"{text}"'


def _backend(name: str, url: str, weight: int) -> Backend:
    parts = urlsplit(url)
    if parts.path not in ("", "/"):
        raise ConfigError(f"{url} has a path, which a balancer does not add; name it in the address that clients dial")
    return Backend(name, parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.scheme == "wss", weight)
