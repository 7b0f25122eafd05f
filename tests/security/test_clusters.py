"""Fact of the design's list, 31, for clusters: the token of each goes to its own endpoints, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import Cluster, ClusterConfig, Endpoint, TokenReference
from openclaw_nb.config import cluster as module
from openclaw_nb.errors import OpenClawError
from openclaw_nb.gateway import Gateway
from openclaw_nb.tokens import TokenFile
from tests.spine import asynchronous, soon

FIRST, SECOND, OTHER = "t0ken-of-the-first-cluster", "t0ken-of-the-second-cluster", "t0ken-of-the-environment"


@asynccontextmanager
async def asked() -> AsyncIterator[tuple[str, list[Any]]]:
    """A gateway that lets nobody in: its address, and by what it was asked to."""
    came: list[Any] = []

    async def refuse(ws: ServerConnection) -> None:
        await ws.send(json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}))
        came.append(json.loads(await ws.recv())["params"].get("auth"))

    async with serve(refuse, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


@pytest.mark.parametrize("second", [SECOND, None])
@pytest.mark.parametrize("meant", ["", "agent://a", "agent://c", "ws://127.0.0.1:9"])
@asynchronous
async def test_each_cluster_sees_its_own_token(second: str | None, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cluster, and then the one that takes over; what the environment has is for who it says."""
    monkeypatch.setenv("FIRST", FIRST)
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", meant)
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", OTHER)
    if second:
        monkeypatch.setenv("SECOND", second)
    async with asked() as (one, by_one), asked() as (two, by_two):
        clusters = (
            Cluster("a", (Endpoint(one),), TokenReference("env:FIRST")),
            Cluster("b", (Endpoint(two),), TokenReference("env:SECOND") if second else None),
        )
        client = OpenClawClient(reconnect_delay=0.01, max_reconnect_attempts=3)
        with suppress(OpenClawError):
            await client.connect(*clusters)
        await soon(lambda: bool(by_one), "the first was asked")
        await client.close()
        with suppress(OpenClawError):
            await client.connect(Cluster("x", (Endpoint("ws://127.0.0.1:9"),)), clusters[1])
        await soon(lambda: bool(by_two), "the second was asked")
        await client.close()
    assert FIRST in json.dumps(by_one)
    assert FIRST not in json.dumps(by_two)
    assert OTHER not in json.dumps(by_one)
    assert (OTHER in json.dumps(by_two)) == (second is None and not meant)
    assert SECOND not in json.dumps(by_one)


def test_no_token_is_in_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", FIRST)
    config = ClusterConfig.parse(f"clusters: {{a: {{endpoints: [wss://a], token: env:FIRST}}}}\n{'#' * 5}")
    reference = config.cluster("a").token
    assert reference is not None
    assert reference.read() == FIRST
    for shown in (repr(config), str(config), repr(reference), str(reference), json.dumps(module.schema())):
        assert FIRST not in shown


@asynchronous
async def test_a_token_that_was_changed_is_read_again(tmp_path: Path) -> None:
    """Its file is rotated and the old one revoked, which ends the connection: the client comes back by the new one."""
    file = tmp_path / "token"
    tokens = TokenFile.ensure(file)
    async with Gateway("offline:0", token_file=file) as served, OpenClawClient(reconnect_delay=0.01) as client:
        await client.connect(Cluster("a", (Endpoint(served.url),), TokenReference(f"file:{file}")))
        assert "42" in await client.send("what is 6*7?")
        back: list[None] = []
        client.on("reconnected", lambda: back.append(None))
        tokens.rotate()
        tokens.revoke()
        await soon(lambda: bool(back), "it was put out, and came back")
        assert "48" in await client.send("what is 6*8?")
