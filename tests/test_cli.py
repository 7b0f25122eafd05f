"""openclaw-nb, as a person runs it: in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
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
from tests.strangers import UPGRADE

COMMAND = [sys.executable, "-m", "openclaw_nb.cli"]


def run(*arguments: str, env: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")} | (env or {})
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=clean, **options
    )


def ask_at_length() -> subprocess.Popen[str]:
    """A process whose answer has begun and takes minutes."""
    asking = subprocess.Popen(
        [*COMMAND, "ask", "count to 5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asking.stdout is not None
    assert asking.stdout.read(5) == "1, 2,"
    return asking


def test_ask() -> None:
    done = run("ask", "what is 6*7?")
    assert done.returncode == 0
    assert "42" in done.stdout
    assert done.stderr == ""


def test_ask_from_standard_input() -> None:
    assert "42" in run("ask", "-", input="what is 6*7?").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", "x", "--to", "ws://127.0.0.1:9"], "no gateway at ws://127.0.0.1:9: connection refused"),
        (["ask", "x", "--level", "7"], "level '7' is not one of"),
        (["ask", "x", "--timeout", "nan"], "'nan' is not a number above 0"),
        (["ask", "  "], "the prompt is empty"),
        (["ask", "x", "--model", "offlin"], "offlin"),
        (["serve", "--host", "0.0.0.0", "--token-file", "/no/such/token"], "unless it has TLS (tls=, --tls-cert)"),
        (["serve", "--port", "0"], "set OPENCLAW_GATEWAY_TOKEN, or name a --token-file"),
        (["serve", "--port", "0", "--token-file", "/no/such/token"], "/no/such/token: No such file or directory"),
        (["serve", "--token-file", "/"], "/ is no regular file"),
        (
            ["serve", "--token-file", "/tmp", "--tls-cert", "/no/such/chain"],
            "/no/such/chain: No such file or directory",
        ),
        (["token", "rotate", "/no/such/token"], "/no/such/token: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, str]]:
    """A gateway of its own; where it is, and what it said of it."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--model", "offline:0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.split(" at ")[1].split(";")[0], line
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()  # type: ignore[union-attr]


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
        assert "ok    gateway" in run("doctor", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": token}).stdout


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


def test_an_interrupt_keeps_what_came() -> None:
    asking = ask_at_length()
    time.sleep(0.2)
    asking.send_signal(signal.SIGINT)
    rest, said = asking.communicate(timeout=10)
    assert asking.returncode == 130
    assert rest.endswith(", \n")
    assert said.startswith("[stopped by you; ")


def test_a_reader_that_leaves_ends_it() -> None:
    asking = ask_at_length()
    assert asking.stdout is not None
    asking.stdout.close()
    _, said = asking.communicate(timeout=10)
    assert (asking.returncode, said) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_answer_that_cannot_be_written_is_no_success() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "ask", "6*7"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "openclaw-nb: No space left on device\n")


def test_no_character_is_lost_where_it_cannot_be_written() -> None:
    done = run("ask", "30 C in F", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"30 \xb0C = **86 \xb0F**" in done.stdout


def test_doctor() -> None:
    done = run("doctor")
    assert done.returncode == 0
    assert "ok    gateway: agent://local answers" in done.stdout
    broken = run("doctor", "--to", "ws://127.0.0.1:9")
    assert broken.returncode == 1
    assert "look  gateway" in broken.stdout
