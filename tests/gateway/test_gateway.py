"""Gateway: what foreign clients of both protocols get, its methods, and how it starts and goes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.events import Status
from openclaw_nb.gateway import Gateway, runs
from openclaw_nb.gateway import gateway as module
from openclaw_nb.models.base import ModelEvent, TextDelta
from openclaw_nb.runtime import new_loop
from tests.cluster.daemons import free_port
from tests.spine import Counted, Raw, asynchronous, let_in, on_both_loops, serving, soon


async def send(raw: Raw, key: str = "k", session: str = "main", message: str = "go", **more: Any) -> Any:
    return await raw.ask("chat.send", key, sessionKey=session, message=message, idempotencyKey=key, **more)


# -- a client of somebody else's -------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_a_foreign_client(protocol: int) -> None:
    async with (
        Gateway(model=Counted("one ", "two ", "three")) as gateway,
        let_in(gateway, low=protocol, high=protocol) as raw,
    ):
        reply = await send(raw, thinking="low")
        assert reply["payload"] == {"runId": "k", "status": "started"}
        told = []
        while (payload := await raw.event("chat"))["state"] == "delta":
            told.append(payload)
        whole = {"role": "assistant", "content": [{"type": "text", "text": "one two three"}]}
        if protocol == 4:
            assert "".join(payload["deltaText"] for payload in told) == "one two three"
        else:
            assert "deltaText" not in told[0]
        assert told[0]["message"]["content"][0]["text"].startswith("one ")
        assert told[-1]["message"]["content"] == payload["message"]["content"] == whole["content"]
        assert (payload["runId"], payload["sessionKey"], payload["state"]) == ("k", "agent:main:main", "final")
        assert payload["stopReason"] == "stop"
        seqs = [p["seq"] for p in (*told, payload)]
        assert seqs == sorted(set(seqs))
        assert (await send(raw, thinking="low"))["payload"]["status"] == "ok"
        assert (await raw.event("chat", state="final"))["message"]["content"] == whole["content"]


@asynchronous
async def test_frame_seq_is_contiguous() -> None:
    async with Gateway(model=Counted(*"abc", pause=0.01)) as gateway, let_in(gateway) as raw:
        await raw.send({
            "type": "req", "id": "1", "method": "chat.send",
            "params": {"sessionKey": "main", "message": "go", "idempotencyKey": "k", "pace": {"size": 1, "delay": 0}},
        })  # fmt: skip
        seqs, state = [], ""
        while state != "final":
            frame = await raw.read()
            if frame["type"] == "event":
                seqs.append(frame["seq"])
                state = frame["payload"].get("state")
        assert seqs == list(range(1, len(seqs) + 1))


@asynchronous
async def test_abort_by_run_and_by_session() -> None:
    async with Gateway(model=Counted("one ", until=asyncio.Event())) as gateway, let_in(gateway) as raw:
        for key, session in (("a", "main"), ("b", "agent:main:second"), ("c", "other")):
            await send(raw, key, session)
            await raw.event("chat", runId=key, state="delta")
        assert (await raw.ask("chat.abort", sessionKey="main", runId="c"))["payload"]["runIds"] == []
        assert (await raw.ask("chat.abort", sessionKey="agent:another:main"))["payload"]["runIds"] == []
        reply = await raw.ask("chat.abort", sessionKey="main", runId="a")
        assert reply["payload"] == {"ok": True, "aborted": True, "runIds": ["a"]}
        ended = await raw.event("chat", runId="a", state="aborted")
        assert ended["stopReason"] == "rpc"
        assert ended["message"]["content"][0]["text"] == "one "
        assert (await raw.ask("chat.abort", sessionKey="second"))["payload"]["runIds"] == ["b"]
        assert not (await raw.ask("chat.abort", sessionKey="second"))["payload"]["aborted"]
        assert (await raw.ask("chat.abort", sessionKey="agent:main:other"))["payload"]["runIds"] == ["c"]


@asynchronous
async def test_history() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        for i in range(3):
            await send(raw, f"{i}", message=f"q{i}")
            await raw.event("chat", state="final")
        whole = (await raw.ask("chat.history", sessionKey="agent:main:main"))["payload"]
        assert whole["sessionKey"] == "agent:main:main"
        texts = [(message["role"], message["content"][0]["text"]) for message in whole["messages"]]
        assert texts == [(who, text) for i in range(3) for who, text in (("user", f"q{i}"), ("assistant", "one"))]
        last = (await raw.ask("chat.history", sessionKey="main", limit=2))["payload"]["messages"]
        assert last == whole["messages"][-2:]
        assert (await raw.ask("chat.history", sessionKey="unknown"))["payload"]["messages"] == []


@asynchronous
async def test_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.05)
    async with Gateway() as gateway, let_in(gateway) as raw:
        first, second = await raw.event("tick"), await raw.event("tick")
        assert second["ts"] >= first["ts"] > 1_700_000_000_000


@asynchronous
async def test_a_run_goes_on_while_nobody_watches_and_is_resumed_by_another() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one ", "two", until=gate)) as gateway:
        async with let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
            await send(raw)
            await raw.event("chat", state="delta")
        gate.set()
        async with let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
            assert (await raw.ask("run.resume", runId="k", offset=2))["ok"]
            delta = await raw.event("chat", state="delta")
            assert (delta["offset"], delta["deltaText"]) == (2, "e two")
            assert (await raw.event("chat", state="final"))["length"] == 7
            missing = await raw.ask("run.resume", runId="unknown")
            assert missing["error"]["code"] == "NOT_FOUND"


@asynchronous
async def test_asking_twice_on_one_connection_tells_once() -> None:
    gate = asyncio.Event()
    async with (
        Gateway(model=Counted("one ", until=gate)) as gateway,
        let_in(gateway, caps=("nb.offset", "nb.resume")) as raw,
    ):
        for _ in range(5):
            await send(raw)
            await raw.ask("run.resume", runId="k", offset=0)
        run = gateway._runs.find("k")
        assert run is not None
        assert len(run.watchers) == 1
        gate.set()
        states = []
        while not states or states[-1] != "final":
            states.append((await raw.event("chat"))["state"])
        assert states.count("final") == 1
        assert not run.watchers


@asynchronous
async def test_a_handler_in_place_of_the_engine() -> None:
    async def echo(turn: Turn) -> AsyncIterator[ModelEvent]:
        yield TextDelta(f"{turn.agent}/{turn.session}/{turn.level}: {turn.message}")

    async with Gateway(handler=echo) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        assert await client.send("hi", session="a:b", agent="x", level=4) == "x/a:b/4: hi"
        assert (await client.request("health"))["runs"] == 1


# -- starting and going ----------------------------------------------------------------------------


@on_both_loops
async def test_it_starts_and_goes_as_often_as_one_likes() -> None:
    gateway = Gateway(model=Counted("one"), port=free_port())
    tokens = set()
    for _ in range(3):
        async with gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            assert await client.send("go") == "one"
            tokens.add(gateway.token)
            with pytest.raises(ConfigError, match="already listens"):
                await gateway.start()
        await gateway.close()
    assert len(tokens) == 1


@asynchronous
async def test_a_port_that_is_taken() -> None:
    async with Gateway() as first:
        second = Gateway(port=first.port)
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{first.port}"):
            await second.start()
        await second.close()


@asynchronous
async def test_on_every_loopback() -> None:
    for host in ("127.0.0.1", "localhost", "127.0.0.2", "::1"):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.bind(("127.0.0.1" if host == "localhost" else host, 0))
        except OSError:
            continue
        async with Gateway(model=Counted("one"), host=host) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            assert await client.send("go") == "one"


@on_both_loops
async def test_closing_ends_what_is_at_work_and_says_so() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with Gateway(model=model) as gateway:
        client = OpenClawClient(token=gateway.token, auto_reconnect=False)
        await client.connect(gateway.url)
        working = [client.send("go", session=f"{i}") for i in range(5)]
        await soon(lambda: all(run.text for run in working))
        async with let_in(gateway) as raw:
            await gateway.close()
            assert (await raw.event("shutdown"))["reason"] == "gateway stopping"
            with pytest.raises(ConnectionClosed) as end:
                await raw.read()
            assert end.value.rcvd is not None
            assert end.value.rcvd.code == 1012
        for run in working:
            with pytest.raises(RunError, match="the gateway was stopped") as failure:
                await run
            assert failure.value.code == "GATEWAY_STOPPED"
            assert failure.value.partial == "one "
            assert run.status is Status.FAILED
        assert model.closed == 5
        assert "0 connections, 0 runs" in repr(gateway)
        await client.close()


@on_both_loops
async def test_closing_does_not_wait_for_who_does_not_read() -> None:
    async with Gateway(model=Counted("x" * 5_000_000, until=asyncio.Event())) as gateway, let_in(gateway) as raw:
        raw.ws.transport.pause_reading()
        await raw.send({
            "type": "req", "id": "1", "method": "chat.send",
            "params": {"sessionKey": "main", "message": "go", "idempotencyKey": "k"},
        })  # fmt: skip
        await soon(lambda: next(iter(gateway._connections))._paused)
        await gateway.close()
        assert not gateway._connections
        raw.ws.transport.resume_reading()


@asynchronous
async def test_closing_does_not_wait_for_models_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STOP_TIMEOUT", 0.05)
    gate = asyncio.Event()

    async def stubborn(prompt: str) -> AsyncIterator[str]:
        yield "one"
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    async with serving(stubborn) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.text)
        task = gateway._runs.find(run.id).task  # type: ignore[union-attr]
        await gateway.close()
        gate.set()
        await asyncio.wait([task])


@asynchronous
async def test_connections_and_runs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETAIN", 0.05)
    async with Gateway(model=Counted("one")) as gateway:
        for _ in range(5):
            async with OpenClawClient(token=gateway.token) as client:
                await client.connect(gateway.url)
                assert await client.send("go") == "one"
                assert not client.flights
                assert not client._linked().first.session.runs
        await soon(lambda: "0 connections, 0 runs" in repr(gateway))
        assert gateway._runs._expiry is None


def test_a_port_that_is_none_is_a_sentence() -> None:
    for port in (99_999, -1):
        for loop in (new_loop, asyncio.new_event_loop):
            with (
                asyncio.Runner(loop_factory=loop) as runner,
                pytest.raises(
                    ConfigError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: a port is a number up to 65535$"
                ),
            ):
                runner.run(Gateway(port=port).start())
