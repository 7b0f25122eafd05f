"""InFlight at a gateway of somebody else's: runs go on, or their loss is said; nothing is sent that it refuses."""

from __future__ import annotations

import asyncio

import pytest

from openclaw_nb import runs
from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import RunError
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Run, Status
from tests.faults.proxy import CutAfter, FaultProxy
from tests.foreign import foreign
from tests.spine import Counted, asynchronous, let_in, soon


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_a_run(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("go", level=3)
        await soon(lambda: gateway.runs)
        assert gateway.asked[-1] == ("chat.send", {
            "sessionKey": "agent:main:main", "message": "go", "idempotencyKey": run.id, "thinking": "medium",
        })  # fmt: skip
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await gateway.say("another", "nothing of ours")
        await soon(lambda: run.text == "tok0 tok1")
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        assert await run == "tok0 tok1 tok2"


@asynchronous
async def test_cut_and_still_going() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        client._linked().again()
        await soon(lambda: gateway.methods().count("chat.send") == 2 and run.status is Status.STREAMING)
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        assert await run == "tok0 tok1 tok2"
        assert "run.resume" not in gateway.methods()


@asynchronous
async def test_cut_and_over_when_we_are_back() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        gateway.runs[run.id] = "ok"
        gateway.messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "tok0 tok1"}]},
        ]
        client._linked().again()
        assert await run == "tok0 tok1"


@pytest.mark.parametrize(
    "history", [[], [{"role": "user", "content": "go"}], [{"role": "assistant", "content": "else"}]]
)
@asynchronous
async def test_a_gap_that_cannot_be_closed_is_said(history: list[dict[str, object]]) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        gateway.runs[run.id], gateway.messages = "ok", history
        client._linked().again()
        with pytest.raises(RunError, match="ended while the link was down") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("RUN_LOST", "tok0")


@asynchronous
async def test_stopped() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        run.cancel()
        await soon(lambda: "chat.abort" in gateway.methods())
        assert gateway.asked[-1][1] == {"sessionKey": "agent:main:main", "runId": run.id}
        await gateway.say(run.id, "tok0", "aborted")
        assert (await run).status is Status.STOPPED
        assert not client._runs._unstopped


@asynchronous
async def test_a_model_by_name_is_not_asked_for_where_none_is_taken() -> None:
    async with foreign() as (gateway, client):
        with pytest.raises(RunError, match="chooses the model itself") as failure:
            await client.send("go", model="m")
        assert failure.value.code == "NO_MODEL"
        assert "chat.send" not in gateway.methods()


@asynchronous
async def test_without_streaming_it_comes_in_one_piece_here_too() -> None:
    async with foreign() as (gateway, client):
        client.streaming = False
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await asyncio.sleep(0.01)
        assert run.text == ""
        await gateway.say(run.id, "tok0 tok1", "final")
        assert [delta async for delta in run] == ["tok0 tok1"]


@asynchronous
async def test_a_gateway_that_refuses() -> None:
    async with foreign() as (gateway, client):
        gateway.answer = lambda method, params: gateway.refusal("not today")  # type: ignore[method-assign]
        with pytest.raises(RunError, match="not today") as failure:
            await client.send("go")
        assert failure.value.code == "INVALID_REQUEST"


# -- at a gateway of ours --------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("stopped", [False, True])
@asynchronous
async def test_away_for_longer_than_it_is_replayed(
    monkeypatch: pytest.MonkeyPatch, streaming: bool, stopped: bool
) -> None:
    monkeypatch.setattr(runs, "RETAIN", 0.0)
    gate, gaps = asyncio.Event(), list[Run]()
    model = Counted("one ", "two ", until=gate)
    async with (
        Gateway(model) as gateway,
        let_in(gateway) as other,
        FaultProxy(gateway.port) as proxy,
        OpenClawClient(token=gateway.token, streaming=streaming, token_batch_size=1) as client,
    ):
        await client.connect(proxy.url)
        client.on("gap", gaps.append)
        run = client.send("go")
        await soon(lambda: run.text == "one two " if streaming else model.calls)
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        client.reconnect_delay = 0.3
        proxy.cut()
        if stopped:
            await other.ask("chat.abort", sessionKey="main")
        gate.set()
        await soon(lambda: not len(gateway._runs))
        result = await run
        assert result == "one two "
        assert result.status is (Status.STOPPED if stopped else Status.DONE)
        assert gaps == ([] if streaming else [run]), "where all of it is here nothing was missed"
    assert model.calls == 1
