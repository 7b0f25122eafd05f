"""The text of openclaw.conf: what is balanced and how, and that nginx takes it without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw_nb.deploy import nginx
from openclaw_nb.errors import ConfigError
from tests.certificates import make_certificate
from tests.cluster import daemons
from tests.cluster.daemons import Missing, free_port
from tests.deploy.test_plan import plan


def test_gateways_of_its_own() -> None:
    text = nginx.make(plan("gateway: {port: 18800, ports: many, workers: 2}")).files["openclaw.conf"]
    for port in (18_800, 18_801):
        assert f"\n  server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;\n" in text
    for line in (
        "proxy_pass http://openclaw_gateways;", "proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;",
        'proxy_set_header Connection "upgrade";', "proxy_set_header Host $http_host;", "proxy_buffering off;",
        "proxy_read_timeout 10m;", "proxy_next_upstream error timeout http_503;",
    ):  # fmt: skip
        assert f"\n    {line}\n" in text
    assert "\n  least_conn;\n" in text
    assert "\n  listen 127.0.0.1:18788;\n  server_name _;\n" in text
    assert "The open-source nginx asks no gateway for its health" in text


def test_nginx_takes_a_cluster_with_tls_on_both_sides(tmp_path: Path) -> None:
    made, port = make_certificate(tmp_path), free_port()
    text = nginx.make(
        plan(
            "gateway: {names: [gw.example.org, other.example.org]}\n"
            "clusters: {a: {endpoints: ['wss://localhost:8443', {url: 'wss://localhost:8444', weight: 3}]}}\n",
            cluster="a", listen=f"127.0.0.1:{port}", tls_cert=made.chain, tls_key=made.key,
        )
    ).files["openclaw.conf"]  # fmt: skip
    assert "\n  server_name gw.example.org other.example.org;\n" in text
    assert "\n    proxy_ssl_verify on;\n" in text
    assert "\n  server localhost:8444 weight=3 max_fails=1 fail_timeout=1s;\n" in text
    try:
        with daemons.nginx(tmp_path, text, port) as started:
            words = started.words()
    except Missing as missing:
        pytest.skip(str(missing))
    assert not [line for line in words.splitlines() if "[warn]" in line or "[emerg]" in line]


@pytest.mark.parametrize(
    "endpoints", ["['wss://a.example.org', 'ws://127.0.0.1:1']", "['wss://a.example.org', 'wss://b.example.org']"]
)
def test_gateways_that_nginx_cannot_have_at_once(endpoints: str) -> None:
    with pytest.raises(ConfigError, match="nginx takes its gateways alike"):
        nginx.make(plan(f"clusters: {{a: {{endpoints: {endpoints}}}}}", cluster="a"))
