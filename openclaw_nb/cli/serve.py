"""`openclaw-nb serve`, gateways until they are interrupted, and `openclaw-nb token`, which changes what opens them."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cluster import Reservation, Supervisor, can_share, collect_seldom, serve_until_told
from ..config import ClusterConfig, Serving, TokenReference
from ..config.uri import check_redis
from ..deploy.plan import redis_is_here
from ..door import check_network, is_loopback
from ..errors import ConfigError
from ..gateway import Gateway
from ..metrics import exporter_of
from ..runtime import new_loop
from ..secret import Secret
from ..sharing import Sharing
from ..snapshots import SnapshotStore
from ..tokens import TokenFile
from .output import write

__all__ = ["describe", "describe_token"]

TOKEN = "OPENCLAW_GATEWAY_TOKEN"  # noqa: S105 - the variable's name
"""Where the token is that nothing else names."""

OPTIONS = (
    "workers", "ports", "model", "host", "port", "store", "redis", "redis_password", "tls_cert", "tls_key", "insecure",
    "drain", "grace",
)  # fmt: skip
"""Options with the names of settings."""

DYING = 10.0
"""Seconds that a worker may take beyond its grace and drain until it is killed."""


def describe(commands: Any, name: str) -> None:
    serve: argparse.ArgumentParser = commands.add_parser(
        name, help="run a gateway until interrupted, or several",
        description="Options count more than the section gateway of a configuration. SIGTERM or Ctrl-C drains, a "
        "second one ends at once; without a terminal SIGHUP replaces workers one by one.",
    )  # fmt: skip
    serve.add_argument("--config", type=Path, metavar="FILE", help="a configuration; its section gateway is served")
    serve.add_argument("--workers", type=_whole, metavar="N", help="processes that serve (1)")
    serve.add_argument(
        "--ports", choices=["one", "many"],
        help="one port for all workers, where the system deals clients out (Linux), or a port for each from --port on",
    )  # fmt: skip
    serve.add_argument("--model", help="the model it serves (offline)")
    serve.add_argument("--host", help="a loopback address (127.0.0.1); any other needs --tls-cert or --insecure")
    serve.add_argument("--port", type=int, help="where it listens (18789)")
    serve.add_argument(
        "--store", type=Path, metavar="FILE",
        help="where its sessions are kept, made if it is not there; without it they end with the gateway",
    )  # fmt: skip
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="where the tokens are, mode 0600, made if it is not there; without it OPENCLAW_GATEWAY_TOKEN is the token",
    )  # fmt: skip
    serve.add_argument(
        "--redis", metavar="URL",
        help="redis://HOST:PORT/DB or rediss://…, by which instances share their runs; without it each stands alone",
    )  # fmt: skip
    serve.add_argument(
        "--redis-password", type=_reference, metavar="REFERENCE", help="where its password is: env:NAME or file:PATH"
    )
    serve.add_argument("--name", action="append", metavar="HOST", help="a name it is reached by; once for each")
    serve.add_argument(
        "--trusted-proxy", action="append", metavar="ADDRESS",
        help="a balancer, or a network of them, that is believed where a client is; once for each",
    )  # fmt: skip
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve wss:// with this certificate chain (PEM)")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, if that is not in the same file")
    serve.add_argument(
        "--insecure", action="store_true", default=None, help="beyond loopback without TLS, as behind a TLS balancer"
    )
    serve.add_argument("--drain", type=_seconds, metavar="SECONDS", help="time that runs at work get to end (30)")
    serve.add_argument(
        "--grace", type=_seconds, metavar="SECONDS",
        help="time before that in which /readyz says 503 and all is served, for a balancer's checks to see it (0)",
    )  # fmt: skip
    serve.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--successor", action="store_true", help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)


def describe_token(commands: Any, name: str) -> None:
    token: argparse.ArgumentParser = commands.add_parser(
        name, help="change the tokens in a file; running gateways notice by themselves"
    )
    token.add_argument("do", choices=["rotate", "revoke"], help="make a new token; or keep the newest one only")
    token.add_argument("file", type=Path, metavar="FILE")
    token.set_defaults(run=_token)


def _serve(options: argparse.Namespace) -> int:
    config = ClusterConfig.load(options.config) if options.config is not None else ClusterConfig()
    config = replace(config, gateway=_chosen(config.gateway, options))
    if options.worker is None and config.gateway.workers > 1:
        return _supervise(options, config.gateway)
    _serve_one(config, options)
    return 0


def _chosen(serving: Serving, options: argparse.Namespace) -> Serving:
    """What is served: as it is configured, but for what the options say."""
    given = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    if options.token_file is not None:
        given["token"] = TokenReference(f"file:{options.token_file}")
    if options.redis is not None:
        given["redis"] = check_redis(options.redis)
    if options.name is not None:
        given["names"] = tuple(options.name)
    if options.trusted_proxy is not None:
        given["trusted_proxies"] = tuple(map(check_network, options.trusted_proxy))
    chosen = replace(serving, **given)
    if chosen.redis and not (chosen.redis.startswith("rediss:") or chosen.insecure or redis_is_here(chosen)):
        raise ConfigError("beyond loopback redis:// goes in clear; write rediss://, or --insecure in your own network")
    return chosen


# -- one ---------------------------------------------------------------------------------------------


def _serve_one(config: ClusterConfig, options: argparse.Namespace) -> None:
    serving, worker = config.gateway, options.worker
    token, token_file, where = _token_of(serving)
    tls = _read_tls(serving.tls_cert, serving.tls_key)
    if tls is None and not is_loopback(serving.host):
        where = f"without TLS, so whoever is on the way can read it all; {where}"
    with SnapshotStore(serving.store or ":memory:") as store:
        kept = f"are kept in {store.path}" if serving.store else "end with this gateway (--store FILE keeps them)"
        if serving.redis:
            kept += f"; runs are shared by {serving.redis}"
        gateway = Gateway(
            serving.model, token, serving.host, serving.port, token_file=token_file, names=serving.names,
            trusted_proxies=serving.trusted_proxies, tls=tls, insecure=serving.insecure, store=store,
            reuse_port=worker is not None and serving.ports == "one",
            sharing=Sharing(serving.redis, password=serving.redis_password) if serving.redis else None,
        )  # fmt: skip
        exporter = exporter_of(gateway.metrics, config.monitoring, (worker or 1) - 1, names=serving.names)
        told = serve_until_told(
            gateway, lambda line: write(f"{line}\n"), f"; {where}; sessions {kept}", drain=serving.drain,
            grace=serving.grace, exporter=exporter if options.config else None,
            patience=_until_dead(serving) if options.successor else 0.0, supervised=worker is not None,
        )  # fmt: skip
        collect_seldom()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(told)


def _token_of(serving: Serving) -> tuple[str | None, Path | None, str]:
    """The token or the file of them, and where it is, in words."""
    if serving.token is not None:
        kind, _, where = str(serving.token).partition(":")
        if kind == "file":
            return None, Path(where), f"the token is in {where}"
        return serving.token.read(), None, f"the token is the one in {serving.token}"
    if not (token := os.environ.get(TOKEN)):
        raise ConfigError(f"set {TOKEN}, or name a --token-file to keep a new token in")
    return token, None, f"the token is the one in {TOKEN}"


# -- several -----------------------------------------------------------------------------------------


def _supervise(options: argparse.Namespace, serving: Serving) -> int:
    many = serving.ports == "many"
    if not (many or can_share()):
        raise ConfigError("this system does not deal the clients of one port out to processes; say --ports many")
    if serving.ports_missing:
        raise ConfigError(serving.ports_missing)
    with nullcontext() if many else Reservation(serving.host, serving.port) as held:
        ports = [held.port if held else serving.port and serving.port + index for index in range(serving.workers)]
        commands = [_worker(options, number, port) for number, port in enumerate(ports, 1)]
        supervisor = Supervisor(
            commands, lambda line: write(f"{line}\n"), patience=_until_dead(serving), overlap=not many,
            successor=("--successor",),
        )  # fmt: skip
        return asyncio.run(supervisor.run())


def _until_dead(serving: Serving) -> float:
    """Seconds after which a worker has ended that was told to."""
    return serving.grace + serving.drain + DYING


def _worker(options: argparse.Namespace, number: int, port: int) -> list[str]:
    """The command that serves as one worker, with the options of this one."""
    command = [sys.executable, "-m", f"{__package__}", "serve", f"--port={port}", f"--worker={number}"]
    for name in ("config", "token_file", *OPTIONS):
        if name not in ("port", "workers", "insecure") and (value := getattr(options, name)) is not None:
            command.append(f"--{name.replace('_', '-')}={value}")
    command += [f"--name={name}" for name in options.name or ()]
    command += [f"--trusted-proxy={address}" for address in options.trusted_proxy or ()]
    return [*command, "--insecure"] if options.insecure else command


def _reference(text: str) -> TokenReference:
    kind, _, where = text.partition(":")
    try:
        return TokenReference(f"file:{Path(where).absolute()}" if kind == "file" and where else str(Secret(text)))
    except ConfigError:  # it may be the password itself, and is not repeated
        raise argparse.ArgumentTypeError("a reference belongs here, env:NAME or file:PATH") from None


def _whole(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (number := int(text)) <= 256:
            return number
    raise argparse.ArgumentTypeError("a number from 1 to 256 belongs here")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= 3600:
            return seconds
    raise argparse.ArgumentTypeError("seconds from 0 to 3600 belong here")


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
