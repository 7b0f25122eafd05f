"""A link that breaks: at every delta, at every byte, twice, before the first delta, fifty times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import RunError
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Delta, Run, Status
from tests.faults.proxy import CutAfter, CutAtByte, FaultProxy, Split, Twice, behind
from tests.spine import Counted, asynchronous, on_both_loops, soon

# One code point of each width in UTF-8 and UTF-16, joiners, marks, right to left, NUL, and half a surrogate pair.
PIECES = [f"{i}:{character} " for i, character in enumerate("aé€😀\0\u200d\u202e\u0301א\ud800" * 6)]
TEXT = "".join(PIECES)


def watch(run: Run) -> list[Delta]:
    """The deltas that a run pushes."""
    deltas: list[Delta] = []
    run.subscribe(lambda event: deltas.append(event) if isinstance(event, Delta) else None)
    return deltas


def seamless(deltas: list[Delta]) -> bool:
    """Whether each delta begins where the one before ended."""
    ends = [(delta.offset, delta.offset + len(delta.text)) for delta in deltas]
    return ends[0][0] == 0 and all(one[1] == other[0] for one, other in pairwise(ends))


@on_both_loops
async def test_cut_after_every_delta() -> None:
    model = Counted(*PIECES)
    async with behind(model) as (proxy, client):
        for k in range(len(PIECES)):
            proxy.faults.append(CutAfter(k))
            await client.reconnect()
            run = client.send("go", session=f"cut after {k}")
            deltas = watch(run)
            assert await run == TEXT, k
            assert seamless(deltas), k
        assert proxy.connections >= 2 * len(PIECES)
    assert model.calls == len(PIECES)


@asynchronous
async def test_cut_at_every_byte() -> None:
    text = "é€😀a" * 256
    model = Counted(text)
    async with behind(model) as (proxy, client):
        for at in [*range(16), *range(16, 2_600, 29)]:
            proxy.faults.append(CutAtByte(at))
            await client.reconnect()
            assert await client.send("go", session=f"at {at}") == text, at


@asynchronous
async def test_two_cuts_without_a_delta_between() -> None:
    gate = asyncio.Event()
    model = Counted("one ", "two ", until=gate)
    async with behind(model) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text == "one two ")
        for _ in range(2):
            proxy.faults.append(CutAfter(1, "res"))  # the hello, and no more
        proxy.cut()
        await soon(lambda: proxy.connections == 4 and client.connected)
        gate.set()
        assert await run == "one two "
    assert model.calls == 1


@asynchronous
async def test_cut_before_the_first_delta() -> None:
    for kind, count in (("chat", 0), ("res", 1), ("res", 2)):
        model = Counted("one ", "two ")
        async with behind(model) as (proxy, client):
            proxy.faults.append(CutAfter(count, kind))
            await client.reconnect() if kind == "chat" else client._linked().again()
            assert await client.send("go") == "one two "
        assert model.calls == 1


@asynchronous
async def test_fifty_cuts_in_one_run() -> None:
    here: list[FaultProxy] = []
    calls = 0

    async def model(prompt: str) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        for i in range(50):
            before = here[0].connections
            yield f"{i} "
            await soon(lambda before=before: here[0].connections > before)

    async with behind(model) as (proxy, client):
        here.append(proxy)
        proxy.faults.extend(CutAfter(1) for _ in range(50))
        await client.reconnect()
        run = client.send("go")
        deltas = watch(run)
        assert await run == "".join(f"{i} " for i in range(50))
        assert seamless(deltas)
        assert proxy.connections >= 51
    assert calls == 1


@asynchronous
async def test_every_frame_twice() -> None:
    async with behind(Counted(*PIECES)) as (proxy, client):
        proxy.faults.append(Twice())
        await client.reconnect()
        deltas = watch(run := client.send("go"))
        assert await run == TEXT
        assert seamless(deltas)


@on_both_loops
async def test_split_at_every_byte() -> None:
    async with behind(Counted(*PIECES[:40])) as (proxy, client):
        for size in (1, 2, 3, 5):
            proxy.faults.append(Split(size))
            await client.reconnect()
            assert await client.send("go") == "".join(PIECES[:40])


@asynchronous
async def test_the_view_is_told_and_told_again() -> None:
    gate = asyncio.Event()
    events: list[object] = []
    async with behind(Counted("one ", until=gate)) as (proxy, client):
        client.on("reconnect", events.append)
        client.on("error", lambda error: events.append(error.code))
        client.on("reconnected", lambda: events.append("reconnected"))
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.cut()
        await soon(lambda: run.status is Status.RECONNECTING)
        assert run.words == "reconnecting, attempt 1 of 5"
        await soon(lambda: run.status is Status.STREAMING)  # though the model says nothing
        assert events == ["STREAM_DISCONNECTED", 1, "reconnected"]
        gate.set()
        await run


@asynchronous
async def test_gateway_gone_for_good() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with behind(model, max_reconnect_attempts=3) as (proxy, client):
        errors: list[str] = []
        client.on("error", lambda error: errors.append(str(error)))
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.upstream = 9  # discard: nobody listens
        proxy.cut()
        with pytest.raises(RunError, match="after 3 attempts") as failure:
            await run
        assert failure.value.partial == "one "
        assert failure.value.code == "STREAM_DISCONNECTED"
        assert len(errors) == 2
        assert not client.connected


@asynchronous
async def test_gateway_restarted_in_mid_run() -> None:
    for _ in range(5):
        model = Counted("one ", until=asyncio.Event())
        async with FaultProxy(0) as proxy:
            first = Gateway(model=model, token="same")
            await first.start()
            proxy.upstream = first.port
            async with OpenClawClient(token="same", reconnect_delay=0.02) as client:
                await client.connect(proxy.url)
                run = client.send("go")
                await soon(lambda run=run: run.text)
                first._runs._runs.clear()  # as killed: nobody is told how the runs end
                proxy.cut()
                async with Gateway(model=model, token="same") as second:
                    proxy.upstream = second.port
                    with pytest.raises(RunError, match="no longer knows this run") as failure:
                        await run
                    assert failure.value.code == "RUN_LOST"
                    assert failure.value.partial == "one "
                    model.until.set()  # type: ignore[union-attr]
                    assert await client.send("again") == "one "
            await first.close()
