"""OpenClaw's configuration: whose secret it has, how it is written, and what is said where it cannot be had."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.openclaw_config import LARGEST, Found, config_file, find_secret
from openclaw_nb.redaction import redact

HERE = "ws://127.0.0.1:18789"
SECRET = "s3cret-of-the-gateway"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openclaw.json"


def write(path: Path, config: Any, mode: int = 0o600) -> None:
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    path.chmod(mode)


def find(path: Path, url: str = HERE, **environ: str) -> Found | None:
    return find_secret(url, {"OPENCLAW_CONFIG_PATH": str(path), **environ})


def secret(path: Path, url: str = HERE, **environ: str) -> str | None:
    found = find(path, url, **environ)
    return found.secret if found else None


def test_where_it_is(tmp_path: Path) -> None:
    home = Path.home()
    assert config_file({}) == home / ".openclaw" / "openclaw.json"
    assert config_file({"OPENCLAW_STATE_DIR": str(tmp_path)}) == tmp_path / "openclaw.json"
    assert config_file({"OPENCLAW_STATE_DIR": "~/state"}) == home / "state" / "openclaw.json"
    named = {"OPENCLAW_CONFIG_PATH": "~/mine.json", "OPENCLAW_STATE_DIR": str(tmp_path)}
    assert config_file(named) == home / "mine.json"
    assert find_secret(HERE, {"OPENCLAW_CONFIG_PATH": str(tmp_path / "none")}) is None


def test_the_place_is_written_as_people_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".openclaw").mkdir()
    write(tmp_path / ".openclaw" / "openclaw.json", {"gateway": {"auth": {"token": SECRET}}})
    found = find_secret(HERE, {})
    assert found is not None
    assert (found.kind, found.secret, found.place, found.why) == ("token", SECRET, "~/.openclaw/openclaw.json", "")
    assert SECRET not in repr(found)
    assert redact(f"it is {SECRET}, they say") == "it is openclaw.json:gateway.auth.token, they say"


@pytest.mark.parametrize(
    ("gateway", "environ", "opened"),
    [
        ({}, {}, HERE),
        ({"port": 19001}, {}, "ws://localhost:19001/page"),
        ({"port": 19001}, {}, "wss://[::1]:19001"),
        ({"port": 80}, {}, "ws://127.0.0.1"),
        ({"port": 19001}, {"OPENCLAW_GATEWAY_PORT": "19002"}, "ws://127.0.0.1:19002"),
    ],
)
def test_it_is_about_the_gateway_on_this_machine_at_its_port(
    path: Path, gateway: dict[str, Any], environ: dict[str, str], opened: str
) -> None:
    write(path, {"gateway": {**gateway, "auth": {"token": SECRET}}})
    assert secret(path, opened, **environ) == SECRET
    for other in ("wss://gateway.example.org:18789", "wss://10.0.0.1:18789"):
        assert find(path, other, **environ) is None
    port = environ.get("OPENCLAW_GATEWAY_PORT") or gateway.get("port", 18789)
    why = f"{path} is about the gateway at port {port} of this machine"
    assert find(path, "ws://127.0.0.1:1", **environ) == Found(str(path), why=why)


def test_it_is_about_the_gateway_elsewhere_that_it_names(path: Path) -> None:
    remote = {"url": "wss://Gateway.example.org:443/claw", "token": "a-remote-token"}
    write(path, {"gateway": {"remote": remote, "auth": {"token": SECRET}}})
    assert secret(path, "wss://gateway.example.org") == "a-remote-token"
    assert secret(path, "wss://gateway.example.org.:443/other") == "a-remote-token"
    assert secret(path) == SECRET
    for other in ("ws://gateway.example.org", "wss://gateway.example.org:444", "wss://example.org"):
        assert find(path, other) is None
    write(path, {"gateway": {"remote": {"url": HERE, "token": "a-remote-token"}, "auth": {"token": SECRET}}})
    assert secret(path) == "a-remote-token", "a tunnel to it"
    write(path, {"gateway": {"remote": {"url": "wss://[", "token": "a-remote-token"}}})
    assert find(path, "wss://gateway.example.org") is None


def test_what_is_written_as_json5(path: Path) -> None:
    write(path, f"// mine\n{{gateway: {{auth: {{mode: 'token', token: '{SECRET}',}}, port: 0x4965,}},}}")
    assert secret(path) == SECRET
    write(path, "\ufeff" + json.dumps({"gateway": {"auth": {"token": SECRET}}}))
    assert secret(path) == SECRET


@pytest.mark.parametrize("value", ["${CLAW}", {"source": "env", "id": "CLAW"}, " ${CLAW} "])
def test_references_to_the_environment(path: Path, value: Any) -> None:
    write(path, {"gateway": {"auth": {"token": value}}})
    assert secret(path, CLAW=SECRET) == SECRET
    for environ in ({}, {"CLAW": ""}):
        found = find(path, **environ)
        assert found is not None
        assert found.secret is None
        assert found.why == f"gateway.auth.token refers to the variable CLAW, which is not set here, in {path}"
    for env in ({"CLAW": SECRET}, {"vars": {"CLAW": SECRET}}):
        write(path, {"env": env, "gateway": {"auth": {"token": value}}})
        assert secret(path) == SECRET
        assert secret(path, CLAW="another") == "another"


def test_what_only_looks_like_a_reference(path: Path) -> None:
    write(path, {"gateway": {"auth": {"token": "$${CLAW}-${claw}-$CLAW"}}})
    assert secret(path, CLAW="x") == "${CLAW}-${claw}-$CLAW"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"source": "exec", "provider": "vault", "id": "a"},
            "refers to a secret of the source 'exec', which only OpenClaw",
        ),
        ({"source": "\x1b[31mfile\n", "id": "/a"}, "refers to a secret of the source '[31mfile', which only OpenClaw"),
        ({"id": "a"}, "is neither text nor a reference to a secret"),
        ({"source": "env", "id": 3}, "refers to a secret of the source 'env'"),
        (3, "is neither text nor a reference to a secret"),
    ],
)
def test_references_that_are_not_followed(path: Path, value: Any, words: str) -> None:
    write(path, {"gateway": {"auth": {"token": value}}})
    found = find(path)
    assert found is not None
    assert found.secret is None
    assert found.why.startswith(f"gateway.auth.token {words}")
    assert "\x1b" not in found.why


def test_passwords_and_gateways_that_are_open(path: Path) -> None:
    both = {"token": "a-token", "password": "a-password"}
    write(path, {"gateway": {"auth": {"mode": "password", **both}}})
    found = find(path)
    assert found is not None
    assert (found.kind, found.secret) == ("password", "a-password")
    write(path, {"gateway": {"auth": both}})
    assert secret(path) == "a-token"
    write(path, {"gateway": {"auth": {"mode": "none"}}})
    assert find(path) == Found(str(path))
    write(path, {"gateway": {"auth": {"mode": "token"}}})
    assert find(path) is None
    for shape in ([], {"gateway": []}, {"gateway": {"auth": "x", "remote": 3}}, {}):
        write(path, shape)
        assert secret(path) is None


def test_a_file_that_others_can_read_is_taken_and_named(path: Path) -> None:
    write(path, {"gateway": {"auth": {"token": SECRET}}}, mode=0o644)
    found = find(path)
    assert found is not None
    assert (found.secret, found.place) == (SECRET, f"{path}, which others can read (mode 0644)")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{{gateway: {{auth: {{\n token: '{SECRET}'\n port: 1", "it is no JSON5 (line "),
        (f"'{SECRET}'", "it is no JSON object"),
        (SECRET, "it is no JSON5"),
        ("", "it is no JSON5"),
        ("[" * 100_000, "it is nested too deep"),
        (" " * LARGEST + "{}", "it has above 1,000,000 bytes"),
    ],
)
def test_a_broken_file_is_one_clause_that_does_not_repeat_it(path: Path, content: str, words: str) -> None:
    write(path, content)
    found = find(path)
    assert found is not None
    assert found.secret is None
    assert found.why.startswith(f"{path} cannot be read: {words}")
    assert SECRET not in found.why
    assert "\n" not in found.why


def test_what_is_no_file(path: Path) -> None:
    path.mkdir()
    assert (found := find(path)) is not None
    assert "cannot be read" in found.why
    path.rmdir()
    os.mkfifo(path)
    assert (found := find(path)) is not None
    assert found.why == f"{path} cannot be read: it is no regular file"
    path.unlink()
    path.write_bytes(b"\xff\xfe\xfa")
    assert (found := find(path)) is not None
    assert "cannot be read" in found.why
