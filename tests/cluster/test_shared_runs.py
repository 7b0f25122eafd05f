"""A Redis that is not there, goes away, forgets, sleeps or says no: instances stand alone meanwhile, and say so."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.gateway import Gateway
from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon, free_port
from tests.sharing.together import address, instances, loud, send, text_of, whole
from tests.spine import Counted, asynchronous, soon

PIECES = [f"{i}:é😀\ud800 " for i in range(40)]
TEXT = "".join(PIECES)


def test_none_there_at_the_start() -> None:
    async def start() -> None:
        await Gateway(token="same", sharing=f"redis://127.0.0.1:{free_port()}/0").start()

    with pytest.raises(ConfigError, match=r"there is no Redis at redis://127\.0\.0\.1:\d+/0: .*(refused|failed)"):
        asyncio.run(start())


@asynchronous
async def test_a_password(redis_server: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "planted-0123456789")
    redis = redis_server("--requirepass", "planted-0123456789")
    async with Gateway(token="same", sharing=Sharing(address(redis), password="env:REDIS_PASSWORD")) as gateway:
        assert gateway.shared is True
    monkeypatch.setenv("REDIS_PASSWORD", "wrong-0123456789")
    for password in ("env:REDIS_PASSWORD", None):
        with pytest.raises(ConfigError) as refused:
            await Gateway(token="same", sharing=Sharing(address(redis), password=password)).start()
        assert "wrong-0" not in str(refused.value)


@asynchronous
async def test_away_and_back(redis_server: Callable[..., Daemon], caplog: pytest.LogCaptureFixture) -> None:
    redis = redis_server()
    gate = asyncio.Event()
    model = Counted(*PIECES, pause=0.002, until=gate)
    async with instances(redis, model, model) as (first, second), loud(first, second) as (one, other):
        await send(one)
        await send(other, "k2", session="s2")
        await one.event("chat", runId="k", state="delta")
        redis.kill()
        await soon(lambda: first.shared is False and second.shared is False)
        assert (await one.ask("health"))["payload"]["shared"] is False
        await send(one, "k3", session="s3")
        await one.ask("run.resume", runId="k")
        gate.set()
        assert await whole(one) == TEXT
        await one.ask("run.resume", runId="k3")
        assert await whole(one, "k3") == TEXT
        redis.start()
        await soon(lambda: first.shared and second.shared)
        for key in ("k", "k3"):
            await soon_known(other, key)
            await other.ask("run.resume", runId=key)
            assert await whole(other, key) == TEXT, "what was said alone is known to all now"
        told = await other.ask("chat.history", sessionKey="main", limit=9)
        assert [m["content"][0]["text"] for m in told["payload"]["messages"]] == ["go", TEXT]
        gate.clear()
        await send(other, "k4", session="s4")
        assert (await send(one, "k4", session="s4"))["payload"]["status"] == "in_flight"
        gate.set()
        assert await whole(one, "k4") == TEXT
    assert model.calls == 4
    assert "this instance stands alone until it is back" in caplog.text


async def soon_known(raw, key: str) -> None:  # type: ignore[no-untyped-def]
    for _ in range(2_000):
        if (await raw.ask("agent.wait", runId=key, timeoutMs=1))["payload"]["status"] == "ok":
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{key} is not known")


@asynchronous
async def test_restarted_empty_again_and_again_under_load(redis_server: Callable[..., Daemon]) -> None:
    redis = redis_server()
    model = Counted(*PIECES, pause=0.004)
    async with instances(redis, *[model] * 3) as gateways, loud(*gateways) as raws:

        async def ask(n: int) -> str:
            async with loud(gateways[n % 3]) as (raw,):
                await asyncio.sleep(n * 0.03)
                await send(raw, f"k{n}", session=f"s{n}")
                return await whole(raw, f"k{n}")

        asked = [asyncio.create_task(ask(n)) for n in range(40)]
        for _ in range(4):
            await asyncio.sleep(0.25)
            redis.kill()
            await asyncio.sleep(0.05)
            redis.start()
        assert await asyncio.gather(*asked) == [TEXT] * 40
        await soon(lambda: all(gateway.shared for gateway in gateways))
        await send(raws[0])
        await raws[1].ask("run.resume", runId="k")
        await whole(raws[0])
    assert model.calls <= 41


@asynchronous
async def test_nothing_is_told_that_redis_has_not(
    redis_server: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openclaw_nb.sharing.link.PATIENCE", 200)  # nor is it given up meanwhile
    redis = redis_server()
    gate = asyncio.Event()

    async def model(prompt: str) -> AsyncIterator[str]:
        yield "one "
        await gate.wait()
        yield "two "

    async with instances(redis, model) as (gateway,), loud(gateway) as (raw,):
        await send(raw)
        assert (await raw.event("chat"))["deltaText"] == "one "
        redis.signal(signal.SIGSTOP)
        gate.set()
        more = asyncio.create_task(whole(raw, so_far="one "))
        await asyncio.sleep(0.2)
        run = gateway._runs.find("k")
        assert run is not None
        assert (str(run.log.text), more.done()) == ("one ", False)
        redis.signal(signal.SIGCONT)
        assert await more == "one two "


@asynchronous
async def test_one_that_sleeps_holds_nobody_up_for_long(redis_server: Callable[..., Daemon]) -> None:
    redis = redis_server()
    model = Counted(*PIECES, pause=0.002)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (one, _other):
        await send(one)
        await one.event("chat", state="delta")
        redis.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(40):
                await one.ask("run.resume", runId="k")
                assert await whole(one) == TEXT
                assert gateways[0].shared is False
                await send(one, "k2", session="s2")
                assert await whole(one, "k2") == TEXT
        finally:
            redis.signal(signal.SIGCONT)
        await soon(lambda: all(gateway.shared for gateway in gateways))
    assert model.calls == 2


@asynchronous
async def test_followed_at_an_instance_that_lost_it(
    redis_server: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who follows it where it is not at work is told that it is to be asked for anew, and is not left waiting."""
    monkeypatch.setattr("openclaw_nb.gateway.shared_runs.STRANDED", 0.2)
    redis = redis_server()
    model = Counted("one ", until=asyncio.Event())
    async with instances(redis, model, model) as gateways, loud(*gateways) as (one, other):
        await send(one)
        await one.event("chat", state="delta")
        await other.ask("run.resume", runId="k")
        redis.kill()
        text, end = await text_of(other)
        assert (text, end["errorCode"]) == ("one ", "GATEWAY_STOPPED")


