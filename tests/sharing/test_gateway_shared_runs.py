"""Shared runs: asked for once whoever is asked, told by each instance, stopped and changed from each, in one order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from openclaw_nb import models
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Engine
from openclaw_nb.gateway import Gateway
from openclaw_nb.sharing import Sharing
from openclaw_nb.snapshots import SnapshotStore
from tests.cluster.daemons import Daemon
from tests.sharing.together import address, instances, keys, loud, send, text_of, whole
from tests.spine import Counted, asynchronous, on_both_loops, soon

PIECES = [f"{i}:{character} " for i, character in enumerate("aé€😀\0\u200d\u0301א\ud800" * 4)]
TEXT = "".join(PIECES)


@on_both_loops
async def test_a_request_that_two_instances_get_is_answered_once(redis: Daemon) -> None:
    model = Counted(*PIECES)
    async with instances(redis, model, model, model) as gateways, loud(*gateways) as raws:
        for n in range(20):
            replies = await asyncio.gather(*(send(raw, f"k{n}", session=f"s{n}") for raw in raws))
            status = sorted(reply["payload"]["status"] for reply in replies)
            assert status.count("started") == 1, status
            assert await asyncio.gather(*(whole(raw, f"k{n}") for raw in raws)) == [TEXT] * 3
        again = [await send(raw, "k3", session="s3") for raw in raws]
        assert [reply["payload"]["status"] for reply in again] == ["ok"] * 3
    assert model.calls == 20


@asynchronous
async def test_another_message_under_the_same_key(redis: Daemon) -> None:
    model = Counted("one ")
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        await send(first)
        await whole(first)
        refused = await send(second, message="another")
        assert refused["error"]["details"] == {"reason": "chat-request-conflict"}
        assert (await send(second))["ok"]
        refused = await send(second, message="another")
        assert refused["error"]["details"] == {"reason": "chat-request-conflict"}
    assert model.calls == 1


@asynchronous
async def test_gone_on_with_at_another_instance_from_each_character(redis: Daemon) -> None:
    gate = asyncio.Event()
    model = Counted(*PIECES, until=gate)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        await send(first)
        so_far = ""
        while len(so_far) < len(TEXT):
            so_far += (await first.event("chat", runId="k", state="delta"))["deltaText"]
        for offset in range(len(TEXT)):
            reply = await second.ask("run.resume", runId="k", offset=offset)
            assert reply["payload"] == {"runId": "k", "status": "in_flight"}
            told = await second.event("chat", runId="k")
            assert (told["offset"], told["deltaText"]) == (offset, TEXT[offset:])
        gate.set()
        assert (await second.event("chat", state="final"))["length"] == len(TEXT)
        ended = await second.ask("run.resume", runId="k", offset=3)
        assert ended["payload"]["status"] == "ok"
        assert await whole(second, so_far=TEXT[:3]) == TEXT
        unknown = await second.ask("run.resume", runId="nobody's")
        assert unknown["error"]["code"] == "NOT_FOUND"
    assert model.calls == 1


@asynchronous
async def test_followed_while_it_goes_on(redis: Daemon) -> None:
    model = Counted(*PIECES, pause=0.002)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        await send(first)
        assert (await send(second))["payload"]["status"] == "in_flight"
        assert await asyncio.gather(whole(first), whole(second)) == [TEXT] * 2
        waited = await second.ask("agent.wait", runId="k", timeoutMs=1000)
        assert waited["payload"]["status"] == "ok"


@asynchronous
async def test_stopped_and_waited_for_from_another_instance(redis: Daemon) -> None:
    model = Counted("one ", until=asyncio.Event())
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        for n, params in enumerate(({"runId": "k0"}, {}, {"runId": "k2"})):
            await send(first, f"k{n}", session="s")
            await first.event("chat", runId=f"k{n}", state="delta")
            late = await second.ask("agent.wait", runId=f"k{n}", timeoutMs=1)
            assert late["payload"]["status"] == "timeout"
            stopped = await second.ask("chat.abort", sessionKey="s", **params)
            assert stopped["payload"] == {"ok": True, "aborted": True, "runIds": [f"k{n}"]}
            ended = await first.event("chat", runId=f"k{n}", state="aborted")
            assert ended["stopReason"] == "rpc"
        nothing = await second.ask("chat.abort", sessionKey="s", runId="k1")
        assert nothing["payload"]["aborted"] is False
        await soon(lambda: model.closed == 3)


@asynchronous
async def test_its_level_is_changed_from_another_instance(redis: Daemon) -> None:
    model = Counted("one ", until=asyncio.Event())
    async with instances(redis, model, model) as (first, second), loud(first, second) as (one, other):
        await send(one, thinking="low")
        await one.event("chat", state="delta")
        changed = await other.ask("run.level", runId="k", thinking="high")
        assert changed["payload"]["status"] == "in_flight"
        run = first._runs.find("k")
        assert run is not None
        await soon(lambda: run.turn.depth == 4)


@asynchronous
async def test_a_time_limit_is_kept_wherever_it_is_followed(redis: Daemon) -> None:
    model = Counted("one ", until=asyncio.Event())
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        for limit in (50, 1_000, 30_000):  # the shortest in which it has said something here
            await send(first, f"k{limit}", session=f"s{limit}", timeoutMs=limit)
            await second.ask("run.resume", runId=f"k{limit}")
            text, end = await text_of(second, f"k{limit}")
            assert (end["state"], end["stopReason"]) == ("aborted", "timeout")
            if text:
                break
        assert text == "one "


@asynchronous
async def test_a_session_goes_on_at_another_instance(redis: Daemon) -> None:
    async def parrot(prompt: str) -> AsyncIterator[str]:
        yield f"you said {prompt}"

    async with instances(redis, parrot, parrot) as gateways, loud(*gateways) as raws:
        for n in range(6):
            await send(raws[n % 2], f"k{n}", f"word {n}")
            assert await whole(raws[n % 2], f"k{n}") == f"you said word {n}"
        told = [await raw.ask("chat.history", sessionKey="main", limit=50) for raw in raws]
        texts = [[m["content"][0]["text"] for m in one["payload"]["messages"]] for one in told]
        assert texts[0] == texts[1] == [words for n in range(6) for words in (f"word {n}", f"you said word {n}")]


@asynchronous
async def test_a_session_that_begins_anew_does_so_everywhere(redis: Daemon) -> None:
    model = Counted("one ")
    async with instances(redis, model, model) as gateways, loud(*gateways) as raws:
        for n, raw in enumerate(raws):
            await send(raw, f"k{n}")
            await whole(raw, f"k{n}")
        await gateways[0]._desk.forget("main", "main", "reset")
        for n, raw in enumerate(raws):
            told = await raw.ask("chat.history", sessionKey="main", limit=50)
            assert len(told["payload"]["messages"]) == 2 * n
            await send(raw, f"new{n}")
            await whole(raw, f"new{n}")


@asynchronous
async def test_the_runs_of_a_session_work_one_after_the_other_wherever_they_are(redis: Daemon) -> None:
    at_work, most, order = 0, 0, []

    async def model(prompt: str) -> AsyncIterator[str]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        order.append(prompt)
        yield prompt
        await asyncio.sleep(0.01)
        at_work -= 1

    async with instances(redis, model, model, model) as gateways, loud(*gateways) as raws:
        for n in range(12):
            await send(raws[n % 3], f"k{n}", f"{n}", "s")
        assert await asyncio.gather(*(whole(raws[n % 3], f"k{n}") for n in (9, 10, 11))) == ["9", "10", "11"]
    assert (most, order) == (1, [f"{n}" for n in range(12)])


@asynchronous
async def test_one_that_waits_for_its_turn_is_stopped_and_the_next_one_has_it(redis: Daemon) -> None:
    gate = asyncio.Event()
    model = Counted("one ", until=gate)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (first, second):
        await send(first, "k0")
        await send(second, "k1")
        await send(first, "k2")
        stopped = await first.ask("chat.abort", sessionKey="main", runId="k1")
        assert stopped["payload"]["aborted"] is True
        assert (await second.event("chat", runId="k1", state="aborted"))["length"] == 0
        gate.set()
        assert await whole(first, "k2") == "one "
    assert model.calls == 2


@asynchronous
async def test_one_that_failed_is_asked_for_anew_at_another_instance(redis: Daemon) -> None:
    async def failing(prompt: str) -> AsyncIterator[str]:
        yield "one "
        raise ValueError("broken")

    model = Counted("one ", "two ")
    async with instances(redis, failing, model) as gateways, loud(*gateways) as (first, second):
        await send(first)
        text, end = await text_of(first)
        assert (text, end["state"]) == ("one ", "error")
        assert (await send(second))["payload"]["status"] == "ok", "it is the same request"
        assert (await text_of(second))[1]["state"] == "error"
        again = await send(second, retry=True, partial={"text": "one ", "tokens": 1})
        assert again["payload"]["status"] == "started"
        assert await whole(second, so_far="one ") == "one two "
        assert (await send(first, retry=True))["payload"]["status"] == "ok"
        told = await first.ask("chat.history", sessionKey="main", limit=50)
        assert [m["content"][0]["text"] for m in told["payload"]["messages"]] == ["go", "one two "]


@asynchronous
async def test_handed_over_to_whoever_is_there(redis: Daemon) -> None:
    gate, calls = asyncio.Event(), [0, 0, 0]

    def model(number: int) -> Callable[[str], AsyncIterator[str]]:
        async def speak(prompt: str) -> AsyncIterator[str]:
            calls[number] += 1
            for at, piece in enumerate(PIECES):
                if at == len(PIECES) // 2:
                    await gate.wait()
                yield piece

        return speak

    async with instances(redis, *map(model, range(3))) as gateways, loud(*gateways) as raws:
        await soon(lambda: all(gateway._sharing.others == 2 for gateway in gateways))  # type: ignore[union-attr]
        for n in range(6):
            await send(raws[0], f"k{n}", session=f"s{n}")
            await raws[0].event("chat", runId=f"k{n}", state="delta")
        await gateways[0].hand_over()
        assert gateways[0]._runs.at_work() == []
        gate.set()
        texts = []
        for n in range(6):
            await raws[1].ask("run.resume", runId=f"k{n}")
            texts.append(await whole(raws[1], f"k{n}"))
        assert texts == [TEXT] * 6
    assert calls[0] == 6
    assert calls[1] + calls[2] == 6


@asynchronous
async def test_closing_with_others_there_ends_no_run(redis: Daemon) -> None:
    models = [Counted(*PIECES, pause=0.005) for _ in range(2)]
    async with instances(redis, *models) as (first, second), OpenClawClient(token="same") as client:
        await client.connect(first.url)
        await soon(lambda: first._sharing.others == 1)  # type: ignore[union-attr]
        run = client.send("go")
        await soon(lambda: run.text)
        before = len(run.text)
        await first.close()
        async with loud(second) as (raw,):
            await raw.ask("run.resume", runId=run.id, offset=before)
            assert await whole(raw, run.id, TEXT[:before]) == TEXT
        run.cancel()


@asynchronous
async def test_closing_alone_ends_them(redis: Daemon) -> None:
    model = Counted("one ", until=asyncio.Event())
    async with instances(redis, model) as (gateway,), loud(gateway) as (raw,):
        await send(raw)
        await raw.event("chat", state="delta")
        await gateway.close()
        assert (await raw.event("chat", state="error"))["errorCode"] == "GATEWAY_STOPPED"


@asynchronous
async def test_what_is_kept_there_ends_by_itself(redis: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counted("one ")
    async with instances(redis, model) as (gateway,), loud(gateway) as (raw,):
        for n in range(3):
            await send(raw, f"k{n}", session="s")
            await whole(raw, f"k{n}")
        found = await keys(gateway)
        assert sorted(key.rpartition(":")[2] for key in found) == ["alive", "run", "run", "run", "said"]
        assert gateway._sharing is not None
        client = gateway._sharing.address.client()
        for key in found:
            if not key.endswith(":alive"):
                assert 0 < await client.pttl(key) <= 86_400_000, key
        monkeypatch.setattr("openclaw_nb.gateway.runs.RETAIN_BYTES", 1)
        monkeypatch.setattr("openclaw_nb.gateway.shared_runs.RETAIN_BYTES", 1)
        await send(raw, "k4", session="s")
        await whole(raw, "k4")
        await soon(lambda: len(gateway._runs) == 1)
        await send(raw, "k4", session="s")
        assert sum(key.endswith(":run") for key in await keys(gateway)) == 1, "what is too much is forgotten there too"
        await client.aclose()


@asynchronous
async def test_a_handler_s_runs_are_shared_but_not_gone_on_with(redis: Daemon) -> None:
    engine = Engine(SnapshotStore(), models.resolve(Counted("one ", until=asyncio.Event())))
    prefix = "test-handler"
    shared = [Sharing(address(redis), prefix=prefix, lease=60.0) for _ in range(2)]
    made = [Gateway(engine=engine, handler=engine.turn, token="same", sharing=one) for one in shared]
    async with made[0] as first, made[1] as second, loud(first, second) as (one, other):
        await soon(lambda: first._sharing.others == 1)  # type: ignore[union-attr]
        await send(one)
        await one.event("chat", state="delta")
        await first.hand_over()
        await other.ask("run.resume", runId="k")
        text, end = await text_of(other)
        assert (text, end["errorCode"]) == ("one ", "RUN_LOST")
