"""Failover: an endpoint of a cluster dies in mid-answer, or goes away in peace, and another goes on with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import Cluster, Endpoint
from openclaw_nb.errors import ConnectionLost
from openclaw_nb.events import Delta, RunEvent, State
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Run
from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon, Missing, redis_server
from tests.faults.fleet import TOKEN, Fleet, Storyteller, fleet, meeting
from tests.faults.proxy import FaultProxy, seamless
from tests.sharing.together import address
from tests.spine import Counted, asynchronous, soon

PIECES = [f"piece {i}, " for i in range(40)]
TEXT = "".join(PIECES)


def storyteller() -> Storyteller:
    return Storyteller(*PIECES, pause=0.002)


def killing(one: Fleet, number: int, run: Run, at: int) -> Callable[[], tuple[float, float]]:
    """Kill this gateway as soon as a run has so many tokens; gives the moments of that, and of the next token."""
    moments: list[float] = []
    killers: list[asyncio.Task[None]] = []

    def take(event: RunEvent) -> None:
        if killers and len(moments) == 1 and isinstance(event, Delta):
            moments.append(time.perf_counter())
        if not killers and run.answer_tokens >= at:
            moments.append(time.perf_counter())
            killers.append(asyncio.get_running_loop().create_task(one.kill(number)))

    run.subscribe(take)
    return lambda: (moments[0], moments[-1])


@asynchronous
async def test_killed_at_every_token(figure: Callable[[str, str], None]) -> None:
    back = []
    for k in range(1, len(PIECES)):
        # Who paused before going on elsewhere would never come there.
        async with fleet(2, storyteller) as one, meeting(one, reconnect_delay=1_000.0) as client:
            here = one.place(client)
            one.models[here].gate = asyncio.Event()  # it is killed in mid-answer, however late that is
            run = client.send("go")
            fits = seamless(run)
            moments = killing(one, here, run, k)
            assert await run == TEXT
            assert fits()
            assert one.place(client) == 1 - here
            other = one.models[1 - here]
            assert other.calls == 1
            assert len(other.partials) == 1, "it is asked for the rest only"
            assert TEXT.startswith(other.partials[0])
            assert len(other.partials[0]) >= len("".join(PIECES[:k]))
            killed, went_on = moments()
            back.append(went_on - killed)
    figure("failover, kill to next token", f"P50 {median(back) * 1000:.1f} ms, worst {max(back) * 1000:.1f} ms")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Daemon]:
    try:
        daemon = redis_server(tmp_path)
    except Missing as missing:
        pytest.skip(f"failover at the exact character was not run: {missing}")
    with daemon:
        yield daemon


@asynchronous
async def test_shared_runs_go_on_at_the_exact_character(redis: Daemon, figure: Callable[[str, str], None]) -> None:
    """Nobody is asked twice, as the instance that was cut off goes on, and the other one tells what it says."""
    back = []
    for k in range(2, len(PIECES), 6):
        async with contextlib.AsyncExitStack() as stack:
            models = [storyteller(), storyteller()]
            here, there = [
                await stack.enter_async_context(
                    Gateway(model=model, token=TOKEN, sharing=Sharing(address(redis), lease=60.0))  # nobody is dead
                )
                for model in models
            ]
            proxy = await stack.enter_async_context(FaultProxy(here.port))
            client = await stack.enter_async_context(OpenClawClient(token=TOKEN, token_batch_size=1))
            await client.connect(Cluster("c", (Endpoint(proxy.url, 100), Endpoint(there.url)), connections=1))
            if client.dialled[0] != proxy.url:
                continue
            models[0].gate = asyncio.Event()  # there is more to come when it is cut
            run = client.send("go", session=f"at {k}")
            fits = seamless(run)
            await soon(lambda run=run, k=k: run.answer_tokens >= k)  # type: ignore[misc]
            proxy.upstream = 9
            began, have = time.perf_counter(), run.text
            proxy.cut()
            models[0].gate.set()
            await soon(lambda run=run, have=have: len(run.text) > len(have))  # type: ignore[misc]
            back.append(time.perf_counter() - began)
            assert await run == TEXT
            assert fits()
            assert [model.calls for model in models] == [1, 0]
            assert client.dialled[0] == there.url
    assert len(back) > 3
    figure("failover with Redis, cut to next token", f"P50 {median(back) * 1000:.1f} ms, one model call each")


# -- gone in peace ---------------------------------------------------------------------------------


@asynchronous
async def test_one_that_goes_away_in_peace_is_left_without_an_error() -> None:
    async with fleet(2, storyteller) as one, meeting(one) as client:
        errors: list[object] = []
        client.on("error", errors.append)
        here = one.place(client)
        await client.send("warm up")
        gateway, one.gateways[here] = one.at(here), None
        await gateway.close()
        assert await client.send("go") == TEXT
        assert one.place(client) == 1 - here
        assert one.models[1 - here].calls == 1
        assert errors == []
        assert not client.stability.why()
        assert "draining" in client.endpoints[here].state


@asynchronous
async def test_what_is_at_work_ends_there_and_new_runs_go_elsewhere() -> None:
    """A gateway that drains says so, refuses what is new, and hangs up when the last run has ended."""
    async with fleet(2, storyteller) as one, meeting(one) as client:
        here = one.place(client)
        gateway, one.gateways[here] = one.at(here), None
        one.models[here].gate = asyncio.Event()
        old = client.send("old", session="a")
        await soon(lambda: old.text)
        drain = asyncio.create_task(gateway.drain(30))
        await soon(lambda: one.at(1 - here)._connections, "another link")
        assert await client.send("new", session="a") == TEXT
        assert one.models[1 - here].calls == 1
        assert not old.done()
        one.models[here].gate.set()
        assert await old == TEXT
        assert one.models[here].calls == 1, "nobody is asked twice"
        await asyncio.wait_for(drain, 60)
        assert "draining" in client.endpoints[here].state


@asynchronous
async def test_what_does_not_end_in_time_goes_on_elsewhere() -> None:
    async with fleet(2, storyteller) as one, meeting(one) as client:
        errors: list[object] = []
        client.on("error", errors.append)
        here = one.place(client)
        gateway, one.gateways[here] = one.at(here), None
        one.models[here].gate = asyncio.Event()
        run = client.send("go")
        fits = seamless(run)
        await soon(lambda: run.tokens == len(PIECES) - 1)
        await gateway.drain(0.05)
        assert await run == TEXT
        assert fits()
        assert one.models[1 - here].partials == ["".join(PIECES[:-1])]
        assert errors == []
        assert not client.stability.why()


@asynchronous
async def test_refused_as_it_drains_and_asked_elsewhere_with_the_same_key() -> None:
    """The word that it goes away may come behind the run that it refuses."""
    async with fleet(2, storyteller) as one, meeting(one, max_restore_attempts=0) as client:
        here = one.place(client)
        gateway = one.at(here)
        gateway._desk.closing = True
        run = client.send("go", idempotency_key="k")
        for connection in gateway._connections:
            connection.send_event("shutdown", {"reason": "gateway restarting"})
        assert await run == TEXT
        assert (one.models[here].calls, one.models[1 - here].calls) == (0, 1)


# -- all of them away ------------------------------------------------------------------------------


@asynchronous
async def test_all_away_and_one_back_again() -> None:
    async with fleet(3, storyteller) as one, meeting(one, max_reconnect_attempts=8) as client:
        states: list[str] = []
        gate = asyncio.Event()
        for model in one.models:
            model.gate = gate
        run = client.send("go")
        run.subscribe(lambda event: states.append(event.words) if isinstance(event, State) else None)
        fits = seamless(run)
        await soon(lambda: run.tokens > 5)
        for number in range(3):
            await one.kill(number)
        await soon(lambda: "reconnecting, attempt 2 of 8" in states)
        gate.set()
        await one.restart(1)
        assert await run == TEXT
        assert fits()
        assert one.place(client) == 1
        assert client.endpoints[0].state.startswith("away (")


@asynchronous
async def test_none_there() -> None:
    async with fleet(2, storyteller) as one:
        cluster = one.cluster("production/cluster-a")
        await one.kill(0)
        await one.kill(1)
        client = OpenClawClient(token=one.token)
        with pytest.raises(ConnectionLost, match="none of the 2 endpoints of agent://production/cluster-a is there"):
            await client.connect(cluster)
        assert client.endpoints == ()


@asynchronous
async def test_one_that_does_not_let_us_in_is_passed_over() -> None:
    async with fleet(1, storyteller) as one, Gateway(model=storyteller(), token="another token") as strange:
        one.urls.append(strange.url)
        for _ in range(6):  # until it was dialled first
            async with meeting(one, weights=[1, 100]) as client:
                assert one.place(client) == 0
                assert await client.send("go") == TEXT
                if client.endpoints[1].failures:
                    assert "does not let us in" in client.endpoints[1].state
                    break
        else:
            raise AssertionError("it was never asked")


# -- many runs -------------------------------------------------------------------------------------


@asynchronous
async def test_200_runs_while_one_of_four_goes_and_comes(figure: Callable[[str, str], None]) -> None:
    async with fleet(4, storyteller) as one, meeting(one, connections=4) as client:
        await soon(lambda: all(state.links == 1 for state in client.endpoints), "a link to each")
        runs: list[Run] = []
        fits = []

        async def trouble() -> None:
            for _ in range(3):
                await asyncio.sleep(0.4)
                await one.kill(2)
                await asyncio.sleep(0.4)
                await one.restart(2)

        troubled = asyncio.create_task(trouble())
        for number in range(200):
            runs.append(client.send(f"go {number}", session=f"s{number % 40}-{number}"))
            fits.append(seamless(runs[-1]))
            await asyncio.sleep(0.01)
        assert [str(await run) for run in runs] == [TEXT] * 200
        await troubled
        assert all(fit() for fit in fits)
        calls = [model.calls for model in one.models]
        assert sum(calls) >= 200
        assert min(calls[:2] + calls[3:]) > 5, "each had its part"
        await soon(lambda: client.endpoints[2].links == 1, "the link back to it")
        more = [client.send("more", session=f"more {number}") for number in range(40)]
        assert [str(await run) for run in more] == [TEXT] * 40
        assert one.models[2].calls > calls[2] + 5, "it has its part again"
    figure("200 runs, one of four endpoints away every second", f"all answered; model calls {calls}")


@pytest.mark.parametrize("balance", ["least-busy", "round-robin"])
@asynchronous
async def test_weights(balance: str, figure: Callable[[str, str], None]) -> None:
    async with (
        fleet(3, lambda: Counted("one")) as one,
        meeting(one, weights=[3, 2, 1], connections=3, balance=balance) as client,
    ):
        await soon(lambda: all(state.links == 1 for state in client.endpoints), "a link to each")
        for number in range(120):
            assert await client.send("go", session=f"s{number}") == "one"
        calls = [model.calls for model in one.models]
        assert calls == [60, 40, 20]
    figure(f"120 runs by weights 3, 2, 1, {balance}", f"{calls}")


@asynchronous
async def test_the_runs_of_a_session_stay_at_one_endpoint() -> None:
    async with fleet(3, lambda: Counted("one")) as one, meeting(one, connections=6) as client:
        await soon(lambda: sum(state.links for state in client.endpoints) == 6)
        for _ in range(5):
            for session in ("a", "b", "c"):
                await client.send("go", session=session)
        assert sorted(model.calls for model in one.models) == [5, 5, 5]
        said = await client.request("chat.history", {"sessionKey": "agent:main:b"})
        assert len(said["messages"]) == 10, "a question about a session goes where it is"
