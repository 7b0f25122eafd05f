"""Channel: one link with its session and runs, dialled again after it has given up, and left for good."""

from __future__ import annotations

import asyncio

import pytest

from openclaw_nb.client import route
from openclaw_nb.errors import ConnectionLost, RunError
from openclaw_nb.events import Status
from openclaw_nb.gateway import Gateway
from tests.cluster.daemons import free_port
from tests.faults.fleet import Storyteller, fleet, meeting
from tests.spine import LIMIT, Counted, asynchronous, serving, soon


@asynchronous
async def test_what_it_says_of_itself() -> None:
    async with serving(Counted("one")) as (gateway, client):
        channel = client._linked().first
        assert repr(channel) == f"<Channel to {gateway.url}, 0 runs in flight>"
        assert channel.up
        assert channel.seen is not None
        assert channel.seen < LIMIT
    assert channel.is_closed
    assert not channel.up
    with pytest.raises(ConnectionLost, match="not connected"):
        channel.linked()


@asynchronous
async def test_it_is_dialled_again_for_the_next_run() -> None:
    first = Gateway(model=Counted("one"), token="same", port=free_port())
    await first.start()
    async with serving(Counted("x"), max_reconnect_attempts=1, reconnect_delay=0.01) as (_, client):
        client._secret = "same"
        await client.connect(first.url)
        channel, link = client._linked().first, client._linked().first.link
        await first.close()
        await soon(lambda: link.ended)
        assert not client.connected
        with pytest.raises(RunError):
            await client.send("while nobody is there")
        async with Gateway(model=Counted("two"), token="same", port=first.port):
            assert await client.send("go") == "two"
            assert client._linked().first is channel
            assert channel.link is not link


@asynchronous
async def test_what_is_launched_after_it_was_left_ends() -> None:
    async with serving(Counted("one")) as (_, client):
        channel = client._linked().first
        run = client.send("go")
        (flight,) = client.flights
        await client.close()
        assert run.status is Status.FAILED
        channel.launch(flight)
        with pytest.raises(RunError, match="the client was closed"):
            await run


@asynchronous
async def test_a_session_s_runs_wait_on_it_while_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "QUICK", 60.0)  # no attempt is given up because the machine is slow
    monkeypatch.setattr(route, "WHERE_OTHERS_ARE", 60.0)
    async with fleet(2, lambda: Storyteller("one ", "two", pause=0.01)) as one, meeting(one) as client:
        told: list[object] = []
        for name in ("error", "reconnect", "reconnected"):
            client.on(name, lambda *what, name=name: told.append((name, *what[:1])))
        await one.kill(one.place(client))
        runs = [client.send("go") for _ in range(3)]
        assert [str(await run) for run in runs] == ["one two"] * 3
        assert [what[0] for what in told if isinstance(what, tuple)] == ["error", "reconnect", "reconnected"]
        await asyncio.sleep(0)
        assert client.connected
