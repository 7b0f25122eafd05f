"""The gateway's door on real sockets: hosts, guesses, and tokens that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ConfigError
from openclaw_nb.gateway import Gateway, gateway
from openclaw_nb.tokens import TokenFile
from tests.cluster.daemons import free_port
from tests.spine import Counted, asynchronous, dialled, let_in, on_both_loops, soon
from tests.strangers import UPGRADE, end_of, log_in, rest_of, stranger

# -- hosts -----------------------------------------------------------------------------------------


@asynchronous
async def test_the_host_header_names_this_gateway() -> None:
    async def answer(served: Gateway, *hosts: str) -> bytes:
        request = UPGRADE % b"\r\nHost: ".join(host.encode() for host in hosts) + b"\r\n"
        async with stranger(served, request) as reader:
            return await reader.readline()

    refused, taken = b"HTTP/1.1 403 Forbidden\r\n", b"HTTP/1.1 101 Switching Protocols\r\n"
    async with (
        Gateway(names=["gw.example.org"]) as near,
        Gateway(host="0.0.0.0", insecure=True, names=["gw.example.org"]) as far,
    ):
        for served in (near, far):
            for name in ("localhost", f"127.0.0.1:{served.port}", "[::1]:1", "GW.example.org:443"):
                assert await answer(served, name) == taken
            for name in ("evil.com", f"localhost.evil.com:{served.port}", "gw.example.org.evil.com", ""):
                assert await answer(served, name) == refused
            assert await answer(served, "localhost", "localhost") == refused, "two are none"
        assert await answer(near, "192.0.2.7") == refused
        assert await answer(far, "192.0.2.7:80") == taken, "no page's name, and where it really is"
        for headers in ({"Origin": "null"}, {"origin": "http://gw.example.org"}, {"Origin": ""}):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(f"ws://127.0.0.1:{far.port}", additional_headers=headers, proxy=None)
            assert refusal.value.response.status_code == 403


@asynchronous
async def test_who_comes_while_it_closes_is_not_waited_for() -> None:
    served = Gateway(model=Counted("one ", until=asyncio.Event()))
    await served.start()
    async with stranger(served) as reader, let_in(served) as raw:
        await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey="k")
        closing = asyncio.create_task(served.close())
        await asyncio.sleep(0)
        reader._transport.write(UPGRADE % b"localhost" + b"\r\n")  # type: ignore[attr-defined]
        assert b"101" not in await rest_of(reader)
        await closing
    assert not served._connections


@on_both_loops
async def test_a_crowd_that_comes_at_once_is_let_wait() -> None:
    """As after a restart: it is there before the loop looks once, and nobody is sent to try again later."""
    async with Gateway() as served:
        with contextlib.ExitStack() as crowd:
            sockets = [crowd.enter_context(socket.socket()) for _ in range(400)]
            for each in sockets:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", served.port))
            deadline = time.monotonic() + 60
            while len(select.select([], sockets, [], 1.0)[1]) < len(sockets):  # nobody is let in meanwhile
                assert time.monotonic() < deadline, "for some there is no room to wait"


# -- guesses ---------------------------------------------------------------------------------------


@asynchronous
async def test_guesses_from_all_of_loopback_are_one(figure: Callable[[str, str], None]) -> None:
    """IPv4, IPv4 mapped into IPv6 and IPv6, from many addresses: after ten not even the right token is looked at."""

    async def guess(address: str, source: str, token: str) -> tuple[Any, int]:
        local = (source, 0) if source else None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        options = {"host": address, "port": served.port, "local_addr": local, "family": family}
        async with dialled(served, server_hostname=None, **options) as raw:
            reply = await log_in(raw, token)
            return reply, (await end_of(raw))[0]

    ways = [("127.0.0.1", ""), ("::ffff:127.0.0.1", "")]
    for source in (f"127.0.0.{i}" for i in range(2, 6)):
        with contextlib.suppress(OSError), socket.socket() as probe:  # some systems have the first only
            probe.bind((source, 0))
            ways.append(("127.0.0.1", source))
    port, began = free_port(), time.monotonic()
    if any(family == socket.AF_INET6 for family, *_ in socket.getaddrinfo("localhost", port)):
        ways.append(("::1", ""))
    async with Gateway(token="right", host="localhost", port=port) as served:
        codes = []
        for i in range(40):
            reply, code = await guess(*ways[i % len(ways)], "right" if i > 30 else f"guess {i}")
            assert code == 1008
            codes.append(reply["error"]["details"]["code"])
        assert codes == ["AUTH_TOKEN_MISMATCH"] * 10 + ["AUTH_RATE_LIMITED"] * 30
        passed = 1_000 * (time.monotonic() - began)
        assert 59_999 - passed < reply["error"]["details"]["retryAfterMs"] <= 60_000
        assert list(served._door._guesses) == ["loopback"]
    figure(
        "reliability 28",
        f"40 tokens from {len(ways)} loopback addresses: 10 looked at, then none, the right one included",
    )


@asynchronous
async def test_behind_a_balancer_guesses_are_counted_by_client() -> None:
    """A client that guesses is locked out by itself, whatever it adds to the header; of any other peer that is air."""

    async def knock(served: Gateway, forwarded: str, token: str) -> str:
        async with dialled(served, additional_headers={"X-Forwarded-For": forwarded}) as raw:
            reply = await log_in(raw, token)
            return "in" if reply["ok"] else str(reply["error"]["details"]["code"])

    async with Gateway(token="right", trusted_proxies=["127.0.0.0/8"]) as served:
        codes = [await knock(served, f"198.51.100.{i}, 203.0.113.7", "a guess") for i in range(12)]
        assert codes == ["AUTH_TOKEN_MISMATCH"] * 10 + ["AUTH_RATE_LIMITED"] * 2
        assert await knock(served, "203.0.113.7", "right") == "AUTH_RATE_LIMITED"
        assert await knock(served, "203.0.113.8", "right") == "in"
    async with Gateway(token="right") as served:
        codes = [await knock(served, f"203.0.113.{i}", "a guess") for i in range(12)]
        assert codes == ["AUTH_TOKEN_MISMATCH"] * 10 + ["AUTH_RATE_LIMITED"] * 2


# -- tokens that come and go -----------------------------------------------------------------------


@on_both_loops
async def test_a_token_is_rotated_and_revoked_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(gateway, "LOOK", 0.05)
    path = tmp_path / "token"
    async with Gateway(token_file=path) as served:
        old = served.token
        async with let_in(served) as before:
            TokenFile(path).rotate()
            new = served.token
            assert new != old
            async with dialled(served) as late, let_in(served) as after:
                assert (await log_in(late, old))["ok"], "for who has not heard of the new one yet"
                began = time.monotonic()
                TokenFile(path).revoke()
                for raw in (before, late):
                    assert await end_of(raw) == (1008, "the token was revoked")
                seconds = time.monotonic() - began
                assert (await after.ask("health"))["ok"]
                async with dialled(served) as again:
                    reply = await log_in(again, old)
                    assert reply["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
                    assert (await end_of(again))[0] == 1008
                assert (await after.ask("health"))["ok"]
    assert path.read_text() == f"{new}\n"
    figure(
        "reliability 28", f"two connections of a revoked token closed {seconds * 1000:.0f} ms after it (looks: 50 ms)"
    )


@asynchronous
async def test_a_login_sees_the_newest_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the next look."""
    monkeypatch.setattr(gateway, "LOOK", 3_600)
    async with Gateway(token_file=tmp_path / "token") as served, let_in(served) as before:
        TokenFile(tmp_path / "token").rotate()
        TokenFile(tmp_path / "token").revoke()
        async with let_in(served):
            assert await end_of(before) == (1008, "the token was revoked")


