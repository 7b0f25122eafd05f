"""Facts of the design's list, 31 and 32: where a token may go, and addresses that ask nobody.

Wherever a token must not go there stands a real server that would see it come.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import AgentURI
from openclaw_nb.errors import ConfigError, ConnectionLost, ProtocolError
from openclaw_nb.gateway import Gateway
from openclaw_nb.render import bundle
from tests.security.hostile import ADDRESSES, LOOPBACK_LIKE
from tests.security.recorder import Recorder
from tests.spine import asynchronous, soon

TOKEN = "t0ken-that-belongs-to-one-gateway"
Figure = Callable[[str, str], None]

PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "all", "ws", "wss", "socks")]


# -- what looks like loopback ----------------------------------------------------------------------


def test_nothing_but_loopback_gets_a_token_in_clear(figure: Figure) -> None:
    for host in LOOPBACK_LIKE:
        for text in (f"ws://{host}", f"ws://{host}:18789/", f"WS://{host}/path"):
            with pytest.raises(ConfigError):
                AgentURI.parse(text)
    figure("reliability 31", f"{len(LOOPBACK_LIKE)} spellings that only look like loopback: all refused")


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


# -- redirects, proxies, and what a gateway says ---------------------------------------------------


@asynchronous
async def test_no_token_follows_a_redirect(figure: Figure) -> None:
    """To other ports, to other schemes, to the same host: nobody comes there, and who redirects gets no token."""
    tried = 0
    with Recorder() as elsewhere:
        for status in (300, 301, 302, 303, 307, 308, 401, 407):
            for place in ("ws://127.0.0.1:{}/", "http://127.0.0.1:{}/", "//localhost:{}/", "ws://a:b@127.0.0.1:{}/"):
                answer = (
                    f"HTTP/1.1 {status} Go\r\nLocation: {place.format(elsewhere.port)}\r\nContent-Length: 0\r\n"
                    f'WWW-Authenticate: Basic realm="x"\r\nRefresh: 0; url={place.format(elsewhere.port)}\r\n\r\n'
                )
                with Recorder(answer.encode()) as front:
                    with pytest.raises(ProtocolError, match=f"HTTP {status}"):
                        await OpenClawClient(token=TOKEN).connect(f"ws://127.0.0.1:{front.port}/path")
                    assert front.came
                    assert TOKEN.encode() not in front.bytes
                tried += 1
        assert not elsewhere.came
    figure("reliability 31", f"{tried} redirects: nobody came where they point to, nor had a token where they stood")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@asynchronous
async def test_no_token_passes_a_proxy_on_its_way_to_loopback(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("there is no IPv6 loopback here")
    with Recorder() as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with Gateway(token=TOKEN, host=host) as served, OpenClawClient(token=TOKEN) as client:
            await client.connect(served.url)
            assert (await client.request("health"))["ok"]
            await client.reconnect()
        with pytest.raises(ConnectionLost):
            await OpenClawClient(token=TOKEN).connect(served.url.replace("ws://", "wss://"))
        assert not proxy.came


@asynchronous
async def test_a_proxy_elsewhere_sees_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway elsewhere may be reached through a proxy: it is asked for a tunnel, and sees no more than TLS."""
    with Recorder(b"HTTP/1.1 200 OK\r\n\r\n") as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY", "socks_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises((ConnectionLost, ProtocolError)):
            await OpenClawClient(token=TOKEN).connect("wss://gateway.example:444")
        assert proxy.bytes.startswith(b"CONNECT gateway.example:444 ")
        assert TOKEN.encode() not in proxy.bytes


