"""Probes by plain HTTP: what a balancer is told, what a page that rebinds a name is not, and what is no probe."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest

from openclaw_nb.gateway import Gateway
from tests.gateway.test_draining import go_on
from tests.spine import Counted, asynchronous, let_in, on_both_loops, soon
from tests.strangers import UPGRADE, rest_of, stranger


async def probe(served: Gateway, path: str, *headers: str, host: str = "127.0.0.1") -> tuple[int, Any]:
    """The status and the body of an answer, after which the gateway hangs up."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers]
    async with stranger(served, "".join(f"{line}\r\n" for line in (*lines, "")).encode()) as reader:
        head, _, body = (await rest_of(reader)).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    if not body.startswith(b"{"):
        return int(head.split()[1]), body.decode()
    assert b"Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store" in head
    return int(head.split()[1]), json.loads(body)


@on_both_loops
async def test_it_lives_and_takes_work() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one", until=gate)) as gateway:
        for path in ("/health", "/healthz", "/healthz?verbose=1"):
            assert await probe(gateway, path) == (200, {"ok": True, "status": "live"})
        told = {"ok": True, "status": "ready", "runs": 0, "connections": 0, "instance": gateway.instance}
        for path in ("/ready", "/readyz"):
            assert await probe(gateway, path) == (200, told | {"shared": None})
        async with let_in(gateway) as raw:
            await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey="k")
            _, facts = await probe(gateway, "/readyz")
            assert (facts["runs"], facts["connections"]) == (1, 1)
        gate.set()
        await soon(lambda: not gateway._connections)
        assert not gateway._strangers, "who only asks is no connection"


@asynchronous
async def test_figures_are_for_who_is_let_in_by_the_door() -> None:
    async with Gateway(names=["gw.example.org"]) as gateway:
        for host, headers in (("evil.com", ()), ("127.0.0.1", ("Origin: http://127.0.0.1",)), ("10.0.0.7:18789", ())):
            assert await probe(gateway, "/readyz", *headers, host=host) == (200, {"ok": True, "status": "ready"})
            assert await probe(gateway, "/healthz", *headers, host=host) == (200, {"ok": True, "status": "live"})
        assert "runs" in (await probe(gateway, "/readyz", host="gw.example.org"))[1]
        whole = json.dumps(await probe(gateway, "/readyz"))
        assert gateway.token not in whole


@asynchronous
async def test_what_is_no_probe_is_refused_as_before() -> None:
    async with Gateway() as gateway:
        assert (await probe(gateway, "/"))[0] == HTTPStatus.BAD_REQUEST
        assert (await probe(gateway, "/readyz/x"))[0] == HTTPStatus.BAD_REQUEST
        assert (await probe(gateway, "//readyz"))[0] == HTTPStatus.FORBIDDEN
        assert (await probe(gateway, "/", host="evil.com"))[0] == HTTPStatus.FORBIDDEN
        upgrade = UPGRADE.replace(b"GET / ", b"GET /readyz ")
        for host, answer in {b"localhost": b"HTTP/1.1 101 ", b"evil.com": b"HTTP/1.1 403 "}.items():
            async with stranger(gateway, upgrade % host + b"\r\n") as reader:
                assert await reader.readexactly(len(answer)) == answer


@asynchronous
async def test_it_takes_no_work_before_and_while_it_leaves() -> None:
    gateway = Gateway()
    assert gateway._standing().status == "starting"
    await gateway.start()
    drain = asyncio.create_task(gateway.drain(grace=3_600))
    await asyncio.sleep(0)
    status, facts = await probe(gateway, "/readyz")
    assert (status, facts["ok"], facts["status"]) == (503, False, "draining")
    assert facts["reason"] == "this gateway is about to restart and takes no new work"
    assert (await probe(gateway, "/healthz"))[0] == 200
    go_on(drain)
    await drain
    assert gateway._standing().status == "closing"
    with pytest.raises(ConnectionRefusedError):
        await probe(gateway, "/readyz")