@asynchronous
async def test_a_gateway_that_comes_back_knows_its_clients(tmp_path: Path) -> None:
    path = tmp_path / "token"
    async with (
        Gateway(token_file=path, model=Counted("one"), port=free_port()) as first,
        OpenClawClient(token=first.token) as client,
    ):
        await client.connect(first.url)
        await first.close()
        async with Gateway(token_file=os.fspath(path), port=first.port, model=Counted("two")) as second:
            assert second.token == first.token
            await soon(lambda: second._connections, "coming back")
            assert await client.send("go") == "two"
            await client.close()


@asynchronous
async def test_a_file_that_is_gone_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway, "LOOK", 0.01)
    path = tmp_path / "token"
    async with Gateway(token_file=path) as served, let_in(served) as raw:
        path.unlink()
        await soon(lambda: caplog.records)
        await asyncio.sleep(0.1)
        assert [record.getMessage() for record in caplog.records] == [
            f"{path}: No such file or directory; the tokens known before stay valid"
        ]
        assert (await raw.ask("health"))["ok"]
        async with let_in(served) as other:
            assert (await other.ask("health"))["ok"]


@asynchronous
async def test_tokens_in_memory_are_rotated_and_revoked_too() -> None:
    async with Gateway(token="first") as served, let_in(served) as before:
        with pytest.raises(ConfigError, match="only one token"):
            served.revoke_tokens()
        served.rotate_token()
        assert served.token != "first"
        async with dialled(served) as raw, let_in(served) as after:
            assert (await log_in(raw, "first"))["ok"]
            served.revoke_tokens()
            assert await end_of(before) == await end_of(raw) == (1008, "the token was revoked")
            assert (await after.ask("health"))["ok"]


@asynchronous
async def test_a_client_whose_token_was_revoked_ends_and_locks_nobody_out() -> None:
    async with Gateway(token="first") as served, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(OpenClawClient(token="first")) for _ in range(12)]
        for client in clients:
            await client.connect(served.url)
        served.rotate_token()
        served.revoke_tokens()
        await soon(lambda: all(client._linked().first.link.ended for client in clients), "the end of them all")
        with pytest.raises(AuthError):
            await clients[0].request("health")
        async with let_in(served) as raw:
            assert (await raw.ask("health"))["ok"]


def test_a_token_is_given_or_kept_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not both"):
        Gateway(token="secret", token_file=tmp_path / "token")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="No such file or directory"):
        Gateway(token_file=tmp_path / "nowhere" / "token")
