"""What users and gateways do while a link is away, or just as it breaks."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient, inflight, pulse, route
from openclaw_nb.errors import ConnectionLost, OpenClawError, RunError, RunTimeout
from openclaw_nb.events import Delta, Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Run
from tests.faults.kinds import CLIENT, GATEWAY, CutAfter, CutAtByte, Fault, How
from tests.faults.proxy import behind, seamless
from tests.spine import Counted, Thinker, asynchronous, on_both_loops, soon

NOBODY = 9  # the port "discard"

PIECES = [f"{i} " for i in range(40)]
TEXT = "".join(PIECES)


# -- as it breaks ----------------------------------------------------------------------------------


@on_both_loops
async def test_cut_and_cancelled_at_once() -> None:
    gate = asyncio.Event()  # what is stopped has not ended by itself, however late that is
    model = Counted(*PIECES, pause=0.001, until=gate)
    async with behind(model) as (proxy, client):
        for k, how, first in itertools.product((1, 3, 10), (How.RESET, How.CLOSE), (True, False)):
            run = client.send("go", session=f"{k}{how}{first}")
            fits = seamless(run)
            await soon(lambda run=run, k=k: run.tokens >= k)
            if first:
                run.cancel()
                proxy.cut(how)
            else:
                proxy.cut(how)
                run.cancel()
            result = await run
            assert result.status is Status.STOPPED
            assert TEXT.startswith(result)
            assert fits()
        await soon(lambda: model.closed == model.calls, "stopping the models")
        gate.set()
        assert await client.send("go", session="after") == TEXT


@pytest.mark.parametrize("toward", [CLIENT, GATEWAY])
@asynchronous
async def test_cut_while_it_asks_to_go_on(toward: str) -> None:
    """Its first, second … way back breaks as well: before it is let in, as it resumes, as it is answered."""
    model = Counted(*PIECES, pause=0.001)
    ways: list[Fault] = [CutAtByte(at, None, how, toward=toward) for at in (0, 100, 300, 600, 900, 1_200, 1_500, 1_800)
                         for how in (How.RESET, How.CLOSE)]  # fmt: skip
    for count in (0, 1):
        ways += [CutAfter(count, kind, toward=GATEWAY) for kind in ("connect", "run.resume")]
    ways += [CutAfter(count, "res") for count in (0, 1, 2)]
    async with behind(model, max_reconnect_attempts=20, reconnect_delay=0.001) as (proxy, client):
        for i, way in enumerate(ways):
            run, other = client.send("go", session=f"{i}"), client.send("go", session=f"other {i}")
            fits = seamless(run)
            await soon(lambda run=run: run.text)
            proxy.faults.append(way)
            proxy.cut()
            assert await run == await other == TEXT
            assert fits()
            proxy.faults.clear()
    assert model.calls == 2 * len(ways)


@asynchronous
async def test_many_runs_on_one_link() -> None:
    model = Counted(*PIECES, pause=0.001)
    async with behind(model) as (proxy, client):
        runs = [client.send("go", session=f"{i}") for i in range(20)]
        fits = [seamless(run) for run in runs]
        for _ in range(10):
            await asyncio.sleep(0.005)
            proxy.cut()
        assert [str(await run) for run in runs] == [TEXT] * 20
        assert all(fit() for fit in fits)
    assert model.calls == 20


@on_both_loops
async def test_without_streaming_through_cuts() -> None:
    model = Counted(*PIECES, pause=0.002)
    async with behind(model, streaming=False) as (proxy, client):
        for i in range(5):
            run = client.send("go", session=f"{i}")
            deltas: list[Delta] = []
            run.subscribe(lambda event, deltas=deltas: deltas.append(event) if isinstance(event, Delta) else None)
            for _ in range(3):
                await asyncio.sleep(0.01)
                proxy.cut()
            assert await run == TEXT
            assert [(delta.offset, delta.text) for delta in deltas] == [(0, TEXT)]
    assert model.calls == 5


@asynchronous
async def test_thoughts_through_cuts() -> None:
    async with behind(Thinker(*PIECES, pause=0.001)) as (proxy, client):
        whole = await client.send("go", session="whole")
        for i in range(5):
            run = client.send("go", session=f"{i}")
            for _ in range(4):
                await asyncio.sleep(0.01)
                proxy.cut()
            result = await run
            assert result == TEXT
            assert [step.text for step in result.steps] == [step.text for step in whole.steps]


@asynchronous
async def test_a_request_that_is_cut_says_so() -> None:
    async with behind(Counted("one")) as (proxy, client):
        proxy.now(CutAfter(0, "res"))
        with pytest.raises(ConnectionLost):
            await client.request("health")
        assert (await client.request("health"))["ok"]


@asynchronous
async def test_a_stop_that_is_swallowed_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text keeps coming, so the link looks alive; but what is said on it goes nowhere."""
    for name in ("PING", "PONG"):
        monkeypatch.setattr(pulse, name, 0.3)
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 0.3)
    model = Counted(*["more "] * 10_000, pause=0.01)
    async with behind(model) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.now(CutAtByte(0, None, How.MUTE, toward=GATEWAY))
        run.cancel()
        assert (await run).status is Status.STOPPED
        await soon(lambda: model.closed, "stopping the model")


# -- while it is away ------------------------------------------------------------------------------