@asynchronous
async def test_no_gateway_sends_a_token_elsewhere(figure: Figure) -> None:
    """All that a gateway can say holds addresses; the client comes back to the one it was given, and only there."""
    given: list[str] = []

    async def hostile(ws: ServerConnection) -> None:
        async def say(**frame: Any) -> None:
            await ws.send(json.dumps(frame))

        url = f"ws://127.0.0.1:{elsewhere.port}/"
        lure = dict.fromkeys(("url", "uri", "gatewayUrl", "gateway", "reconnectUrl", "location", "redirect"), url)
        await say(type="event", event="connect.challenge", payload={"nonce": url, "ts": 1, **lure})
        connect = json.loads(await ws.recv())
        given.append(connect["params"]["auth"]["token"])
        hello = {
            "type": "hello-ok", "protocol": 4, "server": lure, "features": lure, "policy": lure, "snapshot": lure,
            "auth": {"deviceToken": "x", **lure}, **lure,
        }  # fmt: skip
        await say(type="res", id=connect["id"], ok=True, payload=hello, **lure)
        if len(given) > 1:
            await ws.wait_closed()
            return
        while "idempotencyKey" not in (request := json.loads(await ws.recv()))["params"]:
            await say(type="res", id=request["id"], ok=False, error={"code": "INVALID_REQUEST", "message": url}, **lure)
        run_id = request["params"]["idempotencyKey"]
        await say(type="res", id=request["id"], ok=True, payload={"runId": run_id, "status": "started", **lure})
        text = f"%openclaw connect {url}\n\n[click]({url}) ![x]({url.replace('ws', 'http')})\n\n<img src='{url}'>"
        chat = {"runId": run_id, "sessionKey": "agent:main:main", "deltaText": text, "message": {"content": text}}
        await say(type="event", event="chat", payload={**chat, "state": "delta", **lure}, seq=1)
        await say(type="event", event="gateway.redirect", payload=lure)
        await say(type="event", event="chat", payload={**chat, "state": "final", **lure}, seq=2)
        await say(type="event", event="shutdown", payload={"reason": url, **lure})
        await ws.close(1012, url)

    with Recorder() as elsewhere:
        async with serve(hostile, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with OpenClawClient(token=TOKEN, reconnect_delay=0.01) as client:
                await client.connect(f"ws://127.0.0.1:{port}")
                run = client.send("where?")
                assert "%openclaw connect" in await run
                bundle(run)
                await soon(lambda: len(given) > 1, "it came back")
        assert not elsewhere.came
    assert set(given) == {TOKEN}
    figure("reliability 31", "a gateway that names another address in all it says: the token stays where it was sent")


@pytest.mark.parametrize(
    "meant", ["ws://127.0.0.1:{port}", "WS://127.0.0.1:{port}/", "wss://gateway.example", "wss://["]
)
@asynchronous
async def test_the_token_of_the_environment_goes_to_its_gateway_only(
    meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OPENCLAW_GATEWAY_URL names a gateway, or tries to, OPENCLAW_GATEWAY_TOKEN is for no other."""
    asked: list[dict[str, Any]] = []

    async def other(ws: ServerConnection) -> None:
        await ws.send(json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}))
        asked.append(json.loads(await ws.recv()))

    async with Gateway(token=TOKEN) as served, serve(other, "127.0.0.1", 0) as server:
        monkeypatch.setenv("OPENCLAW_GATEWAY_URL", meant.format(port=served.port))
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", TOKEN)
        with pytest.raises(ConnectionLost):
            await OpenClawClient().connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        if "{port}" in meant:
            async with OpenClawClient() as client:
                await client.connect(served.url)
    assert len(asked) == 1
    assert TOKEN not in json.dumps(asked)


@asynchronous
async def test_no_token_is_sent_to_who_only_looks_like_a_gateway() -> None:
    """A token leaves after a whole WebSocket handshake and the gateway's challenge."""
    for answer in (b"200 OK\r\nContent-Length: 0", b"101 Go\r\nUpgrade: websocket", b"\0"):
        with Recorder(b"HTTP/1.1 " + answer + b"\r\n\r\n") as front:
            with pytest.raises((ProtocolError, ConnectionLost)):
                await OpenClawClient(token=TOKEN).connect(f"ws://127.0.0.1:{front.port}")
            assert TOKEN.encode() not in front.bytes


# -- addresses that ask nobody ---------------------------------------------------------------------

PROBE = """
import asyncio, contextlib, io, json, socket, sys, time

import openclaw_nb.runtime, openclaw_nb.render, pydantic_ai  # what is imported later would open files
from openclaw_nb import cli
from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import AgentURI
from openclaw_nb.errors import ConfigError
from openclaw_nb.runtime import Runtime

ASKED = ("socket.getaddrinfo", "socket.gethostby", "socket.connect", "socket.sendto", "urllib.", "http.", "subprocess.",
         "os.system", "os.exec", "os.posix_spawn", "ctypes.dlopen", "webbrowser.")
asked = []


def watch(event, arguments):
    opened = str(arguments[0]) if event == "open" else ""
    if event.startswith(ASKED) or any(name in opened for name in ("passwd", "docker", "/tmp/x")):
        asked.append(f"{event}{arguments}")


def ways(text):
    yield lambda: AgentURI.parse(text)
    yield lambda: asyncio.run(OpenClawClient(token="t").connect(text))
    yield lambda: Runtime.shared().client(text or " ", "t")


sys.addaudithook(watch)
Runtime.shared()
found = []
for text in json.load(sys.stdin):
    slowest, sentences = 0.0, []
    for way in ways(text):
        began = time.thread_time()
        try:
            sentences.append(f"taken as {way()}")
        except ConfigError as error:
            slowest = max(slowest, time.thread_time() - began)
            sentences.append(str(error))
    found.append([slowest, sentences])
said = io.StringIO()
with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
    codes = [cli.main(["ask", "x", "--to", text]) for text in ("agent://s3cret@169.254.169.254", "ws://e?s3cret")]
Runtime.shared().close()
seen = list(asked)
socket.getaddrinfo("localhost", 1)  # this one must be seen
seen = {"asked": seen, "watched": asked != seen, "found": found, "codes": codes, "said": said.getvalue()}
json.dump(seen, sys.stdout)
"""


def test_hostile_addresses_are_refused_without_asking_anybody(figure: Figure, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")}
    root = Path(__file__).parents[2]
    probe = subprocess.run(
        [sys.executable, "-c", PROBE], input=json.dumps(ADDRESSES), capture_output=True, text=True, timeout=300,
        cwd=tmp_path, env=env | {"PYTHONPATH": os.pathsep.join([str(root), env.get("PYTHONPATH", "")])}, check=False,
    )  # fmt: skip
    assert probe.returncode == 0, probe.stderr
    seen = json.loads(probe.stdout)
    assert seen["watched"], "the watch sees nothing at all"
    assert seen["asked"] == []
    for text, (_, sentences) in zip(ADDRESSES, seen["found"], strict=True):
        for sentence in sentences:
            assert not sentence.startswith("taken as"), text[:100]
            assert sentence.isprintable()
            assert len(sentence) < 300
            assert "s3cret" not in sentence
    assert seen["codes"] == [1, 1]
    assert "s3cret" not in seen["said"]
    slowest = max(seconds for seconds, _ in seen["found"])
    assert slowest < 0.1
    figure(
        "reliability 32 (addresses)",
        f"{len(ADDRESSES)} hostile addresses by three ways: ConfigError each, the slowest after "
        f"{slowest * 1000:.1f} ms of CPU (asked: 100); names looked up, connections made: 0",
    )
