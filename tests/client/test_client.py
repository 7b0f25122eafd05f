"""OpenClawClient: connecting, sending from anywhere, events, and what becomes of runs when it or its loop goes."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient, route
from openclaw_nb.config import known_token
from openclaw_nb.errors import (
    AuthError,
    ConfigError,
    ConnectionLost,
    OpenClawError,
    ProtocolError,
    RequestError,
    RunError,
)
from openclaw_nb.events import Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import MAX_FRAME
from openclaw_nb.run import Result, Run
from tests.faults.proxy import FaultProxy, behind
from tests.spine import LIMIT, Counted, answering, asynchronous, on_both_loops, serving, soon

NOBODY = "ws://127.0.0.1:9"  # discard: nobody listens


@contextmanager
def a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own, as the runtime's does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


# -- connecting ------------------------------------------------------------------------------------


@asynchronous
async def test_not_connected() -> None:
    client = OpenClawClient()
    assert repr(client) == "<OpenClawClient (no address) not connected, 0 runs in flight>"
    for call in (client.hello, client.reconnect, lambda: client.request("health")):
        with pytest.raises(ConnectionLost, match="not connected"):
            await call()
    with pytest.raises(ConnectionLost, match="not connected"):
        client.send("go")
    await client.close()


@asynchronous
async def test_one_that_was_closed_says_so() -> None:
    async with serving(Counted("one")) as (_, client):
        await client.close()
        with pytest.raises(ConnectionLost, match="not connected any more: it was closed, or openclaw_nb was unloaded"):
            client.send("go")


@asynchronous
async def test_connected() -> None:
    async with serving(Counted("one")) as (gateway, client):
        assert client.connected
        assert repr(client) == f"<OpenClawClient {gateway.url} connected, 0 runs in flight>"
        hello = await client.hello()
        assert hello.protocol == 4
        await client.connect(gateway.url)
        assert await client.send("go") == "one"
        await client.close()
        await client.close()
        assert not client.connected
        with pytest.raises(ConnectionLost, match="not connected"):
            client.send("go")
        await client.connect(gateway.url)
        assert await client.send("go") == "one"


@asynchronous
async def test_a_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Gateway(token="from-env") as gateway:
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "from-env")
        async with OpenClawClient() as client:
            await client.connect(gateway.url)
        with pytest.raises(AuthError):
            await OpenClawClient(token="its own comes first").connect(gateway.url)
        monkeypatch.setenv("OPENCLAW_GATEWAY_URL", gateway.url)
        assert known_token(gateway.url + "/") == "from-env"
        for other in ("ws://127.0.0.1:1", "wss" + gateway.url[2:], "wss://gw.example.org"):
            monkeypatch.setenv("OPENCLAW_GATEWAY_URL", other)
            with pytest.raises(AuthError):
                await OpenClawClient().connect(gateway.url)
        monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "agent://local")
        assert known_token(gateway.url) == "from-env"


@pytest.mark.parametrize("uri", ["nonsense", "ws://evil.com", "agent://unknown", "ws://127.0.0.1:1?token=x"])
@asynchronous
async def test_an_address_that_is_none(uri: str) -> None:
    with pytest.raises(ConfigError):
        await OpenClawClient().connect(uri)


@asynchronous
async def test_nobody_there() -> None:
    client = OpenClawClient()
    with pytest.raises(ConnectionLost, match=r"no gateway at ws://127\.0\.0\.1:9: connection refused"):
        await client.connect(NOBODY)
    assert not client.connected
    with pytest.raises(ConnectionLost):
        client.send("go")


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (b"", ConnectionLost, "it hung up"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ProtocolError, "is no gateway: it answers with HTTP 200"),
        (
            b'HTTP/1.1 403 Forbidden\r\nContent-Length: 39\r\n\r\n{"error":"proxy_attribution_required",1}',
            ProtocolError,
            "does not know the proxy before it; its owner has to name that in gateway.trustedProxies",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ProtocolError, "HTTP 403"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ConnectionLost, "HTTP 503"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", ProtocolError, "is no gateway"),
        (None, ConnectionLost, "no answer from .* within 0.2 s"),
    ],
)
@asynchronous
async def test_something_else_there(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, error: type[OpenClawError], sentence: str
) -> None:
    if answer is None:
        monkeypatch.setattr(route, "OPEN_TIMEOUT", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)

    async with answering(serve) as port:
        with pytest.raises(error, match=sentence):
            await OpenClawClient().connect(f"ws://127.0.0.1:{port}")


@asynchronous
async def test_connecting_can_be_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    client = OpenClawClient()
    async with answering(serve) as port:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.connect(f"ws://127.0.0.1:{port}"), 0.1)
    assert not client.connected


@asynchronous
async def test_a_first_connection_that_fails_and_a_send_that_tries_again() -> None:
    model = Counted("one")
    async with Gateway(model=model) as gateway, FaultProxy(9) as proxy:
        client = OpenClawClient()
        client.open("agent://local", proxy.url, gateway.token)
        waiting = client.send("go")
        with pytest.raises(ConnectionLost):
            await client.hello()
        with pytest.raises(RunError, match="no gateway at agent://local"):
            await waiting
        proxy.upstream = gateway.port
        runs = [client.send("go", session=f"{i}") for i in range(3)]
        assert [await run for run in runs] == ["one"] * 3
        assert (await client.hello()).protocol == 4
        await client.close()
    assert model.calls == 3


@asynchronous
async def test_who_waits_for_the_hello_is_told_when_there_will_be_none() -> None:
    client = OpenClawClient()
    async with FaultProxy(9) as proxy:
        client.open("agent://local", proxy.url, None)
        waiting = asyncio.create_task(client.hello())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionLost):
            await waiting


# -- sending ---------------------------------------------------------------------------------------


@asynchronous
async def test_what_is_sent_before_the_hello_waits_for_it() -> None:
    model = Counted("one")
    async with Gateway(model=model) as gateway:
        client = OpenClawClient()
        client.open("agent://local", gateway.url, gateway.token)
        assert await client.send("go") == "one"
        run = client.send("go")
        run.cancel()
        await run
        await client.close()


@pytest.mark.parametrize("stop", [False, True])
@asynchronous
async def test_stopped_while_it_connects(stop: bool) -> None:
    """Nothing is said before the handshake is over: the gateway would hang up."""
    async with Gateway(model=Counted("one")) as gateway:
        client = OpenClawClient()
        client.open("agent://local", gateway.url, gateway.token)
        other, run = client.send("other"), client.send("go")
        while client._linked().first.link._ws is None:  # noqa: ASYNC110 - the very turn of the loop matters
            await asyncio.sleep(0)
        if stop:
            run.cancel()
        assert await run == ("" if stop else "one")
        assert await other == "one"
        await client.close()


@pytest.mark.parametrize(
    "options",
    [
        {"session": ""}, {"agent": ""}, {"agent": "a:b"}, {"level": 7}, {"prompt": b"bytes"}, {"prompt": None},
        {"attachments": [{"a": object()}]},
    ],
)  # fmt: skip
@asynchronous
async def test_what_cannot_be_sent(options: dict[str, Any]) -> None:
    async with serving(Counted("one")) as (_, client):
        with pytest.raises(ConfigError):
            client.send(**{"prompt": "go"} | options)
        assert await client.send("go") == "one"


@asynchronous
async def test_what_the_gateway_does_not_take() -> None:
    async with serving(Counted("one")) as (_, client):
        with pytest.raises(RunError, match="is no image that is known"):
            await client.send("go", attachments=[{"name": "x"}])
        with pytest.raises(RunError, match="more than the 26,214,400 of one message"):
            await client.send("x" * MAX_FRAME)
        assert await client.send("go") == "one"


@on_both_loops
async def test_a_prompt_of_every_kind_arrives() -> None:
    asked: list[str] = []

    async def echo(prompt: str) -> Any:
        asked.append(prompt)
        yield prompt

    async with serving(echo) as (_, client):
        for prompt in (
            "",
            "é😀\u200d\u202e א\u0301",
            "\0",
            "\ud800",
            "\udfff lone",
            Result("one after the other"),
            "x" * 10**6,
        ):
            assert await client.send(prompt) == prompt
            assert asked[-1] == prompt
        history = await client.request("chat.history", {"sessionKey": "main"})
        assert [m["content"][0]["text"] for m in history["messages"] if m["role"] == "user"] == asked[1:]


@asynchronous
async def test_a_failed_model() -> None:
    async def broken(prompt: str) -> Any:
        yield "half"
        raise ValueError("no")

    async with serving(broken) as (_, client):
        with pytest.raises(RunError, match=r"broken\(\) raised ValueError: no") as failure:
            await client.send("go")
        assert failure.value.partial == "half"
        assert failure.value.code == "MODEL"


@asynchronous
async def test_facts_of_a_result() -> None:
    async with serving(Counted("one ", "two")) as (gateway, client):
        result = await client.send("go", level=1, session="s", level_reason="by hand")
        assert (result.level, result.session, result.model) == (1, "s", "Counted")
        assert (result.usage.output_tokens, result.usage.estimated) == (2, True)
        head = gateway.engine.memory.store.head("s")
        assert head is not None
        assert result.snapshot == head.id
        assert result.first_token is not None
        assert 0 <= result.first_token <= result.seconds


@asynchronous
async def test_requests() -> None:
    async with serving(Counted("one")) as (_, client):
        assert (await client.request("health"))["ok"]
        with pytest.raises(RequestError, match="unknown method: nonsense"):
            await client.request("nonsense", {})
        with pytest.raises(TypeError):
            await client.request("health", {"a": object()})
        assert (await client.request("health"))["ok"]


@asynchronous
async def test_a_request_whose_reply_is_lost() -> None:
    async with behind(Counted("one"), auto_reconnect=False) as (proxy, client):
        client._linked().first.session.runs.clear()
        asking = [asyncio.create_task(client.request("health")) for _ in range(3)]
        await asyncio.sleep(0)
        proxy.cut()
        for answer in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(answer, ConnectionLost)


# -- from other threads and loops ------------------------------------------------------------------


def test_from_many_threads_and_loops() -> None:
    with a_loop() as home:

        def at_home(work: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(work, home).result(LIMIT)

        gateway = Gateway(model=Counted("one ", "two", pause=0.001))
        at_home(gateway.start())
        client = OpenClawClient(token=gateway.token)
        at_home(client.connect(gateway.url))
        texts: list[str] = []

        def work(i: int) -> None:
            run = client.send("go", session=f"{i}")
            texts.append("".join(run))
            texts.append(run.result(LIMIT))

        async def abroad() -> None:
            assert (await client.request("health"))["ok"]
            assert (await client.hello()).protocol == 4
            await client.reconnect()
            assert await client.send("go") == "one two"
            assert [delta async for delta in client.send("go")]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        asyncio.run(abroad())
        for thread in threads:
            thread.join()
        assert texts == ["one two"] * 24
        asyncio.run(client.close())
        assert not client.connected
        at_home(gateway.close())


@asynchronous
async def test_waiting_on_its_own_thread_is_refused_even_before_the_first_delta() -> None:
    async with serving(Counted("one")) as (_, client):
        run = client.send("go")
        with pytest.raises(RuntimeError, match="use `await run`"):
            run.result()
        assert await run == "one"


def test_a_loop_that_ends_ends_its_runs() -> None:
    """`asyncio.run` is over while runs are in flight: who waits for them is told."""
    with a_loop() as home:
        gateway = Gateway(model=Counted("one ", until=asyncio.Event()))
        asyncio.run_coroutine_threadsafe(gateway.start(), home).result(LIMIT)
        client = OpenClawClient(token=gateway.token)

        async def leave() -> tuple[Run, Run]:
            await client.connect(gateway.url)
            run = client.send("go")
            await soon(lambda: run.text)
            return run, client.send("not even sent")

        for run in asyncio.run(leave()):
            with pytest.raises(RunError, match="closed"):
                run.result(LIMIT)
            run.cancel()
        with pytest.raises(ConnectionLost, match="event loop"):
            client.send("go")

        async def later() -> None:
            with pytest.raises(ConnectionLost, match="event loop"):
                await client.request("health")
            await client.close()
            with pytest.raises(ConnectionLost, match="not connected"):
                client.send("go")
            await client.connect(gateway.url)
            assert (await client.request("health"))["ok"]
            await client.close()

        asyncio.run(later())
        asyncio.run_coroutine_threadsafe(gateway.close(), home).result(LIMIT)


@asynchronous
async def test_closing_ends_runs_in_flight() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with serving(model) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.text)
        late = client.send("late")
        await client.close()
        for one in (run, late):
            with pytest.raises(RunError, match="the client was closed"):
                await one
        assert run.status is Status.FAILED
        assert not model.closed, "the gateway goes on with it"
        await client.connect(gateway.url)
        again = client.send("go", idempotency_key=run.id)
        await soon(lambda: again.text == "one ")
        again.cancel()
        assert await again == "one "
    assert model.calls <= 2


# -- events ----------------------------------------------------------------------------------------


@asynchronous
async def test_events(caplog: pytest.LogCaptureFixture) -> None:
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")
    tokens: list[str] = []
    async with serving(Counted("one ", "two"), token_batch_size=1) as (_, client):
        with pytest.raises(ConfigError, match="there is no event 'tokens'; there are degrade, error, gap, reconnect"):
            client.on("tokens", print)
        place.set("the cell that asked")
        client.on("token", lambda text: 1 / 0)
        client.on("token", sys.exit)
        client.on("token", lambda text: tokens.append(f"{text}@{place.get()}"))
        assert await client.send("go") == "one two"
    assert tokens == ["one @the cell that asked", "two@the cell that asked"]
    assert "a handler of 'token' failed" in caplog.text


# -- reconnecting ----------------------------------------------------------------------------------


@asynchronous
async def test_reconnecting_by_hand_though_it_does_not_by_itself() -> None:
    model = Counted("one ", until=(gate := asyncio.Event()))
    async with behind(model, auto_reconnect=False) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        await client.reconnect()
        assert proxy.connections == 2
        gate.set()
        assert await run == "one "
        proxy.cut()
        await soon(lambda: not client.connected)
        await client.reconnect()
        assert await client.send("go") == "one "
    assert model.calls == 2


@asynchronous
async def test_reconnecting_by_hand_does_not_wait_for_the_next_attempt() -> None:
    async with behind(Counted("one"), reconnect_delay=1_000.0) as (proxy, client):
        attempts: list[int] = []
        client.on("reconnect", attempts.append)
        upstream, proxy.upstream = proxy.upstream, 9
        proxy.cut()
        await soon(lambda: attempts == [1, 2])
        proxy.upstream = upstream
        await client.reconnect()
        assert await client.send("go") == "one"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    async def work() -> None:
        async with Gateway() as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            with pytest.raises(ConfigError, match="a timeout is a number of seconds above 0"):
                client.send("x", timeout=timeout)

    asyncio.run(work())
