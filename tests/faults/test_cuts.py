"""A link that breaks: at every delta, at every byte, twice, before the first delta, fifty times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import RunError
from openclaw_nb.events import Delta, State, Status
from tests.faults.kinds import GATEWAY, CutAfter, CutAtByte, Fault, How, Split, Twice
from tests.faults.proxy import FaultProxy, abreast, behind, seamless
from tests.spine import Counted, asynchronous, on_both_loops, soon

# One code point of each width in UTF-8 and UTF-16, joiners, marks, right to left, NUL, and half a surrogate pair.
PIECES = [f"{i}:{character} " for i, character in enumerate("aé€😀\0\u200d\u202e\u0301א\ud800" * 20)]
TEXT = "".join(PIECES)


Figure = Callable[[str, str], None]

ENDINGS = (How.RESET, How.CLOSE)


@on_both_loops
async def test_cut_after_every_delta(figure: Figure) -> None:
    model = Counted(*PIECES)
    async with behind(model, token_batch_delay=60.0) as (proxy, client):  # batches are as big as they are to be
        for k in range(len(PIECES)):
            proxy.now(CutAfter(k, how=ENDINGS[k % 2]))
            client.token_batch_size = 1
            run = client.send("go", session=f"cut after {k}")
            fits, deltas = seamless(run), list[Delta]()
            run.subscribe(lambda event, deltas=deltas: deltas.append(event) if isinstance(event, Delta) else None)
            await asyncio.sleep(0)
            client.token_batch_size = 50  # as it is asked for after the cut
            assert await run == TEXT, k
            assert fits(), k
            assert proxy.struck.total() == k + 1
            assert min(k, 2) <= len(deltas) <= k + 8, "it was cut where it was to be"
    assert model.calls == len(PIECES)
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    figure("reliability 1", f"{model.calls} runs of 200 deltas cut after each k, 0 lost, 0 twice ({loop})")


@asynchronous
async def test_cut_at_every_byte(figure: Figure) -> None:
    text = "é€😀a" * 192  # 1,920 bytes, and what is around them
    model = Counted(text)
    async with abreast(model, 4) as pairs:
        size = await size_of_first_delta(*pairs[0])

        async def cut_at(these: range, proxy: FaultProxy, client: OpenClawClient) -> None:
            for at in these:
                proxy.now(CutAtByte(at, how=ENDINGS[at // 4 % 2]))
                assert await client.send("go", session=f"at {at}") == text, at
            assert proxy.struck.total() == len(these)

        await asyncio.gather(*(cut_at(range(i, size, 4), *pair) for i, pair in enumerate(pairs)))
    assert size >= 2_048
    assert model.calls == size + 1
    figure("reliability 2", f"a frame of {size:,} bytes cut at every byte: {size:,} times the same text")


async def size_of_first_delta(proxy: FaultProxy, client: OpenClawClient) -> int:
    """Bytes of the first chat frame on the wire."""
    sizes: list[int] = []

    class Measure(Fault):
        async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
            if kind == "chat":
                sizes.append(len(frame))
            yield frame

    proxy.now(Measure())
    await client.send("go", session="at 0000")
    await client.reconnect()
    return sizes[0]


@asynchronous
async def test_two_cuts_without_a_delta_between(figure: Figure) -> None:
    for how in ENDINGS:
        gate = asyncio.Event()
        model = Counted("one ", "two ", until=gate)
        async with behind(model) as (proxy, client):
            run = client.send("go")
            fits = seamless(run)
            await soon(lambda run=run: run.text == "one two ")
            for _ in range(2):
                proxy.faults.append(CutAfter(1, "res", how))  # the hello, and no more
            proxy.cut(how)
            await soon(lambda proxy=proxy, client=client: proxy.connections == 4 and client.connected)
            gate.set()
            assert await run == "one two "
            assert fits()
        assert model.calls == 1
    figure("reliability 3", "two cuts with no delta between: seamless, one model call")


@asynchronous
async def test_cut_before_the_first_delta(figure: Figure) -> None:
    cuts = [
        CutAfter(0, "chat"), CutAfter(0, "res"), CutAfter(1, "res"), CutAfter(0, "chat.send", toward=GATEWAY),
        CutAfter(1, "chat.send", toward=GATEWAY), CutAtByte(50, "chat.send", toward=GATEWAY),
        CutAtByte(50, "res"), CutAtByte(1, "chat"),
    ]  # fmt: skip
    for cut in cuts:
        for how in ENDINGS:
            model = Counted("one ", "two ")
            async with behind(model) as (proxy, client):
                proxy.now(replace(cut, how=how))
                fits = seamless(run := client.send("go"))
                assert await run == "one two "
                assert fits()
                assert proxy.struck.total() == 1
            assert model.calls == 1, cut
    figure("reliability 3", f"cut before the first delta, {2 * len(cuts)} ways: one model call each")


@asynchronous
async def test_fifty_cuts_in_one_run(figure: Figure) -> None:
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
        fits = seamless(run)
        assert await run == "".join(f"{i} " for i in range(50))
        assert fits()
        assert proxy.struck.total() == 50
    assert calls == 1
    figure("reliability 3", "50 cuts in one run of 50 deltas: seamless, one model call")


@asynchronous
async def test_every_frame_twice() -> None:
    async with behind(Counted(*PIECES)) as (proxy, client):
        proxy.faults.append(Twice())
        await client.reconnect()
        fits = seamless(run := client.send("go"))
        assert await run == TEXT
        assert fits()


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
        run.subscribe(lambda event: events.append(event.words) if isinstance(event, State) and event.words else None)
        await soon(lambda: run.text)
        proxy.cut()
        await soon(lambda: events and run.status is Status.STREAMING)  # though the model says nothing
        assert events == ["STREAM_DISCONNECTED", "reconnecting, attempt 1 of 5", 1, "reconnected"]
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
