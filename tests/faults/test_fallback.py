"""Fallback: while a whole cluster is away the next one of the order has the runs, says so, and gives them back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import Cluster, Endpoint, TokenReference
from openclaw_nb.errors import RunError
from openclaw_nb.events import State
from openclaw_nb.run import Run
from tests.faults.fleet import Fleet, Storyteller, fleet
from tests.faults.proxy import seamless
from tests.foreign import Foreign
from tests.spine import asynchronous, soon

PIECES = [f"piece {i}, " for i in range(40)]
TEXT = "".join(PIECES)
ELSEWHERE = "at backup, as production is away"


def storyteller() -> Storyteller:
    return Storyteller(*PIECES, pause=0.002)


def hold(one: Fleet) -> asyncio.Event:
    """Have its models wait before their last piece: what they are saying has not ended when they are killed."""
    gate = asyncio.Event()
    for model in one.models:
        model.gate = gate
    return gate


def states(run: Run) -> list[str]:
    """What is said of a run from now on."""
    told: list[str] = []
    run.subscribe(lambda event: told.append(event.words) if isinstance(event, State) else None)
    return told


@asynccontextmanager
async def two_clusters(
    monkeypatch: pytest.MonkeyPatch, attempts: int = 5, **settings: int
) -> AsyncIterator[tuple[Fleet, Fleet, OpenClawClient]]:
    """A client of one that falls back to another, each with a token of its own."""
    monkeypatch.setenv("TOKEN_OF_THE_FIRST", "the first one's")
    monkeypatch.setenv("TOKEN_OF_THE_OTHER", "the other one's")
    first, other = TokenReference("env:TOKEN_OF_THE_FIRST"), TokenReference("env:TOKEN_OF_THE_OTHER")
    async with fleet(2, storyteller, first.read()) as near, fleet(1, storyteller, other.read()) as far:
        options = {"token_batch_size": 1, "max_reconnect_attempts": attempts, "max_restore_attempts": 0}
        async with OpenClawClient(reconnect_delay=0.05, **options) as client:
            await client.connect(
                near.cluster("production", token=first, **settings), far.cluster("backup", token=other)
            )
            yield near, far, client


@pytest.mark.parametrize("connections", [1, 3])
@asynchronous
async def test_over_there_and_back(
    monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None], connections: int
) -> None:
    async with two_clusters(monkeypatch, connections=connections) as (near, far, client):
        assert client.uri == "agent://production"
        assert await client.send("first") == TEXT
        assert far.models[0].calls == 0
        gate = hold(near)
        run = client.send("go")
        told, fits = states(run), seamless(run)
        await soon(lambda: run.tokens > 5)
        await near.kill(0)
        await near.kill(1)
        gate.set()
        result = await run
        assert result == TEXT
        assert fits()
        assert ELSEWHERE in told
        assert re.fullmatch(rf"done, gone on from character \d+, {ELSEWHERE}", result.words)
        assert (far.models[0].calls, len(far.models[0].partials)) == (1, 1)
        assert TEXT.startswith(far.models[0].partials[0])
        fresh = client.send("new")
        told = states(fresh)
        assert await fresh == TEXT
        assert ELSEWHERE in told
        assert [state.cluster for state in client.endpoints if state.links] == ["backup"]
        staying = client.send("it ends where it is", session="b")
        far.models[0].gate = asyncio.Event()
        await near.restart(0)
        await soon(lambda: client.endpoints[0].links, "the way back")
        assert await client.send("home again", session="c") == TEXT
        assert far.models[0].calls == 3
        assert not staying.done()
        far.models[0].gate.set()
        assert await staying == TEXT
        await soon(lambda: not far.at(0)._connections, "the other cluster is left")
        await soon(
            lambda: [state.cluster for state in client.endpoints if state.links] == ["production"], "it is known"
        )
    figure(f"fallback, {connections} links", "a run in flight, new ones, and back: each answered once")


@asynchronous
async def test_all_clusters_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_clusters(monkeypatch, attempts=2) as (near, far, client):
        hold(near)
        hold(far)
        run = client.send("go")
        await soon(lambda: run.tokens > 5)
        for number in (0, 1):
            await near.kill(number)
        await soon(lambda: client.endpoints[2].links)
        await far.kill(0)
        with pytest.raises(RunError, match="none of the 3 endpoints of agent://production is there") as failure:
            await run
        assert failure.value.partial is not None
        assert TEXT.startswith(failure.value.partial.text)


# -- a real gateway behind it ----------------------------------------------------------------------


@asynccontextmanager
async def behind_it(stands: Foreign) -> AsyncIterator[tuple[Fleet, OpenClawClient]]:
    """A cluster of ours, and a real gateway as its fallback."""
    async with fleet(1, storyteller) as near, serve(stands.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        real = Cluster("real", (Endpoint(f"ws://127.0.0.1:{port}"),))
        async with OpenClawClient(token=near.token, token_batch_size=1, reconnect_delay=0.05) as client:
            await client.connect(near.cluster("production"), real)
            yield near, client


@asynchronous
async def test_a_part_of_an_answer_is_not_taken_to_a_real_gateway() -> None:
    async with behind_it(real := Foreign(4)) as (near, client):
        hold(near)
        run = client.send("go")
        await soon(lambda: run.tokens > 5)
        await near.kill(0)
        with pytest.raises(RunError, match="cannot go on with a part of an answer; what came is kept") as failure:
            await run
        assert failure.value.code == "RUN_LOST"
        assert failure.value.partial
        assert re.search(r"ws://127\.0\.0\.1:\d+ is away, and the gateway at ws://127\.0\.0\.1:\d+", str(failure.value))
        assert not real.sent


@asynchronous
async def test_what_has_no_answer_yet_is_asked_anew_at_a_real_gateway() -> None:
    async with behind_it(real := Foreign(4)) as (near, client):
        near.models[0].pieces, near.models[0].gate = PIECES[:1], asyncio.Event()
        run = client.send("go", idempotency_key="k")
        await soon(lambda: near.models[0].calls)
        await near.kill(0)
        await soon(lambda: real.sent, "it is asked")
        await real.say("k", "from the real one", "delta")
        real.over("k", "from the real one")
        await real.say("k", "from the real one", "final")
        result = await run
        assert result == "from the real one"
        assert "at real, as production is away" in result.words
