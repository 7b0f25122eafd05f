"""What all deployments follow from: gateways behind a balancer, the configuration in a container, names of secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.config import ClusterConfig
from openclaw_nb.deploy import Plan, container, haproxy, kubernetes, nginx, systemd
from openclaw_nb.deploy.plan import Backend, dumped, in_container, leaving, quoted, variables
from openclaw_nb.errors import ConfigError

KINDS = {"container": container, "haproxy": haproxy, "kubernetes": kubernetes, "nginx": nginx, "systemd": systemd}


def plan(text: str = "", **options: Any) -> Plan:
    return Plan(ClusterConfig.parse(text), Path("/etc/openclaw/gateway.yaml"), **options)


def test_gateways_behind_a_balancer() -> None:
    one = plan("gateway: {port: 18800, workers: 3}")
    assert one.backends() == (Backend("gateway1", "127.0.0.1", 18_800),)
    many = plan("gateway: {port: 18800, workers: 2, ports: many, host: 0.0.0.0, insecure: true}")
    assert [backend.address for backend in many.backends()] == ["127.0.0.1:18800", "127.0.0.1:18801"]
    cluster = "clusters: {a: {endpoints: ['wss://one.example.org', {url: 'ws://[::1]:7', weight: 4}]}}"
    assert plan(cluster, cluster="a").backends() == (
        Backend("gateway1", "one.example.org", 443, tls=True),
        Backend("gateway2", "::1", 7, weight=4),
    )
    assert plan(cluster, cluster="a").backends()[1].address == "[::1]:7"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("gateway: {port: 0}", {}, "gateway.port is 0"),
        ("gateway: {port: 18788}", {}, "where a gateway does; name another --listen"),
        ("", {"listen": "18788"}, "'18788' is no HOST:PORT to listen at"),
        ("", {"listen": "h:99999"}, "'h:99999' is no HOST:PORT to listen at"),
        ("", {"listen": "h:1\n  bind *:2"}, "is no HOST:PORT to listen at"),
        ("clusters: {prod: {endpoints: ['ws://127.0.0.1:1']}}", {"cluster": "prot"}, "no cluster is configured"),
        ("clusters: {a: {endpoints: ['wss://x.example.org/path']}}", {"cluster": "a"}, "has a path"),
    ],
)
def test_what_cannot_be_balanced(text: str, options: dict[str, str], words: str) -> None:
    for kind in (haproxy, nginx):
        with pytest.raises(ConfigError, match=words):
            kind.make(plan(text, **options))


def test_the_configuration_in_a_container_is_one() -> None:
    text = (
        "gateway: {port: 7000, workers: 4, ports: many, redis: 'rediss://redis.example.org:6379/1',"
        " names: [gw.example.org], redisPassword: {env: PW}, store: here.db, drain: 90s,"
        " model: 'openai-chat:gpt-5-mini', trustedProxies: [10.0.0.0/24]}\n"
        "monitoring: {port: 9100, metricsPath: /m}\n"
    )
    found = ClusterConfig.parse(in_container(plan(text), ("gw.example.org", "other")))
    serving = found.gateway
    assert (serving.host, serving.port, serving.workers, serving.insecure) == ("0.0.0.0", 7000, 1, True)
    assert (serving.model, serving.drain, str(serving.store)) == (
        "openai-chat:gpt-5-mini", 90.0, "/var/lib/openclaw/sessions.db",
    )  # fmt: skip
    assert serving.names == ("gw.example.org", "other")
    assert serving.trusted_proxies == ("10.0.0.0/24",)
    assert (serving.redis, str(serving.redis_password)) == ("rediss://redis.example.org:6379/1", "env:PW")
    assert str(serving.token) == "env:OPENCLAW_GATEWAY_TOKEN"
    assert (found.monitoring.host, found.monitoring.port, found.monitoring.metrics_path) == ("0.0.0.0", 9100, "/m")
    secure = ClusterConfig.parse(in_container(plan("gateway: {tlsCert: a.pem, tlsKey: b.pem}"))).gateway
    assert (str(secure.tls_cert), str(secure.tls_key), secure.insecure) == (
        "/etc/openclaw/tls/tls.crt", "/etc/openclaw/tls/tls.key", False,
    )  # fmt: skip


def test_what_a_container_does_not_take() -> None:
    for kind in (container, kubernetes):
        with pytest.raises(ConfigError, match="the token that clients need from its environment, not from a file"):
            kind.make(plan("gateway: {token: {file: token}}"))
        with pytest.raises(ConfigError, match="which in a container is the container; name a host"):
            kind.make(plan("gateway: {redis: 'redis://localhost:6379/0'}"))


def test_secrets_are_named() -> None:
    both = plan("gateway: {token: {env: T}, redis: 'redis://127.0.0.1:6379/0', redisPassword: {env: P}}").serving
    assert variables(both) == {"T": "the token that clients need", "P": "the password of Redis"}
    assert variables(plan().serving) == {"OPENCLAW_GATEWAY_TOKEN": "the token that clients need"}
    assert variables(plan("gateway: {token: {file: t}}").serving) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_what_is_made_and_it_is_the_same_twice(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_TOKEN", "planted-secret-1234567890")
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "planted-secret-1234567890")
    text = (
        "gateway: {workers: 2, token: {env: PLANTED_TOKEN}, redis: 'rediss://r.example.org:1/0',"
        " redisPassword: {env: PLANTED_TOKEN}}\n"
        "clusters: {a: {endpoints: ['ws://127.0.0.1:1'], token: {env: PLANTED_TOKEN}}}\n"
    )
    made = KINDS[kind].make(plan(text))
    assert "planted-secret" not in "".join(made.files.values()) + made.next
    assert "\n" not in made.next
    assert made == KINDS[kind].make(plan(text))


def test_words() -> None:
    assert leaving(plan("gateway: {drain: 20s, grace: 5s}").serving) == 40
    assert quoted("/a b/c.pem") == '"/a b/c.pem"'
    for bad in ('/a"b', "/a\nb", "/a$b", "/a\\b"):
        with pytest.raises(ConfigError, match="has characters that a path in this file cannot have"):
            quoted(bad)
    same = {"x": 1}
    assert dumped({"a": same, "b": same, "text": "one\ntwo\n"}) == "a:\n  x: 1\nb:\n  x: 1\ntext: |\n  one\n  two\n"
