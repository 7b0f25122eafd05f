"""The text of haproxy.cfg: what is balanced and how, and that haproxy takes it without a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from openclaw_nb.deploy import haproxy
from tests.certificates import make_certificate
from tests.cluster.daemons import Missing, program
from tests.deploy.test_plan import plan

CLUSTER = """\
clusters:
  production/cluster-a:
    endpoints:
      - wss://one.example.org
      - {url: 'wss://two.example.org:8443', weight: 3}
      - ws://127.0.0.1:18789
      - ws://[::1]:18789
"""


def test_gateways_of_its_own() -> None:
    text = haproxy.make(plan("gateway: {port: 18800, ports: many, workers: 2}")).files["haproxy.cfg"]
    assert text.endswith("  server gateway1 127.0.0.1:18800\n  server gateway2 127.0.0.1:18801\n")
    assert "\n  bind 127.0.0.1:18788\n" in text
    for line in (
        "balance leastconn", "option redispatch 1", "retry-on conn-failure empty-response 503", "timeout tunnel 10m",
        "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost",
        "default-server check inter 200ms fall 1 rise 1",
    ):  # fmt: skip
        assert f"\n  {line}\n" in text
    assert "\n  on-marked-down" not in text, "who drains keeps its clients"


def test_haproxy_takes_a_cluster_with_tls_on_both_sides(tmp_path: Path) -> None:
    try:
        command = program("haproxy")
    except Missing as missing:
        pytest.skip(str(missing))
    made = make_certificate(tmp_path)
    both = tmp_path / "both parts.pem"
    both.write_bytes(made.chain.read_bytes() + made.key.read_bytes())
    found = haproxy.make(plan(CLUSTER, cluster="production/cluster-a", tls_cert=both))
    text = found.files["haproxy.cfg"]
    assert "wss://HOST:18788 for 4 gateways" in found.next
    assert "\n  server gateway2 two.example.org:8443 weight 3 ssl verify required ca-file @system-ca " in text
    assert "\n  server gateway4 [::1]:18789\n" in text
    path = tmp_path / "haproxy.cfg"
    for host in ("one.example.org:443", "two.example.org:8443"):  # it would ask for their addresses
        text = text.replace(f" {host} ", f" 127.0.0.1:{host.rpartition(':')[2]} ")
    path.write_text(text)
    checked = subprocess.run([command, "-c", "-f", str(path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
