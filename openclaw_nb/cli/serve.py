"""`openclaw-nb serve`, a gateway until it is interrupted, and `openclaw-nb token`, which changes what opens it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import ssl
from pathlib import Path
from typing import Any

from ..door import is_loopback
from ..errors import ConfigError
from ..gateway import Gateway
from ..runtime import new_loop
from ..snapshots import SnapshotStore
from ..tokens import TokenFile
from .output import write

__all__ = ["describe", "describe_token"]


def describe(commands: Any, name: str) -> None:
    serve: argparse.ArgumentParser = commands.add_parser(name, help="run a gateway until interrupted")
    serve.add_argument("--model", default="offline", help="the model it serves")
    serve.add_argument(
        "--host", default="127.0.0.1", help="a loopback address; any other needs --tls-cert or --insecure"
    )
    serve.add_argument("--port", type=int, default=18789)
    serve.add_argument(
        "--store", metavar="FILE",
        help="where its sessions are kept, made if it is not there; without it they end with the gateway",
    )  # fmt: skip
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="where the tokens are, mode 0600, made if it is not there; without it OPENCLAW_GATEWAY_TOKEN is the token",
    )  # fmt: skip
    serve.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="a name it is reached by; once for each"
    )
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve wss:// with this certificate chain (PEM)")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, if that is not in the same file")
    serve.add_argument("--insecure", action="store_true", help="beyond loopback without TLS, as behind a TLS balancer")
    serve.set_defaults(run=_serve)


def describe_token(commands: Any, name: str) -> None:
    token: argparse.ArgumentParser = commands.add_parser(
        name, help="change the tokens in a file; running gateways notice by themselves"
    )
    token.add_argument("do", choices=["rotate", "revoke"], help="make a new token; or keep the newest one only")
    token.add_argument("file", type=Path, metavar="FILE")
    token.set_defaults(run=_token)


def _serve(options: argparse.Namespace) -> int:
    token, where = os.environ.get("OPENCLAW_GATEWAY_TOKEN"), "the token is the one in OPENCLAW_GATEWAY_TOKEN"
    if options.token_file is not None:
        token, where = None, f"the token is in {options.token_file}"
    elif not token:
        raise ConfigError("set OPENCLAW_GATEWAY_TOKEN, or name a --token-file to keep a new token in")
    tls = _read_tls(options.tls_cert, options.tls_key)
    if tls is None and not is_loopback(options.host):
        where = f"without TLS, so whoever is on the way can read it all; {where}"
    with SnapshotStore(options.store or ":memory:") as store:
        kept = f"are kept in {store.path}" if options.store else "end with this gateway (--store FILE keeps them)"
        gateway = Gateway(
            options.model, token, options.host, options.port,
            token_file=options.token_file, names=options.name, tls=tls, insecure=options.insecure, store=store,
        )  # fmt: skip
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_serve_until_signal(gateway, f"{where}; sessions {kept}"))
    return 0


async def _serve_until_signal(gateway: Gateway, words: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with gateway:
        write(f"serving {gateway.engine.default.name} at {gateway.url}; {words}\n")
        await stop.wait()


def _read_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """The server's side of TLS 1.2 or newer; ConfigError says what is wrong with the files."""
    if certificate is None:
        if key is not None:
            raise ConfigError("--tls-key needs --tls-cert, the certificate that goes with it")
        return None
    key = key or certificate
    for path in (certificate, key):
        path.open("rb").close()  # OpenSSL does not say which of the two it cannot open
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")  # without one OpenSSL would ask the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key} is not the private key of {certificate}") from None
        raise ConfigError(f"no certificate is in {certificate}, or no unencrypted key in {key}, as PEM") from None
    return context


def _token(options: argparse.Namespace) -> int:
    tokens = TokenFile(options.file)
    if options.do == "rotate":
        tokens.rotate()
        write(f"a new token is in {options.file}; the one before stays valid until it is revoked\n")
    else:
        tokens.revoke()
        write(f"the newest token in {options.file} is the only one now; who came in with another is out\n")
    return 0
