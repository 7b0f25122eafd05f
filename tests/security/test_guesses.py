"""Facts 28 to 30 of the design's list, from outside: guesses, scopes that clients grant themselves, foreign hosts."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from picows import ws_create_server

from openclaw_nb import door
from openclaw_nb.client import OpenClawClient
from openclaw_nb.door import GUESSES, LOCK, Door, Locked
from openclaw_nb.errors import AuthError, ConnectionLost
from openclaw_nb.gateway import Gateway, gateway
from openclaw_nb.protocol.frames import SCOPES, encode
from tests.security.hostile import HEADS, HOSTS, TARGETS
from tests.security.test_gateway import framed
from tests.served import Served
from tests.spine import Counted, asynchronous, hello, let_in, soon

Figure = Callable[[str, str], None]

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
REQUEST = ("GET / HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE).encode()
CODE = re.compile(rb'"code":"(AUTH_[A-Z_]+)"')


async def knock(host: str, port: int, frame: object, source: str | None = None) -> str:
    """Say one thing to a gateway: the code of its refusal, "in" if it lets us in; it must hang up otherwise."""
    local = (source, 0) if source else None
    reader, writer = await asyncio.open_connection(host, port, local_addr=local)
    writer.write(REQUEST + framed(encode(frame)))
    said = b""
    while b"hello-ok" not in said and b"\x03\xf0" not in said:  # 1008, as a close frame has it
        piece = await asyncio.wait_for(reader.read(65_536), 30)
        assert piece, said
        said += piece
    writer.transport.abort()
    found = CODE.search(said)
    return "in" if b"hello-ok" in said else found[1].decode() if found else "closed"


# -- tokens ----------------------------------------------------------------------------------------


@asynccontextmanager
async def on_every_loopback() -> AsyncIterator[tuple[Gateway, list[tuple[str, int, str | None]]]]:
    """A gateway with ways to it that differ in the peer's address: IPv4, several of them, IPv6, and IPv4 as IPv6."""
    async with Gateway(token="right") as served:
        ways: list[tuple[str, int, str | None]] = [("127.0.0.1", served.port, None)]
        if sys.platform == "linux":  # elsewhere loopback has one address only
            ways += [("127.0.0.1", served.port, f"127.0.0.{i}") for i in (2, 77)]
        extra = []
        for address in ("::1", "::ffff:127.0.0.1"):
            listener = socket.socket(socket.AF_INET6)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                listener.bind((address, 0))
            except OSError:  # no IPv6 here, or none that carries IPv4
                listener.close()
                continue
            extra.append(await ws_create_server(served._admit, sock=listener, use_aiofastnet=False))
            ways.append(("::1" if address == "::1" else "127.0.0.1", listener.getsockname()[1], None))
        yield served, ways
        for server in extra:
            server.close()