@asynchronous
async def test_one_that_is_full(redis_server: Callable[..., Daemon], caplog: pytest.LogCaptureFixture) -> None:
    redis = redis_server("--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
    big = "x" * 3_000_000

    async def model(prompt: str) -> AsyncIterator[str]:
        yield big
        yield "end"

    async with instances(redis, model) as (gateway,), loud(gateway) as (raw,):
        for n in range(3):
            await send(raw, f"k{n}", session=f"s{n}")
            assert await whole(raw, f"k{n}") == f"{big}end"
    assert "stands alone" in caplog.text


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match=r"pip install 'openclaw_nb\[redis\]'"):
        Sharing("redis://127.0.0.1/0")


@pytest.mark.parametrize(
    "wrong",
    ["redis://:secret-0123456789@h/0", "http://h", "redis://h/x", "", "redis://u:p@h", "redis://h/0?password=p"],
)
def test_an_address_that_cannot_be_one(wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Sharing(wrong)
    assert "secret-0" not in str(refused.value)


@asynchronous
async def test_nothing_secret_is_there(
    redis_server: Callable[..., Daemon],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    planted = "planted-9876543210"
    monkeypatch.setenv("SOME_API_KEY", planted)
    monkeypatch.setenv("REDIS_PASSWORD", "opens-0123456789")
    redis = redis_server("--requirepass", "opens-0123456789")

    async def model(prompt: str) -> AsyncIterator[str]:
        yield "one "
        raise ValueError(f"no such key: {planted}")

    sharing = Sharing(address(redis), password="env:REDIS_PASSWORD", prefix="secret-test")
    async with Gateway(model=model, token="the-token-0123456789", sharing=sharing) as gateway, loud(gateway) as (raw,):
        await send(raw, message=f"use {planted} please, and http://me:{planted}@host/")
        assert (await text_of(raw))[1]["state"] == "error"
        client = sharing.address.client()
        found = []
        async for key in client.scan_iter():
            found += [key, await client.dump(key) or b""]
            kind = await client.type(key)
            if kind == b"hash":
                found += (await client.hgetall(key)).values()
            elif kind == b"list":
                found += await client.lrange(key, 0, -1)
        await client.aclose()
        everything = b"\n".join(found)
        assert b"env:SOME_API_KEY" in everything
        for secret in (planted, "the-token", "opens-0123"):
            assert secret.encode() not in everything
            assert secret not in f"{gateway!r} {sharing!r} {vars(sharing)!r} {caplog.text}"
