"""Fact 25 of the design's list, its part for streams and gateways: what is planted as a secret turns up nowhere.

Here in logs, reprs, errors and the command; tests/kernel/test_secrets.py looks at a kernel and its notebook.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import os
import subprocess
import sys
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import ConfigError, ConnectionLost, OpenClawError
from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import encode
from tests.mock_openai import MockOpenAI
from tests.security.planted import Planted, files, found
from tests.security.test_gateway import framed
from tests.served import ROOT, Served
from tests.spine import hello, on_both_loops, soon

Figure = Callable[[str, str], None]
CASE = "reliability 25 (streams and gateway part)"


def test_what_is_planted_is_found_in_every_form() -> None:
    secret = Planted("one")
    raw = secret.text.encode()
    for form in (
        raw, repr(secret.text).encode(), json.dumps(secret.text).encode(), urllib.parse.quote(secret.text).encode(),
        raw.hex().encode(), base64.b64encode(raw), base64.b64encode(b"x" + raw), raw[:20], raw[-12:],
        base64.urlsafe_b64encode(b"Bearer " + raw + b"\n"),
    ):  # fmt: skip
        assert found([secret], {"here": b"before " + form + b" after"}), form
    assert not found([secret], {"here": Planted("another").text.encode()})


# -- in this process -------------------------------------------------------------------------------


@contextmanager
def everything_logged() -> Iterator[Callable[[], bytes]]:
    """All that any logger says, at every level there is; call what is given for it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    every = [root, *map(logging.getLogger, list(root.manager.loggerDict))]
    levels = [logger.level for logger in every]
    root.addHandler(handler)
    for logger in every:
        logger.setLevel(1)
    try:
        yield lambda: said.getvalue().encode(errors="replace")
    finally:
        root.removeHandler(handler)
        for logger, level in zip(every, levels, strict=True):
            logger.setLevel(level)


async def failing(prompt: str) -> AsyncIterator[str]:
    yield "some "
    if "fail" in prompt:
        raise RuntimeError("out of order")


@on_both_loops
async def test_not_in_logs_reprs_and_errors(figure: Figure) -> None:
    """Every way in and out of a gateway, with all loggers at level 1 and a loop that says whatever it does."""
    planted = token, wrong, inside = Planted("the right token"), Planted("a wrong one"), Planted("one in an address")
    running = asyncio.get_running_loop()
    running.set_debug(True)
    running.slow_callback_duration = 0.0
    errors: list[BaseException] = []
    with everything_logged() as log:
        async with Gateway(model=failing, token=token.text) as served, OpenClawClient(token=token.text) as client:
            client.on("error", errors.append)
            await client.connect(served.url)
            answer = await client.send("go")
            run = client.send("fail")
            await noted(errors, run)
            for connection in tuple(served._connections):
                connection.abort()
            await soon(lambda: len(errors) > 1 and client.connected, "it came back")
            await client.reconnect()
            for _ in range(12):
                await noted(errors, OpenClawClient(token=wrong.text).connect(served.url))
            for bad in (f"wss://u:{inside.text}", f"wss://h?token={inside.text}", f"ws://{inside.core}:x@h"):
                await noted(errors, client.connect(bad))
            await foreign(served, token)
            history = await client.request("chat.history", {"sessionKey": "main"})
            channel = client._linked().first
            things: list[Any] = [
                client, *client.endpoints, channel, channel.link, channel.session, channel.runs, served, served._door,
                served._tokens,
                served.engine, list(served._connections), [one.session for one in served._connections], run, vars(run),
                answer, vars(answer), history, asyncio.all_tasks(),
                [shot.state for shot in served.engine.memory.store.list()], *errors, *map(vars, errors),
            ]  # fmt: skip
            shown = "\n".join(f"{thing!r}\n{thing!s}" for thing in things)
        trace = "".join("".join(traceback.format_exception(error)) for error in errors)
        places = {"the logs": log(), "reprs": shown.encode(), "tracebacks": trace.encode()}
    assert not found(planted, places)
    lines = len(places["the logs"].splitlines())
    assert lines > 100, "nothing was logged, so this shows nothing"
    assert sum(isinstance(error, ConfigError) for error in errors) == 3
    assert any(isinstance(error, ConnectionLost) and "too many" in str(error) for error in errors), "never locked out"
    figure(
        CASE,
        f"{len(planted)} secrets; {lines:,} lines of all loggers at level 1 in asyncio's debug mode "
        f"({type(running).__module__}), {len(things)} reprs, {len(errors)} tracebacks: 0 found",
    )


