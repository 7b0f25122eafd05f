"""Runs that are stopped, repeated, read too slowly or sent into nothing: what came is kept, and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient, inflight, pulse
from openclaw_nb.errors import RequestError, RunError, RunTimeout
from openclaw_nb.events import Delta, Status
from openclaw_nb.gateway import Gateway, desk, runs
from openclaw_nb.gateway.connection import HIGH_WATER
from openclaw_nb.protocol.runlog import LONGEST_DELTA
from tests.faults.kinds import CLIENT, GATEWAY, CutAfter, CutAtByte, How, Split
from tests.faults.proxy import FaultProxy, abreast, behind
from tests.spine import Counted, asynchronous, let_in, on_both_loops, serving, soon

Figure = Callable[[str, str], None]


async def last_message(client: OpenClawClient, session: str) -> Any:
    history = await client.request("chat.history", {"sessionKey": session})
    return history["messages"][-1]["content"][0]["text"] if history["messages"] else None


# -- stopped ---------------------------------------------------------------------------------------


@on_both_loops
async def test_cancelled_at_every_delta(monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    for waiter in (inflight, desk, runs):  # each is confirmed as soon as its model has ended, or never ends
        monkeypatch.setattr(waiter, "STOP_TIMEOUT", 1_000.0)
    pieces = [f"{i} " for i in range(100)]
    gate = asyncio.Event()
    model = Counted(*pieces, pause=0.001, until=gate)
    waits: list[float] = []

    async def cancel_at(k: int, client: OpenClawClient) -> None:
        run = client.send("go", session=f"s{k}")
        asked = 0.0

        def stop(event: object) -> None:
            nonlocal asked
            if isinstance(event, Delta) and event.tokens > k and not asked:
                asked = time.monotonic()
                run.cancel()

        run.subscribe(stop)
        result = await run
        waits.append(time.monotonic() - asked)
        assert result.status is Status.STOPPED
        assert result.words == "stopped by you"
        assert result.startswith("".join(pieces[: k + 1]))
        assert result.usage.output_tokens == len(result.split()), "what came is counted"
        assert result == await last_message(client, f"s{k}")
        assert result.snapshot, "the history stands at what was kept"

    async with serving(model, token_batch_size=1) as (_, client):
        for start in range(0, 100, 4):
            await asyncio.gather(*(cancel_at(k, client) for k in range(start, start + 4)))
        assert model.closed == model.calls == 100
        gate.set()
        assert await client.send("go") == "".join(pieces), "the connection is as good as new"
    figure("reliability 13", f"stopped at each of 100 deltas, {max(waits) * 1000:.0f} ms later at most")


@asynchronous
async def test_cancelled_before_anything_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 1_000.0)  # it is confirmed
    model = Counted(pause=0, until=asyncio.Event())
    async with serving(model) as (_, client):
        run = client.send("go")
        run.cancel("not wanted")
        result = await run
        assert (result, result.status, result.words) == ("", Status.STOPPED, "not wanted")
        later = client.send("go")
        await soon(lambda: model.calls)
        later.cancel()
        assert await later == ""
        assert await last_message(client, "main") is None
        assert model.closed == model.calls


@asynchronous
async def test_cancelled_from_another_thread() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with serving(model) as (_, client):
        run = client.send("go")
        await soon(lambda: run.text)
        threads = [threading.Thread(target=run.cancel) for _ in range(5)]
        for thread in threads:
            thread.start()
        assert await run == "one "
        for thread in threads:
            thread.join()
        run.cancel()  # long over
        await soon(lambda: model.closed == 1, "stopping the model")


@asynchronous
async def test_stopped_while_the_link_is_down() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with behind(model) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        proxy.cut()
        await soon(lambda: run.status is Status.RECONNECTING)
        run.cancel()
        assert await run == "one "
        await soon(lambda: model.closed, "stopping the model once there was a link again")


@asynchronous
async def test_a_model_that_ignores_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = 0

    async def stubborn(prompt: str) -> AsyncIterator[str]:
        nonlocal closed
        try:
            while True:
                yield "more "
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.005)
        finally:
            closed += 1

    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 1_000.0)  # it is confirmed
    async with serving(stubborn) as (_, client):
        run = client.send("go")
        await soon(lambda: run.text)
        run.cancel()
        result = await run
        assert result.status is Status.STOPPED
        assert closed == 1
        assert result == await last_message(client, "main")


@asynchronous
async def test_a_stop_the_gateway_never_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 0.05)
    model = Counted("one ", until=asyncio.Event())
    async with behind(model) as (proxy, client):
        proxy.faults.append(CutAfter(1, how=How.SILENCE))
        await client.reconnect()
        run = client.send("go")
        await soon(lambda: run.text)
        run.cancel()
        assert await run == "one "
        proxy.cut()
        await soon(lambda: model.closed, "stopping the model once there was a link again")
        assert await client.request("health")


@asynchronous
async def test_time_limit() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with serving(model) as (_, client):
        for limit in (0.5, 2.5, 12.5):  # the first in which something came, however busy the machine is
            run = client.send("go", timeout=limit)
            with pytest.raises(RunTimeout, match=rf"time limit of {limit} s was reached") as failure:
                await run
            if failure.value.partial:
                break
        assert failure.value.partial == "one "
        assert isinstance(failure.value, TimeoutError)
        await soon(lambda: model.closed == model.calls, "stopping the model")


# -- repeated --------------------------------------------------------------------------------------


@asynchronous
async def test_a_lost_reply_and_the_same_key_is_one_call_of_the_model(figure: Figure) -> None:
    model = Counted("one ", "two ")
    lost = 0

    async def repeat(these: range, proxy: FaultProxy, client: OpenClawClient) -> None:
        nonlocal lost
        for i in these:
            proxy.now(CutAfter(0, "res", how=(How.RESET, How.CLOSE)[i % 2]))
            key = {"idempotency_key": f"key {i}", "session": f"{i}"}
            assert await client.send("go", **key) == "one two "
            assert await client.send("go", **key) == "one two "
        lost += proxy.struck.total()

    async with abreast(model, 5) as pairs:
        await asyncio.gather(*(repeat(range(i, 1_000, 5), *pair) for i, pair in enumerate(pairs)))
    assert model.calls == lost == 1_000
    figure("reliability 6", f"{lost:,} requests whose reply was lost, each sent again: {model.calls:,} model calls")


@asynchronous
async def test_the_same_key_from_many_at_once() -> None:
    model = Counted("one ", "two ", pause=0.01)
    async with serving(model) as (gateway, client), OpenClawClient(token=gateway.token) as other:
        await other.connect(gateway.url)
        runs = [one.send("go", idempotency_key="k") for one in (client, other) * 20]
        assert {str(await run) for run in runs} == {"one two "}
        assert client.send("go", idempotency_key="k") is not runs[0]
    assert model.calls == 1


@asynchronous
async def test_the_same_key_for_something_else_is_refused() -> None:
    gate = asyncio.Event()
    async with serving(Counted("one ", until=gate)) as (_, client):
        run = client.send("go", idempotency_key="k")
        with pytest.raises(RequestError, match="already used"):
            client.send("another", idempotency_key="k")
        assert client.send("go", idempotency_key="k") is run
        gate.set()
        await run
        for other in ({"prompt": "another"}, {"model": "m"}, {"session": "other"}):
            with pytest.raises(RunError, match="already used"):
                await client.send(**{"prompt": "go", "idempotency_key": "k"} | other)


# -- read slowly, or not at all --------------------------------------------------------------------


@on_both_loops
async def test_a_reader_that_does_not_read() -> None:
    pieces = [f"{i:06}" * 2_000 for i in range(2_500)]  # 30 MB, more than the buffers of two sockets
    model = Counted(*pieces)
    async with Gateway(model=model) as gateway, let_in(gateway, caps=("nb.offset",)) as raw:
        raw.ws.transport.pause_reading()
        (connection,) = gateway._connections
        transport = connection._transport.underlying_transport  # type: ignore[union-attr]
        await raw.send({
            "type": "req", "id": "1", "method": "chat.send",
            "params": {"sessionKey": "main", "message": "go", "idempotencyKey": "k"},
        })  # fmt: skip
        held = 0
        while not model.closed:
            await asyncio.sleep(0.005)
            held = max(held, transport.get_write_buffer_size())
        raw.ws.transport.resume_reading()
        assert held <= HIGH_WATER + 2 * LONGEST_DELTA
        text, frames = "", 0
        while True:
            payload = await raw.event("chat")
            if payload["state"] != "delta":
                break
            assert payload["offset"] == len(text)
            assert len(payload["deltaText"]) <= LONGEST_DELTA
            text, frames = text + payload["deltaText"], frames + 1
        assert text == "".join(pieces)
        assert payload["length"] == len(text)
        assert frames < 1_000, "deltas for a slow reader are joined"


@asynchronous
async def test_a_slow_link_loses_nothing() -> None:
    pieces = [f"{i} " for i in range(3_000)]
    async with behind(Counted(*pieces), token_batch_size=10) as (proxy, client):
        proxy.faults.append(Split(2_000, 0.002))
        await client.reconnect()
        assert await client.send("go") == "".join(pieces)


@pytest.mark.parametrize(("how", "toward"), [(How.SILENCE, GATEWAY), (How.MUTE, CLIENT), (How.MUTE, GATEWAY)])
@asynchronous
async def test_a_link_that_swallows_everything_is_noticed(
    monkeypatch: pytest.MonkeyPatch, figure: Figure, how: How, toward: str
) -> None:
    monkeypatch.setattr(pulse, "PING", 0.5)
    monkeypatch.setattr(pulse, "PONG", 0.5)
    clock = asyncio.get_running_loop().time
    gate = asyncio.Event()
    waits: dict[FaultProxy, float] = {}  # until it is noticed; a busy machine may cut the next link too
    async with abreast(Counted("one ", "two ", until=gate), 100) as pairs:
        runs = [client.send("go", session=f"{i}") for i, (_, client) in enumerate(pairs)]
        await soon(lambda: all(run.text == "one two " for run in runs))
        for proxy, client in pairs:
            since = clock()
            client.on("error", lambda _, proxy=proxy, since=since: waits.setdefault(proxy, clock() - since))
            proxy.now(CutAtByte(0, None, how, toward=toward))
            await asyncio.sleep(0.01)  # or all of them would come back in one moment, and wait for one another
        await soon(lambda: len(waits) == 100)
        gate.set()
        assert {str(await run) for run in runs} == {"one two "}
    slowest = max(waits.values())
    assert slowest < 50, "by the client, not by the gateway, which pings after a minute"
    where = "both ways" if how is How.SILENCE else f"to the {toward}"
    figure("reliability 7", f"100 of 100 silent links ({where}) noticed, {slowest:.2f} s later at most (0.5 + 0.5)")


# -- joined ----------------------------------------------------------------------------------------


async def deltas_of(client: OpenClawClient) -> list[Delta]:
    deltas: list[Delta] = []
    run = client.send("go")
    run.subscribe(lambda event: deltas.append(event) if isinstance(event, Delta) else None)
    await run
    return deltas


@asynchronous
async def test_deltas_are_batched_and_the_first_comes_alone() -> None:
    async with serving(Counted(*"abcdefghijklmnopqrstu"), token_batch_delay=60.0) as (_, client):
        assert [delta.text for delta in await deltas_of(client)] == ["a", "bcdefghijk", "lmnopqrstu"]
        client.token_batch_size = 1
        assert len(await deltas_of(client)) == 21


@asynchronous
async def test_what_waits_long_enough_leaves_before_the_batch_is_full() -> None:
    gate = asyncio.Event()
    async with serving(Counted("a", "b", "c", until=gate), token_batch_delay=0.01) as (_, client):
        run = client.send("go")
        await soon(lambda: run.text == "abc")
        gate.set()
        await run


@asynchronous
async def test_without_streaming_it_comes_in_one_piece() -> None:
    tokens: list[str] = []
    async with serving(Counted("a", "b", "c"), streaming=False) as (_, client):
        client.on("token", tokens.append)
        assert [delta.text for delta in await deltas_of(client)] == ["abc"]
        assert tokens == ["abc"]
        run = client.send("go")
        run.cancel()
        assert (await run).status is Status.STOPPED


# -- a minute later --------------------------------------------------------------------------------


def test_a_reader_ten_times_too_slow(slow_reader: subprocess.Popen[str], figure: Figure) -> None:
    said, complaint = slow_reader.communicate(timeout=300)  # it began before all the tests of this folder
    assert slow_reader.returncode == 0, complaint
    seen = json.loads(said)
    assert seen["seconds"] == 60
    assert seen["came in time"] < 0.2
    assert seen["MiB grown"] <= 32
    figure(
        "reliability 9",
        f"a link ten times too slow for {seen['seconds']:.0f} s: {seen['MiB of text']:.1f} MiB of text, "
        f"{seen['came in time']:.0%} came in that time, all of it later, {seen['MiB grown']:.1f} MiB grown",
    )
