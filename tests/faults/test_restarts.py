"""A gateway that goes away: killed in mid-run, away for longer than it replays, away for all its clients at once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import quantiles

import pytest

from openclaw_nb.client import OpenClawClient, link
from openclaw_nb.client.link import Retry
from openclaw_nb.errors import ModelError, RunError
from openclaw_nb.events import Status
from openclaw_nb.gateway import Gateway, runs
from openclaw_nb.run import Run
from tests.faults.killed import held, kill
from tests.faults.proxy import FaultProxy, behind, seamless
from tests.spine import Counted, asynchronous, soon

Figure = Callable[[str, str], None]

PIECES = [f"{i}:{character} " for i, character in enumerate("aé€😀\0\u200d\u0301א\ud800" * 4)]
TEXT = "".join(PIECES)


# -- killed in mid-run -----------------------------------------------------------------------------


@asynchronous
async def test_killed_a_hundred_times(figure: Figure) -> None:
    model = Counted(*PIECES, pause=0.001)
    waits: list[float] = []

    async def restart(rounds: int, client: OpenClawClient, port: int) -> None:
        gateway = Gateway(model=model, token="same", port=port)
        await gateway.start()
        await client.connect(gateway.url)
        for i in range(rounds):
            answers = [client.send("go", session=f"{i} {n}") for n in range(2)]
            watched = [seamless(run) for run in answers]
            await soon(lambda answers=answers, i=i: min(run.tokens for run in answers) > i)
            await kill(gateway)
            gateway = Gateway(model=model, token="same", port=port)
            await gateway.start()
            began = time.monotonic()
            async with asyncio.timeout(60):
                assert [str(await run) for run in answers] == [TEXT] * 2
            assert all(fits() for fits in watched)
            waits.append(time.monotonic() - began)
        await gateway.close()

    clients = [OpenClawClient(token="same", token_batch_size=1) for _ in range(5)]
    with ExitStack() as ports:
        await asyncio.gather(*(restart(20, client, ports.enter_context(held())) for client in clients))
    for client in clients:
        await client.close()
    assert model.calls <= 400
    figure("reliability 5", f"killed {len(waits)} times, 200 runs complete, the last {max(waits):.2f} s later at most")


@asynchronous
async def test_killed_with_a_model_that_never_says_the_same(figure: Figure) -> None:
    async def moody(prompt: str) -> AsyncIterator[str]:
        while True:
            yield f"{random.random()} "
            await asyncio.sleep(0.001)

    with held() as port:
        await be_killed_ten_times(moody, port)
    figure("reliability 5", "10 times with a model that answers differently each time: RUN_LOST, what came is kept")


async def be_killed_ten_times(moody: Callable[[str], AsyncIterator[str]], port: int) -> None:
    gateway = Gateway(model=moody, token="same", port=port)
    await gateway.start()
    async with OpenClawClient(token="same", token_batch_size=1) as client:
        await client.connect(gateway.url)
        for i in range(10):
            run = client.send("go", session=f"{i}")
            await soon(lambda run=run: run.text)
            before = run.text
            await kill(gateway)
            gateway = Gateway(model=moody, token="same", port=port)
            await gateway.start()
            async with asyncio.timeout(60):
                with pytest.raises(RunError, match="answers differently; what came is kept") as failure:
                    await run
            assert failure.value.code == "RUN_LOST"
            assert failure.value.partial is not None
            assert failure.value.partial.startswith(before)
    await gateway.close()


@contextmanager
def served(port: int, rate: int = 300) -> Iterator[subprocess.Popen[str]]:
    """The command `openclaw-nb serve`, once it listens; its model says ``rate`` tokens a second."""
    command = [sys.executable, "-m", "openclaw_nb.cli", "serve", "--model", f"offline:{rate}", "--port", str(port)]
    environment = os.environ | {"OPENCLAW_GATEWAY_TOKEN": "same"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert f"127.0.0.1:{port};" in process.stdout.readline()
            yield process
        finally:
            process.kill()


@asynchronous
async def test_the_process_is_killed(figure: Figure) -> None:
    prompt = "mean and median of " + ", ".join(map(str, range(60)))
    slowest = 0.0
    with held() as port:
        async with OpenClawClient(token="same") as client:
            with served(port):
                await client.connect(f"ws://127.0.0.1:{port}")
                whole = str(await client.send(prompt, session="whole"))
            for i in range(5):
                with served(port, rate=10) as process:  # so slow that it is killed in mid-answer
                    await client.reconnect()
                    run = client.send(prompt, session=f"{i}")
                    fits = seamless(run)
                    await soon(lambda run=run: run.text)
                    process.send_signal(signal.SIGKILL)
                assert 0 < len(run.text) < len(whole)
                began = time.monotonic()
                with served(port):
                    async with asyncio.timeout(60):
                        assert await run == whole
                    slowest = max(slowest, time.monotonic() - began)
                    assert fits()
    figure("reliability 5", f"`openclaw-nb serve` killed 5 times: complete {slowest:.1f} s after its start at most")


# -- away for longer than it is replayed -----------------------------------------------------------


@asynchronous
async def test_away_longer_than_the_window(monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    monkeypatch.setattr(runs, "RETAIN", 0.02)
    ways = [(streaming, k) for streaming in (True, False) for k in (0, 1, 5, len(PIECES))]
    await asyncio.gather(*(be_away(k, streaming) for streaming, k in ways))
    figure("reliability 4", f"away longer than the window, {len(ways)} ways: a gap event, then the whole text")


async def forgotten(proxy: FaultProxy) -> None:
    """Return when the gateway knows no run any more."""
    assert proxy.gateway is not None
    runs = proxy.gateway._runs
    await soon(lambda: not len(runs), "forgetting the run")


async def be_away(k: int, streaming: bool) -> None:
    """From delta k on until after the run is forgotten."""
    told, gate = asyncio.Event(), asyncio.Event()
    calls = 0

    async def model(prompt: str) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        for piece in PIECES[:k]:
            yield piece
        told.set()
        await gate.wait()
        for piece in PIECES[k:]:
            yield piece

    async with behind(model, streaming=streaming, max_reconnect_attempts=9) as (proxy, client):
        gaps: list[Run] = []
        client.on("gap", gaps.append)
        run = client.send("go")
        fits = seamless(run)
        await told.wait()
        await client.request("health")  # what was said before is here
        home, proxy.upstream = proxy.upstream, 9
        proxy.cut()
        await soon(lambda: run.status is Status.RECONNECTING)
        gate.set()
        await forgotten(proxy)
        assert gaps == []
        proxy.upstream = home
        await client.reconnect()
        assert await run == TEXT
        assert fits()
        assert gaps == ([run] if k < len(PIECES) else []), "it is told where text is fetched"
    assert calls == 1


@asynchronous
async def test_ended_badly_while_away_longer_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETAIN", 0.02)
    gate = asyncio.Event()

    async def failing(prompt: str) -> AsyncIterator[str]:
        yield "one "
        await gate.wait()
        yield "two "
        raise ModelError("the model broke")

    async with behind(failing, max_reconnect_attempts=9) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        home, proxy.upstream = proxy.upstream, 9
        proxy.cut()
        gate.set()
        await forgotten(proxy)
        proxy.upstream = home
        await client.reconnect()
        with pytest.raises(ModelError) as failure:
            await run
        assert failure.value.partial == "one two "


# -- away for all of them at once ------------------------------------------------------------------


@asynchronous
async def test_two_hundred_clients_and_a_gateway_away_for_five_seconds(
    monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    spread, parts = link._spread, list[float]()

    def noting(seconds: float) -> float:
        """The part of its time that each waits: when they come is up to the machine too, which may stop them all."""
        parts.append((chosen := spread(seconds)) / seconds)
        return chosen

    monkeypatch.setattr(link, "_spread", noting)
    gate = asyncio.Event()
    model = Counted("one ", until=gate)
    with held() as port:
        await away_for_five_seconds(model, gate, port, parts, figure)


async def away_for_five_seconds(
    model: Counted, gate: asyncio.Event, port: int, parts: list[float], figure: Figure
) -> None:
    gateway = Gateway(model=model, token="same", port=port)
    await gateway.start()
    clients = [OpenClawClient(token="same") for _ in range(200)]
    back: dict[OpenClawClient, float] = {}

    def now(client: OpenClawClient) -> None:
        back.setdefault(client, time.monotonic())

    for i in range(0, 200, 20):
        await asyncio.gather(*(client.connect(gateway.url) for client in clients[i : i + 20]))
    for client in clients:
        client.on("reconnected", partial(now, client))
    answers = [client.send("go", session=f"{i}") for i, client in enumerate(clients)]
    await soon(lambda: all(run.text for run in answers))
    await kill(gateway)
    await asyncio.sleep(5)
    gateway = Gateway(model=model, token="same", port=port)
    opened, last = time.monotonic(), parts[-200:]
    await gateway.start()
    await soon(lambda: len(back) == 200 or any(run.done() for run in answers))  # within 10 s, and 5 are 15
    assert [run.status for run in answers if run.done()] == []
    gate.set()
    assert {str(await run) for run in answers} == {"one "}
    for client in clients:
        await client.close()
    await gateway.close()
    came = sorted(moment - opened for moment in back.values())
    early, middle, late = quantiles(came, n=20)[0], came[100], quantiles(came, n=20)[-1]
    crowd = max(sum(part <= other < part + 0.05 for other in last) for part in last)
    assert crowd < 60, "they do not come as one"  # 20 of them, where all of it is used alike
    figure(
        "reliability 8",
        f"200 clients, gateway away 5 s: back {came[0]:.2f} to {came[-1]:.2f} s after it (P5 {early:.2f}, "
        f"P50 {middle:.2f}, P95 {late:.2f}), {crowd} at most wait the same 5 % of their time",
    )


def test_from_afar_they_are_back_within_fifteen_seconds() -> None:
    """Elsewhere than on loopback nobody can look whether the port is open again; the attempts alone must do."""
    for _ in range(10_000):
        retry, clock = Retry(), 0.0
        for attempt in range(1, retry.attempts + 1):
            clock += retry.wait(attempt)
            if clock >= 5:
                break
        assert 5 <= clock <= 15
