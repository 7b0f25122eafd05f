"""Channels: so many links, which of them a run takes, what a session keeps, how they move, and that none is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from openclaw_nb.client import OpenClawClient, route
from openclaw_nb.config import Cluster, Endpoint
from openclaw_nb.errors import ConnectionLost, RunError
from openclaw_nb.gateway import Gateway
from tests.faults.fleet import Storyteller, fleet, meeting
from tests.faults.proxy import FaultProxy, seamless
from tests.spine import Counted, asynchronous, soon

PIECES = [f"piece {i}, " for i in range(20)]
TEXT = "".join(PIECES)


def storyteller() -> Storyteller:
    return Storyteller(*PIECES, pause=0.002)


def threads() -> set[str]:
    """But for those that look up tokens, of which a loop keeps a few."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def links(client: OpenClawClient) -> list[int]:
    return [state.links for state in client.endpoints]


@asynchronous
async def test_so_many_links_spread_over_the_endpoints() -> None:
    async with fleet(3, lambda: Counted("one")) as one, meeting(one, connections=6) as client:
        await soon(lambda: links(client) == [2, 2, 2], "two to each")
        assert [len(gateway._connections) for gateway in one.gateways if gateway] == [2, 2, 2]
        assert {state.state for state in client.endpoints} == {"up"}
        assert client.connected
    await soon(lambda: not any(gateway._connections for gateway in one.gateways if gateway), "they hang up")
    assert client.endpoints == ()


@asynchronous
async def test_one_endpoint_with_many_links() -> None:
    async with Gateway(model=storyteller()) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(Cluster("c", (Endpoint(gateway.url),), connections=4))
        await soon(lambda: links(client) == [4])
        runs = [client.send("go", session=f"s{number}") for number in range(8)]
        channels = client._linked()
        assert sorted(len(channel.runs) for channel in channels) == [2, 2, 2, 2]
        assert [state.runs for state in client.endpoints] == [8]
        assert [str(await run) for run in runs] == [TEXT] * 8
        assert client.endpoints[0].load is not None


@asynchronous
async def test_the_runs_of_a_session_share_a_link_and_their_order() -> None:
    async with Gateway(model=storyteller()) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(Cluster("c", (Endpoint(gateway.url),), connections=4))
        runs = [client.send(f"go {number}", session="a") for number in range(4)]
        assert sorted(len(channel.runs) for channel in client._linked()) == [0, 0, 0, 4]
        assert client.send("go 2", session="a", idempotency_key=runs[2].id) is runs[2]
        assert [str(await run) for run in runs] == [TEXT] * 4
        said = await client.request("chat.history", {"sessionKey": "agent:main:a"})
        asked = [message["content"][0]["text"] for message in said["messages"] if message["role"] == "user"]
        assert asked == ["go 0", "go 1", "go 2", "go 3"]


@asynchronous
async def test_a_run_is_stopped_and_changed_wherever_it_is() -> None:
    async with fleet(3, lambda: Storyteller(*PIECES, pause=0.01)) as one, meeting(one, connections=3) as client:
        runs = [client.send("go", session=f"s{number}") for number in range(6)]
        for run in runs:
            await soon(lambda run=run: run.text)  # type: ignore[misc]
            run.set_level(4)
            run.cancel()
        results = [await run for run in runs]
        assert all(TEXT.startswith(result.text) and result.status == "stopped" for result in results)
        assert {run.level for run in runs} == {4}


@asynchronous
async def test_asked_from_many_threads() -> None:
    async with fleet(2, lambda: Counted("one")) as one, meeting(one, connections=4) as client:
        with ThreadPoolExecutor(8) as pool:
            work = [
                asyncio.wrap_future(pool.submit(lambda n=n: client.send("go", session=f"s{n}").result(30)))
                for n in range(80)
            ]
            assert [str(await one) for one in work] == ["one"] * 80
        assert sum(model.calls for model in one.models) == 80
        assert not client.flights


@asynchronous
async def test_while_a_link_is_away_other_runs_take_the_others() -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(fleet(2, storyteller))
        proxy = await stack.enter_async_context(FaultProxy(one.at(0).port))
        client = await stack.enter_async_context(OpenClawClient(token=one.token, reconnect_delay=5))
        behind = Endpoint(proxy.url)
        await client.connect(Cluster("c", (behind, Endpoint(one.urls[1])), connections=2))
        await soon(lambda: links(client) == [1, 1])
        for model in one.models:
            model.gate = asyncio.Event()
        run = client.send("go", session="a")
        other = client.send("go", session="b")
        fits = [seamless(run), seamless(other)]
        await soon(lambda: run.tokens > 3 and other.tokens > 3)
        proxy.upstream = 9
        proxy.cut()
        for model in one.models:
            model.gate.set()
        assert [str(await one) for one in (run, other)] == [TEXT] * 2
        assert all(fit() for fit in fits)
        assert sum(model.calls for model in one.models) == 3
        calls = one.models[1].calls
        assert [str(await client.send("go", session=f"n{n}")) for n in range(4)] == [TEXT] * 4
        assert one.models[1].calls == calls + 4


