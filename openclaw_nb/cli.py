"""The command `openclaw-nb`: ask from a terminal, serve a gateway, keep its token, and look for what does not work."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import ssl
import sys
from contextlib import suppress
from pathlib import Path

from .doctor import examine
from .door import is_loopback
from .errors import ConfigError, OpenClawError
from .gateway import Gateway
from .options import positive
from .reasoning.levels import read_level
from .render import counted, plain
from .run import Run, RunEvent, State, Status
from .runtime import Runtime, new_loop
from .tokens import TokenFile
from .version import __version__

__all__ = ["main"]

INTERRUPTED = 128 + signal.SIGINT
SETTLE = 2.0
"""Seconds an interrupted answer waits for the gateway to confirm that the model has stopped."""

NOBODY_READS = 128 + 13
"""As if SIGPIPE, which Windows has no name for, had ended the process."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code. Errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    _take_any_text()
    try:
        code: int = options.run(options)
    except OpenClawError as error:
        _say(f"openclaw-nb: {error}")
        return 1
    except BrokenPipeError:  # the reader has what it wanted, as `head` does
        _drop_output()
        return NOBODY_READS
    except OSError as error:
        _drop_output()
        _say("openclaw-nb: " + ": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _take_any_text() -> None:
    """Have no text fail at a stream: not at an encoding without its characters, not at a stream that was closed."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or Python would fail at it again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openclaw-nb", description="Agents from a terminal, as in the notebook.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="ask|serve|token|doctor")
    ask = commands.add_parser("ask", help="stream one answer")
    ask.add_argument("prompt", help="the prompt, or - to read it from standard input")
    ask.add_argument("--model", help="a model's name; offline if left out")
    ask.add_argument("--level", default="auto", help="auto or 1 to 4")
    ask.add_argument("--to", metavar="URI", help="agent://local, ws://127.0.0.1:PORT or wss://HOST")
    ask.add_argument("--timeout", metavar="S", help="stop after this many seconds")
    ask.set_defaults(run=_ask)
    _describe_serve(commands.add_parser("serve", help="run a gateway until interrupted"))
    token = commands.add_parser("token", help="change the tokens in a file; running gateways notice by themselves")
    token.add_argument("do", choices=["rotate", "revoke"], help="make a new token; or keep the newest one only")
    token.add_argument("file", type=Path, metavar="FILE")
    token.set_defaults(run=_token)
    doctor = commands.add_parser("doctor", help="look for what does not work")
    doctor.add_argument("--to", metavar="URI")
    doctor.add_argument("--model")
    doctor.set_defaults(run=_doctor)
    return parser


def _describe_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--model", default="offline", help="the model it serves")
    serve.add_argument(
        "--host", default="127.0.0.1", help="a loopback address; any other needs --tls-cert or --insecure"
    )
    serve.add_argument("--port", type=int, default=18789)
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


def _ask(options: argparse.Namespace) -> int:
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise ConfigError("the prompt is empty")
    level = read_level(options.level)
    timeout = None if options.timeout is None else positive(options.timeout)
    runtime = Runtime.shared()
    try:
        client = runtime.client(options.to)
        if options.model and runtime.is_local(client):
            runtime.resolve(options.model)
        run = client.send(prompt, level=level and int(level), model=options.model, timeout=timeout)
        run.subscribe(_say_state)
        return _print(run)
    finally:
        runtime.close()


def _print(run: Run) -> int:
    """Print the answer as it comes; on the main thread, so that an interrupt or a failed write ends it at once."""
    try:
        for delta in run:
            _write(plain(delta))
    except KeyboardInterrupt:
        run.cancel()
        with suppress(OpenClawError):
            run.result(SETTLE)
        _write("\n")
        _say(f"[{run.words}; {counted(run.tokens, 'token')} came]")
        return INTERRUPTED
    except OpenClawError:
        _write("\n" if run.text else "")
        raise
    _write("\n")
    return 0


def _say_state(event: RunEvent) -> None:
    if isinstance(event, State) and event.status is Status.RECONNECTING:
        _say(f"[{event.words}]")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(words: str) -> None:
    """One line for the person, beside what the command prints."""
    sys.stderr.write(words + "\n")


def _serve(options: argparse.Namespace) -> int:
    token, where = os.environ.get("OPENCLAW_GATEWAY_TOKEN"), "the token is the one in OPENCLAW_GATEWAY_TOKEN"
    if options.token_file is not None:
        token, where = None, f"the token is in {options.token_file}"
    elif not token:
        raise ConfigError("set OPENCLAW_GATEWAY_TOKEN, or name a --token-file to keep a new token in")
    tls = _read_tls(options.tls_cert, options.tls_key)
    if tls is None and not is_loopback(options.host):
        where = f"without TLS, so whoever is on the way can read it all; {where}"
    gateway = Gateway(
        options.model, token, options.host, options.port,
        token_file=options.token_file, names=options.name, tls=tls, insecure=options.insecure,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve_until_signal(gateway, where))
    return 0


async def _serve_until_signal(gateway: Gateway, where: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with gateway:
        _write(f"serving {gateway.engine.default.name} at {gateway.url}; {where}\n")
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
        _write(f"a new token is in {options.file}; the one before stays valid until it is revoked\n")
    else:
        tokens.revoke()
        _write(f"the newest token in {options.file} is the only one now; who came in with another is out\n")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    runtime = Runtime.shared()
    try:
        findings = examine(runtime, options.to, options.model)
    finally:
        runtime.close()
    for name, fine, words in findings:
        _write(f"{'ok  ' if fine else 'look'}  {name}: {words}\n")
    return 0 if all(fine for _, fine, _ in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
