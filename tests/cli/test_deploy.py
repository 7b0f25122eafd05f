"""openclaw-nb deploy: where it writes to, what it says, and what it refuses in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw_nb.cli import main
from openclaw_nb.cli.deploy import KINDS

FILES = {
    "systemd": ["openclaw-gateway.service"],
    "container": ["Containerfile", "gateway.yaml"],
    "kubernetes": ["openclaw-gateway.yaml"],
    "haproxy": ["haproxy.cfg"],
    "nginx": ["openclaw.conf"],
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateways.yaml"
    path.write_text("gateway: {workers: 2, ports: many}\nclusters: {a: {endpoints: ['ws://127.0.0.1:7001']}}\n")
    return path


@pytest.mark.parametrize("kind", FILES)
def test_files_and_what_is_next(config: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    assert main(["deploy", kind, "--config", str(config), "--out", str(out)]) == 0
    written, said = capsys.readouterr()
    assert written.splitlines() == [str(out / name) for name in FILES[kind]]
    assert said.startswith("next: ")
    assert said.count("\n") == 1
    assert main(["deploy", kind, "--config", str(config)]) == 0
    text = capsys.readouterr().out
    for name in FILES[kind]:
        assert (out / name).read_text() in text
    assert text.startswith("# --- Containerfile\n" if kind == "container" else "# Made by `openclaw-nb deploy ")


def test_every_kind_is_there() -> None:
    assert set(KINDS) == set(FILES)


def test_options_go_into_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(*options: str) -> str:
        assert main(["deploy", *options, "--config", str(config)]) == 0
        return capsys.readouterr().out

    balancer = made("haproxy", "--cluster", "a", "--listen", "*:443", "--tls-cert", "/etc/ssl/gw.pem")
    assert '  bind *:443 ssl crt "/etc/ssl/gw.pem" ' in balancer
    assert "  server gateway1 127.0.0.1:7001\n" in balancer
    assert "  listen 443 ssl;\n" in made("nginx", "--listen", "*:443", "--tls-cert", "/c.pem", "--tls-key", "/k.pem")
    unit = made("systemd", "--command", "/srv/bin/openclaw-nb")
    assert f"\nExecStart=/srv/bin/openclaw-nb serve --config {config}\n" in unit
    manifests = made("kubernetes", "--image", "registry.example.org/gw:1", "--namespace", "prod")
    assert "        image: registry.example.org/gw:1\n" in manifests
    assert "\n  namespace: prod\n" in manifests


def test_what_is_wrong_is_one_line(config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for options, words in {
        ("haproxy", "--listen", "nowhere"): "'nowhere' is no HOST:PORT to listen at",
        ("haproxy", "--cluster", "b"): "no cluster is configured for agent://b",
        ("kubernetes", "--namespace", "N"): "'N' is no name of a namespace",
    }.items():
        assert main(["deploy", *options, "--config", str(config)]) == 1
        said = capfd.readouterr()
        assert words in said.err
        assert (said.out, said.err.count("\n")) == ("", 1)
    assert main(["deploy", "nginx", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml cannot be read: No such file or directory" in capfd.readouterr().err
