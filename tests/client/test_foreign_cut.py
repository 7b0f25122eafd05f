"""Foreign after a cut, a restart or a stop: runs are found again and never asked for twice, and a loss is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.errors import RunError
from openclaw_nb.events import Status
from openclaw_nb.run import Run
from tests.foreign import Foreign, foreign
from tests.spine import asynchronous, soon, taken


async def begun(gateway: Foreign, run: Run, text: str = "tok0") -> None:
    await soon(lambda: run.id in gateway.runs)
    await gateway.say(run.id, text)
    await soon(lambda: run.text)


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_cut_and_still_going(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        gateway.so_far[run.id] = "tok0 tok1"  # said while nobody heard it
        await client.reconnect()
        await soon(lambda: run.status is Status.STREAMING)
        if protocol == 4:
            await soon(lambda: run.text == "tok0 tok1")
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        assert await run == "tok0 tok1 tok2"
        assert len(gateway.sent) == 1, "its answer would be paid for twice"
        assert "run.resume" not in gateway.methods()


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_cut_and_over_when_we_are_back(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        gaps: list[Run] = []
        client.on("gap", gaps.append)
        run = client.send("go")
        await begun(gateway, run)
        gateway.over(run.id, "tok0 tok1")
        client._linked().first.link.again()
        result = await run
    assert (result, gaps) == ("tok0 tok1", [run])
    assert result.model == "m"


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_cut_before_it_was_accepted(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        real = gateway.answer

        def cut(method: str, params: dict[str, Any]) -> dict[str, Any]:
            if method in ("chat.send", "agent"):
                gateway.answer = real  # type: ignore[method-assign]
                real(method, params)
                client._linked().first.link.again()
            return real(method, params)

        gateway.answer = cut  # type: ignore[method-assign]
        run = client.send("go")
        await soon(lambda: len(gateway.sent) == 2)
        assert gateway.sent[0] == gateway.sent[1], "the key says that it is the same one"
        await gateway.say(run.id, "done", "final")
        assert await run == "done"


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_cut_behind_a_tools_call(protocol: int) -> None:
    """Only the newest part is told then, so that what came between is filled in at the end."""
    async with foreign(protocol) as (gateway, client):
        run = client.send("go")
        await begun(gateway, run, "let me")
        await client.reconnect()
        await soon(lambda: run.status is Status.STREAMING)
        await gateway.say(run.id, "it is")
        await asyncio.sleep(0.02)
        assert run.text == "let me", "whether there was something between is not known"
        gateway.over(run.id, "let me look", "it is red")
        await gateway.event("chat", {
            "runId": run.id, "state": "final", "message": {"role": "assistant", "content": "it is red"},
        })  # fmt: skip
        assert await run == "let me look\n\nit is red"


@asynchronous
async def test_a_part_that_nobody_has_any_more() -> None:
    async with foreign() as (gateway, client):
        gaps: list[Run] = []
        client.on("gap", gaps.append)
        run = client.send("go")
        await begun(gateway, run, "let me")
        await client.reconnect()
        await soon(lambda: run.status is Status.STREAMING)
        await gateway.say(run.id, "it is")
        gateway.messages.clear()
        await gateway.event("chat", {
            "runId": run.id, "state": "final", "message": {"role": "assistant", "content": "it is red"},
        })  # fmt: skip
        result = await run
    assert (result, gaps) == ("let me", [run])
    assert result.words == "what came while the link was cut is not here; %openclaw history shows it"


@pytest.mark.parametrize(
    "history", [[], [{"role": "user", "content": "go"}], [{"role": "assistant", "content": "else"}], [None, 7], 7]
)
@asynchronous
async def test_a_gap_that_cannot_be_closed_is_said(history: Any) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        gateway.so_far.clear()
        gateway.runs[run.id] = "ok"
        gateway.history = lambda _: {"messages": history}  # type: ignore[method-assign]
        client._linked().first.link.again()
        with pytest.raises(RunError, match=r"ended unheard, .* its history has no answer") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("RUN_LOST", "tok0")


@asynchronous
async def test_it_failed_meanwhile() -> None:
    async with foreign(3) as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        real = gateway.answer
        gateway.answer = lambda method, params: (  # type: ignore[method-assign]
            {"ok": True, "payload": {"status": "error", "error": "no credit"}}
            if method == "agent.wait"
            else real(method, params)
        )
        client._linked().first.link.again()
        with pytest.raises(RunError, match="no credit"):
            await run


@pytest.mark.parametrize("whole", [True, False])
@asynchronous
async def test_a_gateway_that_was_restarted(whole: bool) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        gateway.so_far.clear()
        gateway.over(run.id, *(["tok0 tok1"] if whole else []))
        gateway.boot = "second"
        client._linked().first.link.again()
        if whole:
            assert await run == "tok0 tok1"
        else:
            with pytest.raises(RunError, match="was restarted while it answered") as lost:
                await run
            assert lost.value.partial == "tok0"
        assert len(gateway.sent) == 1


@asynchronous
async def test_those_that_wait_outlast_a_cut() -> None:
    async with foreign() as (gateway, client):
        first, second = client.send("a"), client.send("b")
        await begun(gateway, first)
        await client.reconnect()
        await soon(lambda: first.status is Status.STREAMING)
        await gateway.say(first.id, "tok0 tok1", "final")
        await soon(lambda: second.id in gateway.runs)
        await gateway.say(second.id, "b", "final")
        assert [await first, await second] == ["tok0 tok1", "b"]


# -- stopped -------------------------------------------------------------------------------------


@asynchronous
async def test_stopped() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        run.cancel()
        await soon(lambda: "chat.abort" in gateway.methods())
        assert gateway.asked[-1][1] == {"sessionKey": "agent:main:main", "runId": run.id}
        await gateway.say(run.id, "tok0", "aborted")
        assert (await run).status is Status.STOPPED
        assert not client._linked().first.runs._unstopped


@asynchronous
async def test_stopped_at_3() -> None:
    """`chat.abort` knows nothing of what `agent` began; what stops it ends it as an answer that was stopped."""
    async with foreign(3) as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        run.cancel()
        await soon(lambda: "chat.send" in gateway.methods())
        assert gateway.asked[-1][1]["message"] == "[notebook] /stop"
        assert gateway.asked[-1][1]["idempotencyKey"] != run.id
        await gateway.work(run.id, "lifecycle", phase="end", aborted=True)
        await gateway.say(run.id, "tok0 tok1", "final")
        result = await run
        assert (result.status, result, result.words) == (Status.STOPPED, "tok0 tok1", "stopped by you")


@asynchronous
async def test_stopped_before_there_is_anything_to_stop() -> None:
    async with foreign(3) as (gateway, client):
        run = client.send("go")
        await soon(lambda: taken(client))
        run.cancel()
        await soon(lambda: gateway.methods().count("chat.send") == 1)
        await gateway.work(run.id, "lifecycle", phase="start")
        await soon(lambda: gateway.methods().count("chat.send") == 2)
        assert (await run).status is Status.STOPPED


@pytest.mark.parametrize("at", ["chat.history", "models.list", "chat.send"])
@asynchronous
async def test_stopped_while_it_is_asked_for(at: str) -> None:
    async with foreign() as (gateway, client):
        real = gateway.answer

        def stopping(method: str, params: dict[str, Any]) -> dict[str, Any]:
            if method == at:
                run.cancel()
            return real(method, params)

        gateway.answer = stopping  # type: ignore[method-assign]
        run = client.send("go")
        if at == "chat.send":
            await soon(lambda: gateway.methods().count("chat.abort") == 2)
            await gateway.say(run.id, "", "aborted")
        assert (await run).status is Status.STOPPED
        assert len(gateway.sent) == (at == "chat.send")
        await soon(lambda: not client._linked().first.runs._unstopped)


@asynchronous
async def test_stopped_by_somebody_else() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await begun(gateway, run)
        await gateway.say(run.id, "tok0", "aborted", stopReason="rpc")
        result = await run
        assert (result.status, result.words) == (Status.STOPPED, "stopped by another client")