@asynchronous
async def test_finished_while_away() -> None:
    for streaming in (True, False):
        gate = asyncio.Event()

        async def model(prompt: str, gate: asyncio.Event = gate) -> AsyncIterator[str]:
            yield "one "
            await gate.wait()
            yield "two "

        async with behind(model, streaming=streaming, max_reconnect_attempts=9) as (proxy, client):
            gaps: list[Run] = []
            client.on("gap", gaps.append)
            run = client.send("go")
            await client.request("health")
            await soon(lambda run=run: run.text or not client.streaming)
            home, proxy.upstream = proxy.upstream, NOBODY
            proxy.cut()
            gate.set()
            await asyncio.sleep(0.05)
            proxy.upstream = home
            assert await run == "one two "
            assert gaps == [], "it is still replayed"


@asynchronous
async def test_cancelled_and_out_of_time_while_away() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with behind(model, max_reconnect_attempts=100) as (proxy, client):
        stopped, late = client.send("go", session="a"), client.send("go", session="b", timeout=5.0)
        await soon(lambda: stopped.text and late.text)
        home, proxy.upstream = proxy.upstream, NOBODY
        proxy.cut()
        await soon(lambda: stopped.status is Status.RECONNECTING)
        stopped.cancel()
        assert await stopped == "one "
        assert stopped.status is Status.STOPPED
        with pytest.raises(RunTimeout) as failure:
            await late
        assert failure.value.partial == "one "
        assert model.closed == 0
        proxy.upstream = home
        await client.reconnect()
        await soon(lambda: model.closed == 2, "stopping the models once there was a link again")


@asynchronous
async def test_sent_while_away() -> None:
    model = Counted("one ")
    async with behind(model, max_reconnect_attempts=9) as (proxy, client):
        home, proxy.upstream = proxy.upstream, NOBODY
        proxy.cut()
        await soon(lambda: not client.connected)
        runs = [client.send("go", session=f"{i}") for i in range(5)]
        never = client.send("go", session="never")
        never.cancel()
        assert (await never).status is Status.STOPPED
        await asyncio.sleep(0.02)
        proxy.upstream = home
        assert [str(await run) for run in runs] == ["one "] * 5
    assert model.calls == 5


@asynchronous
async def test_asked_to_come_back_while_an_attempt_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "OPEN_TIMEOUT", 1_000.0)  # nobody waits for that
    async with behind(Counted("one ")) as (proxy, client):
        proxy.faults.append(CutAtByte(0, None, How.SILENCE, toward=GATEWAY))
        proxy.cut()
        await soon(lambda: proxy.struck.total() == 1)
        async with asyncio.timeout(60):
            await client.reconnect()
        assert await client.send("go") == "one "


@asynchronous
async def test_closed_while_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "OPEN_TIMEOUT", 1_000.0)  # nobody waits for that
    model = Counted("one ", until=asyncio.Event())
    for way in (CutAfter(0, "connect.challenge", How.SILENCE), CutAtByte(0, None, How.SILENCE), CutAfter(0, "res")):
        async with behind(model) as (proxy, client):
            run = client.send("go", session=repr(way))
            await soon(lambda run=run: run.text)
            proxy.faults.append(way)
            proxy.cut()
            coming = asyncio.create_task(client.reconnect())
            await asyncio.sleep(0.02)
            await asyncio.wait_for(client.close(), 60)
            with pytest.raises(RunError, match="was closed") as failure:
                await run
            assert failure.value.partial == "one "
            await asyncio.wait([coming])
            assert coming.exception() is None or isinstance(coming.exception(), ConnectionLost)
            with pytest.raises(ConnectionLost):
                client.send("go")


@asynchronous
async def test_asked_to_come_back_from_many_threads_at_once() -> None:
    """While two runs go on, four threads with loops of their own ask for it ten times each."""
    model = Counted(*PIECES * 5, pause=0.001)
    async with behind(model) as (_, client):
        runs = [client.send("go", session=f"{i}") for i in range(2)]
        fits = [seamless(run) for run in runs]
        failures: list[BaseException] = []

        async def ask() -> None:
            for _ in range(10):
                await client.reconnect()

        def work() -> None:
            try:
                asyncio.run(ask())
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        assert failures == []
        assert [str(await run) for run in runs] == [TEXT * 5] * 2
        assert all(fit() for fit in fits)
        await asyncio.get_running_loop().shutdown_default_executor()
    assert model.calls == 2


@asynchronous
async def test_without_auto_reconnect_one_comes_back_by_oneself() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with behind(model, auto_reconnect=False) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.cut()
        with pytest.raises(RunError, match="was cut") as failure:
            await run
        assert failure.value.partial == "one "
        assert not client.connected
        await client.reconnect()
        assert (await client.request("health"))["ok"]
        model.until.set()  # type: ignore[union-attr]
        assert await client.send("go", idempotency_key=run.id) == "one ", "it was gone on with, and is here again"
    assert model.calls == 1


# -- from other threads ----------------------------------------------------------------------------


def test_its_loop_ends_while_it_comes_back() -> None:
    """Nobody waits for a run for ever."""
    model = Counted("one ", until=asyncio.Event())
    runs: list[Run] = []

    async def main() -> None:
        gateway = Gateway(model=model, token="same")
        await gateway.start()
        client = OpenClawClient(token="same")
        await client.connect(gateway.url)
        runs.append(client.send("go"))
        await soon(lambda: runs[0].text)
        await gateway.close()

    asyncio.run(main())
    ended: Future[Any] = Future()
    thread = threading.Thread(target=lambda: ended.set_result(_end_of(runs[0])))
    thread.start()
    thread.join(120)
    assert isinstance(ended.result(0), OpenClawError)


def _end_of(run: Run) -> BaseException | str:
    try:
        return run.result(60)
    except OpenClawError as error:
        return error