async def noted(errors: list[BaseException], work: Any) -> None:
    """Await what is to fail, and keep its error."""
    try:
        await work
    except OpenClawError as error:
        errors.append(error)
    else:
        raise AssertionError("it did not fail")


async def foreign(served: Gateway, token: Planted) -> None:
    """A client that puts the token where ours never does: into address, header, and the packet of the upgrade."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        f"GET /?token={urllib.parse.quote(token.text)} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token.text}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        + framed(encode(hello(token.text)))
    )
    await reader.readuntil(b"\r\n\r\n")
    await reader.read(1_000)
    writer.transport.abort()


# -- the command -----------------------------------------------------------------------------------


def command(folder: Path, arguments: list[str], env: dict[str, str]) -> bytes:
    """All that `openclaw-nb` says with these arguments and variables, in a Python that says all it can."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    kept |= {"PYTHONASYNCIODEBUG": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "openclaw_nb.cli", *arguments],
        capture_output=True, timeout=300, check=False, cwd=folder, env=kept | env,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_not_in_what_the_command_says(tmp_path: Path, figure: Figure) -> None:
    wrong, inside = Planted("a wrong token"), Planted("one in an address")
    key = Planted("a provider's key", plain=True)
    with Served(tmp_path) as served, MockOpenAI(status=400, message=f"bad key {key.text}") as provider:
        token = Planted("the gateway's token", core=served.token_file.read_text().strip())
        right, ask = {"OPENCLAW_GATEWAY_TOKEN": token.text}, ["ask", "what is 6*7?", "--to", served.url]
        lost = {"OPENAI_API_KEY": key.text, "OPENAI_BASE_URL": provider.url}
        bad = f"wss://user:{inside.text}@example.org"
        runs: dict[str, tuple[list[str], dict[str, str]]] = {
            "ask": (ask, right),
            "doctor": (["doctor", "--to", served.url], right | lost),
            "a provider": (["ask", "x", "--model", "openai-chat:gpt-5"], lost),
            "an unknown model": ([*ask, "--model", "no:model"], right | lost),
            "nobody there": (["ask", "x", "--to", "ws://127.0.0.1:9"], right),
            "a taken port": (["serve", "--port", str(served.port)], right),
            "a bad default": (["doctor"], {"OPENCLAW_GATEWAY_URL": bad}),
            "a bad address": (["ask", "x", "--to", bad], right),
            "refused": (ask, {"OPENCLAW_GATEWAY_TOKEN": wrong.text}),
        }
        assert served._process is not None
        process = psutil.Process(served._process.pid)
        with ThreadPoolExecutor(4) as pool:
            done = {name: pool.submit(command, tmp_path, *one) for name, one in runs.items()}
            said = {name: one.result() for name, one in done.items()}
            family = [process, *process.children(recursive=True)]
        for one in family:
            said[f"the arguments of {one.pid}"] = "\0".join(one.cmdline()).encode()
            said[f"the environment of {one.pid}"] = json.dumps(one.environ()).encode()
    assert b"42" in said["ask"]
    assert b"400 Bad Request" in said["a provider"]
    assert b"does not let us in" in said["refused"]
    assert not found([token, wrong, key, inside], said | files(tmp_path, served.token_file.name))
    figure(
        CASE,
        f"`openclaw-nb`: {len(runs)} commands that work, fail, are refused, arguments and environment of what serves: "
        "0 of 4 secrets found",
    )
