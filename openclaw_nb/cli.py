"""The command `openclaw-nb`: ask from a terminal, serve a gateway, and look for what does not work."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from .doctor import examine
from .errors import ConfigError, OpenClawError
from .gateway import Gateway
from .options import positive
from .reasoning.levels import read_level
from .render import counted, plain
from .run import Run, RunEvent, State, Status
from .runtime import Runtime
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
    commands = parser.add_subparsers(required=True, metavar="ask|serve|doctor")
    ask = commands.add_parser("ask", help="stream one answer")
    ask.add_argument("prompt", help="the prompt, or - to read it from standard input")
    ask.add_argument("--model", help="a model's name; offline if left out")
    ask.add_argument("--level", default="auto", help="auto or 1 to 4")
    ask.add_argument("--to", metavar="URI", help="agent://local, ws://127.0.0.1:PORT or wss://HOST")
    ask.add_argument("--timeout", metavar="S", help="stop after this many seconds")
    ask.set_defaults(run=_ask)
    serve = commands.add_parser("serve", help="run a gateway on loopback until interrupted")
    serve.add_argument("--model", default="offline", help="the model it serves")
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address")
    serve.add_argument("--port", type=int, default=18789)
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="keep the token here, mode 0600; OPENCLAW_GATEWAY_TOKEN is taken where it is set",
    )  # fmt: skip
    serve.set_defaults(run=_serve)
    doctor = commands.add_parser("doctor", help="look for what does not work")
    doctor.add_argument("--to", metavar="URI")
    doctor.add_argument("--model")
    doctor.set_defaults(run=_doctor)
    return parser


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
    token = os.environ.get("OPENCLAW_GATEWAY_TOKEN")
    gateway = Gateway(options.model, token, options.host, options.port)
    asyncio.run(_serve_until_signal(gateway, options.token_file, known=token is not None))
    return 0


async def _serve_until_signal(gateway: Gateway, token_file: Path | None, *, known: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with gateway:
        where = "the token is the one in OPENCLAW_GATEWAY_TOKEN"
        if token_file is not None:
            _write_secret(token_file, gateway.token)
            where = f"the token is in {token_file}"
        elif not known:
            raise OpenClawError("set OPENCLAW_GATEWAY_TOKEN, or name a --token-file to keep a new token in")
        _write(f"serving {gateway.engine.default.name} at {gateway.url}; {where}\n")
        await stop.wait()


def _write_secret(path: Path, secret: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(secret + "\n")


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