@asynchronous
async def test_a_thousand_guesses(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    """From all of loopback at once ten are looked at; then nobody comes in until the lock opens, and then ten again."""
    async with on_every_loopback() as (served, ways):
        peers: set[str] = set()
        admits = served._door.admits

        def noting(token: str | None, address: str, now: float) -> bytes | None:
            peers.add(address)
            return admits(token, address, now)

        monkeypatch.setattr(served._door, "admits", noting)

        def guess(i: int) -> Awaitable[str]:
            host, port, source = ways[i % len(ways)]
            return knock(host, port, hello(f"guess {i}"), source)

        async def guesses(count: int) -> Counter[str]:
            codes: Counter[str] = Counter()
            for start in range(0, count, 40):
                numbers = range(start, min(start + 40, count))
                codes.update(await asyncio.gather(*(guess(i) for i in numbers)))
            return codes

        began = time.monotonic()
        codes = await guesses(1_000)
        assert time.monotonic() - began < LOCK / 2, "too slow to tell"
        assert codes == {"AUTH_TOKEN_MISMATCH": GUESSES, "AUTH_RATE_LIMITED": 1_000 - GUESSES}
        assert len(peers) == len(ways)
        for host, port, source in ways:
            assert await knock(host, port, hello("right"), source) == "AUTH_RATE_LIMITED"
        with pytest.raises(ConnectionLost, match="too many wrong tokens"):
            await OpenClawClient(token="right").connect(served.url)

        later = SimpleNamespace(monotonic=lambda: time.monotonic() + LOCK, time=time.time)
        monkeypatch.setattr(gateway, "time", later)
        assert await knock(*ways[-1][:2], hello("right")) == "in"
        assert await guesses(20) == {"AUTH_TOKEN_MISMATCH": GUESSES, "AUTH_RATE_LIMITED": 20 - GUESSES}
    figure(
        "reliability 28",
        f"1,000 guesses from {len(peers)} addresses of loopback (IPv4, IPv6, IPv4 in IPv6): {GUESSES} looked at, "
        f"{1_000 - GUESSES} refused as too many, the right token too; open again after {LOCK:g} s",
    )


@asynchronous
async def test_no_wrong_empty_or_revoked_token(figure: Figure) -> None:
    async with (
        Gateway(model=Counted("one"), token="the-one-before") as served,
        OpenClawClient(token="the-one-before") as old,
    ):
        await old.connect(served.url)
        served.rotate_token()
        assert await knock("127.0.0.1", served.port, hello("the-one-before")) == "in"
        served.revoke_tokens()
        await soon(lambda: not old.connected, "the revoked one is thrown out")
        right = served.token
        wrong = {
            "no": None,
            "an empty": "",
            "a wrong": right[:-1],
            "a longer": right + "x",
            "a revoked": "the-one-before",
        }
        for kind, token in wrong.items():
            code = f"AUTH_TOKEN_{'MISMATCH' if token else 'MISSING'}"
            assert await knock("127.0.0.1", served.port, hello(token)) == code, kind
        for odd in ({}, {"password": right}, {"token": [right]}, right, {"token": None, "deviceToken": right}):
            assert await knock("127.0.0.1", served.port, hello(None, auth=odd)) != "in", odd
        with pytest.raises(AuthError):
            await old.reconnect()
        assert await knock("127.0.0.1", served.port, hello(served.token)) == "in"
    figure("reliability 28", f"{', '.join(wrong)} token: closed; who came in with one that is revoked is thrown out")


@pytest.mark.parametrize("given", ["one", "five", "wrong", "", "f", "fiv\0", "x" * 10_000, "\ud800", None])
def test_all_tokens_are_compared_in_full(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever matches, if any: the work is the same, and what is compared has always the same length."""
    compared: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return hmac.compare_digest(a, b)

    tokens = ["one", "two", "three", "four", "five"]
    doors = Door(tokens, "127.0.0.1")
    monkeypatch.setattr(door, "hmac", SimpleNamespace(compare_digest=compare, digest=hmac.digest))
    assert (doors.admits(given, "10.0.0.1", 0.0) is not None) == (given in tokens)
    assert compared == [(32, 32)] * len(tokens)


def test_a_host_with_many_addresses_is_one_guesser() -> None:
    """An IPv6 network of 2**64 addresses guesses ten times, and strangers by the million cannot make it forget that."""
    doors = Door(["right"], "::")
    refused = 0
    for i in range(20_000):
        try:
            doors.admits(f"guess {i}", f"2001:db8::{i:x}", 0.0)
        except Locked:
            refused += 1
    assert refused == 20_000 - GUESSES
    for i in range(1_500):
        try:
            doors.admits("guess", f"2001:db8:{i:x}::1", 0.0)
        except Locked:
            refused += 1
    with pytest.raises(Locked):
        doors.admits("right", "2001:db8::1", 1.0)


# -- scopes ----------------------------------------------------------------------------------------

WISHES = [
    [], ["admin"], ["*"], ["operator.*"], ["operator"], ["OPERATOR.WRITE"], ["operator.write "], ["operator.admin "],
    ["operator.write\0"], ["operator.approvals", "operator.pairing", "node.invoke"],
    ["operator.read,operator.write"], ["operator.admins"] * 1_000,
]  # fmt: skip
COVERED = {"operator.read": {"operator.read"}, "operator.write": {"operator.read", "operator.write"}}
GIFTS = {
    "permissions": {"operator.write": True, "*": True}, "commands": ["*"], "pathEnv": "/",
}  # fmt: skip
ODD: list[dict[str, object]] = [
    {"scopes": "operator.write"}, {"scopes": {"operator.write": True}}, {"scopes": [["operator.write"]]},
    {"scope": "operator.write"}, {"device": {"id": "x", "scopes": SCOPES}},
    *({"role": role} for role in ("node", "admin", "", "Operator", "operator ")),
]  # fmt: skip


@asynchronous
async def test_no_client_grants_itself_anything(figure: Figure) -> None:
    """Whatever it asks for beside, permissions, commands or a device: it gets what both sides know, or nothing."""
    tried = 0
    async with Gateway(model=Counted("one")) as served:
        for wish in WISHES:
            async with let_in(served, scopes=wish, **GIFTS) as raw:
                for method in served._methods:
                    reply = await raw.ask(method, f"{tried}", sessionKey="main", message="m", idempotencyKey="k")
                    assert reply["error"]["code"] == "FORBIDDEN", (wish, method)
                    tried += 1
                again = await raw.ask("connect", "again", **hello(served.token)["params"])
                assert not again["ok"]
                assert (await raw.ask("health", "still"))["error"]["code"] == "FORBIDDEN"
        for mine in SCOPES:
            async with let_in(served, scopes=[mine, "operator.admin ", "*"], **GIFTS) as raw:
                for method, (needed, _) in served._methods.items():
                    code = (await raw.ask(method, f"{tried}")).get("error", {}).get("code", "")
                    assert (code == "FORBIDDEN") == (needed not in COVERED[mine]), (mine, method)
                    tried += 1
        for odd in ODD:
            assert await knock("127.0.0.1", served.port, hello(served.token, **odd)) != "in", odd
            tried += 1
        assert len(served._runs) == 0
    figure(
        "reliability 29", f"{tried} calls with scopes, roles and gifts of the client's own: each refused unless granted"
    )


# -- where it listens, and under which name --------------------------------------------------------


async def status(port: int, request: str) -> int:
    """The status that a gateway answers a request with, 0 where it hangs up without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.format(port=port).encode())
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.transport.abort()
    return int(line.split()[1]) if line else 0


@asynchronous
async def test_no_foreign_name(figure: Figure) -> None:
    requests = [
        *(f"GET / HTTP/1.1\r\nHost: {host}\r\n" for host in HOSTS),
        *(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n" for target in TARGETS),
        *(f"GET / HTTP/1.1\r\n{head}" for head in HEADS),
    ]
    async with Gateway() as served:
        seen = await asyncio.gather(*(status(served.port, request + UPGRADE) for request in requests))
        for request, code in zip(requests, seen, strict=True):
            assert code in (0, 400, 403), request
        for host in ("127.0.0.1:{port}", "localhost", "LocalHost:{port}", "[::1]:{port}", "\t127.0.0.1 "):
            assert await status(served.port, f"GET / HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}") == 101, host
        assert await status(served.port, f"GET /any/path?query HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}") == 101
    figure("reliability 30", f"{len(requests)} requests under foreign or doubtful names: none got a WebSocket")


def listening(pid: int) -> set[str]:
    return {c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_it_listens_on_loopback_only(tmp_path: Path, figure: Figure) -> None:
    """What the command serves, as another process sees it."""
    with Served(tmp_path) as served:
        assert served._process is not None
        found = listening(served._process.pid)
    assert found
    assert all(ipaddress.ip_address(address).is_loopback for address in found)
    figure("reliability 30", f"`openclaw-nb serve` listens on {', '.join(sorted(found))}")
