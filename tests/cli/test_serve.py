"""openclaw-nb serve and token: gateways of their own, what they say, and who gets in."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from openclaw_nb.cli import main
from tests.certificates import make_certificate
from tests.cli.processes import COMMAND, run, serving
from tests.strangers import UPGRADE


def test_serve_and_ask(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    with serving("--token-file", secret) as (url, line):
        token = secret.read_text().strip()
        assert token not in line
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        done = run("ask", "what is 6*7?", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": token})
        assert "42" in done.stdout
        refused = run("ask", "x", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": "wrong"})
        assert refused.returncode == 1
        assert "does not let us in" in refused.stderr
        assert "ok      gateway" in run("doctor", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": token}).stdout


def test_sessions_outlive_the_gateway_where_there_is_a_store(tmp_path: Path) -> None:
    options = ("--token-file", tmp_path / "token", "--store", tmp_path / "kept.db")
    with serving(*options) as (url, line):
        assert line.endswith(f"; sessions are kept in {tmp_path / 'kept.db'}\n")
        token = {"OPENCLAW_GATEWAY_TOKEN": (tmp_path / "token").read_text().strip()}
        assert "42" in run("ask", "what is 6*7?", "--to", url, env=token).stdout
    assert not (tmp_path / "kept.db-wal").exists(), "the store was not closed"
    with serving(*options) as (url, _):
        assert "what is 6*7?" in run("ask", "what did I ask first?", "--to", url, env=token).stdout
        listed = run("snapshots", "list", "--store", str(tmp_path / "kept.db"))
        assert listed.stdout.splitlines()[-1].endswith("here: main")
    assert stat.S_IMODE((tmp_path / "kept.db").stat().st_mode) == 0o600
    (tmp_path / "notes").write_text("mine\n" * 500)
    refused = run("serve", "--port", "0", "--store", str(tmp_path / "notes"), env=token)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path / 'notes'}: the file is no snapshot store" in refused.stderr
    with serving("--token-file", tmp_path / "token") as (url, line):
        assert line.endswith("; sessions end with this gateway (--store FILE keeps them)\n")
        assert "You asked nothing" in run("ask", "what did I ask first?", "--to", url, env=token).stdout


def test_a_token_file_outlives_the_gateway_and_its_tokens_are_rotated_and_revoked(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("the-token-of-a-gateway-before\n")
    secret.chmod(0o600)
    old = {"OPENCLAW_GATEWAY_TOKEN": "the-token-of-a-gateway-before"}
    with serving("--token-file", secret) as (url, _):
        assert "42" in run("ask", "what is 6*7?", "--to", url, env=old).stdout
        rotated = run("token", "rotate", str(secret))
        new, kept = secret.read_text().split()
        assert kept == "the-token-of-a-gateway-before"
        assert rotated.stdout == f"a new token is in {secret}; the one before stays valid until it is revoked\n"
        assert "42" in run("ask", "what is 6*7?", "--to", url, env=old).stdout
        revoked = run("token", "revoke", str(secret))
        assert revoked.stdout == f"the newest token in {secret} is the only one now; who came in with another is out\n"
        assert secret.read_text() == f"{new}\n"
        assert "does not let us in" in run("ask", "x", "--to", url, env=old).stderr
        assert "42" in run("ask", "what is 6*7?", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": new}).stdout
    nothing = run("token", "revoke", str(secret))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith(f"openclaw-nb: there is only one token in {secret}, which stays valid")
    secret.chmod(0o644)
    for command in (["token", "rotate", str(secret)], ["serve", "--port", "0", "--token-file", str(secret)]):
        refused = run(*command)
        assert refused.returncode == 1
        assert refused.stderr == (
            f"openclaw-nb: {secret} is open to others (mode 0644); mend it with: chmod 600 {secret}\n"
        )


def test_serve_with_tls(tmp_path: Path) -> None:
    made, secret = make_certificate(tmp_path), tmp_path / "token"
    with serving("--token-file", secret, "--tls-cert", made.chain, "--tls-key", made.key) as (url, _):
        assert url.startswith("wss://127.0.0.1:")
        token = {"OPENCLAW_GATEWAY_TOKEN": secret.read_text().strip()}
        done = run("ask", "what is 6*7?", "--to", url, env=token | {"SSL_CERT_FILE": str(made.authority)})
        assert "42" in done.stdout, done.stderr
        assert "certificate" in run("ask", "x", "--to", url, env=token).stderr


def test_serve_beyond_loopback_says_so(tmp_path: Path) -> None:
    arguments = ("--token-file", tmp_path / "token", "--host", "0.0.0.0", "--insecure", "--name", "gw.example.org")
    with serving(*arguments) as (url, line):
        assert url.startswith("ws://0.0.0.0:")
        assert "; without TLS, so whoever is on the way can read it all; the token is in " in line
        for name, answer in {b"gw.example.org": b"HTTP/1.1 101 ", b"example.org": b"HTTP/1.1 403 "}.items():
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
                client.sendall(UPGRADE % name + b"\r\n")
                assert client.recv(len(answer), socket.MSG_WAITALL) == answer


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("chain.pem", None, "no certificate is in {0}/chain.pem, or no unencrypted key in {0}/chain.pem, as PEM"),
        ("key.pem", "chain.pem", "no certificate is in {0}/key.pem, or no unencrypted key in {0}/chain.pem, as PEM"),
        ("authority.pem", "key.pem", "{0}/key.pem is not the private key of {0}/authority.pem"),
        (
            "chain.pem",
            "encrypted",
            "no certificate is in {0}/chain.pem, or no unencrypted key in {0}/encrypted, as PEM",
        ),
        (None, "key.pem", "--tls-key needs --tls-cert, the certificate that goes with it"),
    ],
)
def test_certificates_that_cannot_be_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], certificate: str | None, key: str | None, words: str
) -> None:
    made = make_certificate(tmp_path)
    secret = load_pem_private_key(made.key.read_bytes(), None)
    (tmp_path / "encrypted").write_bytes(
        secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))
    )
    options = [
        f"--tls-cert={tmp_path / certificate}" if certificate else "",
        f"--tls-key={tmp_path / key}" if key else "",
    ]
    assert main(["serve", "--port", "0", f"--token-file={tmp_path}/token", *filter(None, options)]) == 1
    assert capfd.readouterr() == ("", f"openclaw-nb: {words.format(tmp_path)}\n")


def test_a_configuration_is_served_and_options_count_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "gateway: {model: 'offline:1', port: 1, token: {file: kept/token}, store: kept/s.db, names: [gw.example.org]}\n"
        "monitoring: {port: 0}\n"
    )
    (tmp_path / "kept").mkdir()
    with serving("--config", path) as (url, line):  # it says --port 0 and --model offline:0
        assert line.startswith("serving offline:0 at ws://127.0.0.1:")
        assert line.endswith(f"the token is in {tmp_path}/kept/token; sessions are kept in {tmp_path}/kept/s.db\n")
        assert not url.endswith(":1")
        token = (tmp_path / "kept/token").read_text().strip()
        assert token
    path.write_text("gateway: {prot: 1}\n")
    assert main(["serve", "--config", str(path)]) == 1
    assert "line 1, column 11: gateway has no setting 'prot'" in capfd.readouterr().err.replace('"', "'")
    for options in (["--workers", "0"], ["--workers", "x"], ["--drain", "-1"], ["--grace", "nan"], ["--ports", "two"]):
        with pytest.raises(SystemExit):
            main(["serve", *options])
    assert "invalid _" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--redis", "foo"], "the address of a Redis is redis://HOST:PORT/DB or rediss://HOST:PORT/DB"),
        (["--workers", "2", "--ports", "many", "--port", "65535"], "from port 65535 on there are no 2 ports"),
    ],
)
def test_options_that_cannot_be_served(options: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) == 1
    assert capfd.readouterr().err.startswith(f"openclaw-nb: {words}")


def test_metrics_are_served_where_a_configuration_has_them(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("gateway: {port: 0, token: {file: token}}\nmonitoring: {port: 0}\n")
    with started("--config", path) as process:
        assert read_line(process).startswith("serving offline at ")
        where = read_line(process)
        assert where.startswith("metrics are at http://127.0.0.1:")
        with urllib.request.urlopen(where.split(" at ")[1].strip()) as answer:
            assert b"openclaw_runs_active" in answer.read()


def test_the_first_signal_drains_and_the_second_ends_at_once(tmp_path: Path) -> None:
    options = ("--token-file", tmp_path / "token", "--port", "0", "--drain", "600", "--model", "offline:20")
    for answered, number in ((True, b"15"), (False, b"5000")):
        with started(*options) as process:
            url = read_line(process).split(" at ")[1].split(";")[0]
            token = (tmp_path / "token").read_text().strip()
            asking = subprocess.Popen(
                [*COMMAND, "ask", f"count to {number.decode()}", "--to", url], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=os.environ | {"OPENCLAW_GATEWAY_TOKEN": token},
            )  # fmt: skip
            assert asking.stdout is not None
            heard = asking.stdout.read(2)
            process.send_signal(signal.SIGTERM)
            if not answered:
                assert read_line(process).startswith("draining: 1 run ")  # two at once would be one
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            if not answered:
                asking.kill()
            heard += asking.communicate(timeout=60)[0]
            assert heard.rstrip().endswith(b" " + number) == answered


@contextmanager
def started(*options: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A gateway of its own, which is told to end at once."""
    process = subprocess.Popen([*COMMAND, "serve", *options], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()  # nothing where it has ended
        assert process.wait(60) == 0
        process.stdout.close()  # type: ignore[union-attr]


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