@asynchronous
async def test_behind_a_balancer_a_run_that_is_refused_is_asked_over_a_new_link() -> None:
    """One address, behind which there are several instances; that of our link drains."""
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(fleet(2, storyteller))
        balancer = await stack.enter_async_context(FaultProxy(one.at(0).port))
        client = await stack.enter_async_context(OpenClawClient(token=one.token, max_restore_attempts=0))
        await client.connect(balancer.url)
        one.models[0].gate = asyncio.Event()
        old = client.send("old", session="a")
        await soon(lambda: old.text)
        balancer.upstream = one.at(1).port
        one.at(0)._desk.closing = True
        for connection in one.at(0)._connections:
            connection.send_event("shutdown", {"reason": "gateway restarting", "restartExpectedMs": 1500})
        await soon(lambda: "draining" in client.endpoints[0].state)
        assert await client.send("new", session="b") == TEXT
        assert one.models[1].calls == 1
        one.models[0].gate.set()
        assert await old == TEXT
        await soon(lambda: not one.at(0)._connections)


@asynchronous
async def test_closed_while_links_are_on_their_way() -> None:
    """No task, socket or thread is left, whenever that is."""
    async with fleet(2, storyteller) as one:
        before = threads()
        for turns in range(12):
            client = OpenClawClient(token=one.token)
            connecting = asyncio.create_task(client.connect(one.cluster(connections=4)))
            for _ in range(3 * turns):
                await asyncio.sleep(0)
            await client.close()
            (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
            assert outcome is None or isinstance(outcome, ConnectionLost)
            await client.close()
        await soon(lambda: not any(gateway._connections for gateway in one.gateways if gateway))
        gc.collect()
        assert threads() == before


@asynchronous
async def test_closed_in_mid_answer() -> None:
    async with fleet(3, storyteller) as one:
        for model in one.models:
            model.gate = asyncio.Event()
        client = OpenClawClient(token=one.token)
        await client.connect(one.cluster(connections=3))
        runs = [client.send("go", session=f"s{number}") for number in range(6)]
        await soon(lambda: all(run.tokens for run in runs))
        await client.close()
        for run in runs:
            with pytest.raises(RunError, match="the client was closed"):
                await run
        with pytest.raises(ConnectionLost):
            client.send("go")


@asynchronous
async def test_a_channel_that_was_left_just_now_hands_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As may happen between the thread that sends and the one that leaves."""
    async with fleet(2, storyteller) as one, meeting(one, connections=2) as client:
        channels = client._linked()
        await soon(lambda: links(client) == [1, 1])
        left, stays = channels._held
        await left.close()
        channels._held = [stays]
        chosen = iter([left])
        monkeypatch.setattr(channels, "take", lambda key: next(chosen, stays))
        assert await client.send("go") == TEXT


@asynchronous
async def test_the_end_of_an_instance_counts_once_however_many_links_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the end of one of four would have runs be simpler for a minute."""
    monkeypatch.setattr(route, "QUICK", 60.0)  # no attempt is given up because the machine is slow
    monkeypatch.setattr(route, "WHERE_OTHERS_ARE", 60.0)
    async with fleet(2, storyteller) as one, meeting(one, connections=8) as client:
        errors: list[object] = []
        client.on("error", errors.append)
        await soon(lambda: links(client) == [4, 4])
        runs = [client.send("go", session=f"s{number}") for number in range(8)]
        await soon(lambda: all(run.tokens for run in runs))
        await one.kill(0)
        assert [str(await run) for run in runs] == [TEXT] * 8
        await soon(lambda: client.endpoints[0].cuts == 4, "the end of each link")
        assert len(errors) == 1
        assert not client.stability.why()


@asynchronous
async def test_where_none_are_named_each_endpoint_has_one() -> None:
    async with fleet(3, storyteller) as one, OpenClawClient(token=one.token) as client:
        await client.connect(one.cluster())
        await soon(lambda: links(client) == [1, 1, 1])
        await asyncio.gather(*(client.send("go", session=f"s{n}") for n in range(12)))
        assert [model.calls for model in one.models] == [4, 4, 4]
