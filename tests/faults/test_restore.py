"""Restored from the last snapshot: models that fail in passing, gateways that stop, links that are lost for good."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from openclaw_nb import models
from openclaw_nb.client import OpenClawClient, flights, inflight
from openclaw_nb.errors import ModelError, RunError, RunTimeout
from openclaw_nb.events import RunEvent, State, Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import Closable, ModelEvent, ModelRequest, TextDelta
from openclaw_nb.run import Run
from tests.faults.killed import held
from tests.faults.proxy import CutAfter, behind, seamless
from tests.foreign import foreign
from tests.mock_openai import MockOpenAI, Reply, started, words
from tests.spine import Counted, asynchronous, serving, soon

Figure = Callable[[str, str], None]

WHOLE = words(20)
TEXT = "".join(WHOLE)


def rest(body: dict[str, Any]) -> list[str]:
    """What a good model says next: the answer, or of one that was cut what is still to come."""
    said = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
    return WHOLE[said[-1].count(" ") :] if said and TEXT.startswith(said[-1]) and said[-1] != TEXT else WHOLE


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockOpenAI]]:
    """Starts a mock that OpenAI's models are asked of."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    yield from started(monkeypatch)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses a tenth as long: how often is what matters here."""
    monkeypatch.setattr(flights, "DELAY", 0.05)


@asynccontextmanager
async def at_provider(**options: Any) -> AsyncIterator[tuple[Gateway, OpenClawClient]]:
    model = models.resolve("openai-chat:gpt-4o")
    assert isinstance(model, Closable)
    async with serving(model, token_batch_size=1, **options) as (gateway, client):
        yield gateway, client
        await client.close()
    await model.aclose()


def watched(client: OpenClawClient) -> tuple[list[int], list[str], Callable[[Run], None]]:
    """The attempts that listeners are told of, the lines that a cell shows, and the way to watch a run for them."""
    attempts: list[int] = []
    lines: list[str] = []
    client.on("restore", lambda run, attempt: attempts.append(attempt))

    def watch(run: Run) -> None:
        def see(event: RunEvent) -> None:
            if isinstance(event, State) and event.words:
                lines.append(event.words)

        run.subscribe(see)

    return attempts, lines, watch


async def history(client: OpenClawClient, session: str = "main") -> list[tuple[str, str]]:
    """Who said what in a session."""
    told = await client.request("chat.history", {"sessionKey": f"agent:main:{session}"})
    return [(message["role"], message["content"][0]["text"]) for message in told["messages"]]


# -- a model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False])
@asynchronous
async def test_a_stream_that_breaks_goes_on_where_it_was(provider: Callable[..., MockOpenAI], streaming: bool) -> None:
    mock = provider(Reply(tokens=WHOLE, reset_after=7), Reply(tokens=rest))
    async with at_provider(streaming=streaming) as (_, client):
        attempts, lines, watch = watched(client)
        run = client.send("go")
        watch(run)
        fits = seamless(run)
        result = await run
        assert result == TEXT
        assert fits()
        assert attempts == [1]
        at = len("".join(WHOLE[:7]))
        assert lines == [
            f"the model failed (127.0.0.1:{mock.port} broke the connection off in mid-answer); "
            f"going on from character {at}, attempt 1 of 2"
        ]
        assert [m["role"] for m in mock.requests[1].body["messages"]] == ["user", "assistant", "user"]
        assert mock.requests[1].body["messages"][1]["content"] == TEXT[:at], "what is here is not asked for again"
        assert await history(client) == [("user", "go"), ("assistant", TEXT)], "one pair, not a failed one beside it"
        await client.send("more", level=1)
        assert [m["content"] for m in mock.requests[2].body["messages"]] == ["go", TEXT, "more"]
    assert mock.calls == 3


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": "0"}, {"status": 503, "retry_after": "0"}])
@asynchronous
async def test_before_the_first_token(provider: Callable[..., MockOpenAI], fault: dict[str, Any]) -> None:
    """The provider's own quick attempts come first, and are not made again after a restore."""
    mock = provider(*[Reply(**fault)] * 5, Reply(tokens=WHOLE))
    async with at_provider() as (_, client):
        attempts, lines, watch = watched(client)
        run = client.send("go")
        watch(run)
        assert await run == TEXT
        assert attempts == [1, 2]
        assert lines[1].endswith("; asking again, attempt 2 of 2")
        assert client.health.why == ""
    assert mock.calls == 6


@asynchronous
async def test_a_model_that_stays_away(provider: Callable[..., MockOpenAI]) -> None:
    mock = provider(Reply(status=500, retry_after="0", message="not today"))
    async with at_provider() as (_, client):
        attempts, _, _ = watched(client)
        with pytest.raises(ModelError, match=r"answered 500 Internal Server Error: not today$") as failure:
            await client.send("go")
        assert attempts == [1, 2]
        assert failure.value.partial == ""
        assert failure.value.code == "MODEL_UNAVAILABLE"
        assert await history(client) == []
        assert client.health.why == "3 errors in the last minute"
    assert mock.calls == 4 + 1 + 1, "not three times four"


@asynchronous
async def test_a_stream_that_breaks_each_time(provider: Callable[..., MockOpenAI]) -> None:
    mock = provider(Reply(tokens=rest, reset_after=3))
    async with at_provider() as (_, client):
        with pytest.raises(ModelError, match="broke the connection off") as failure:
            await client.send("go")
        assert failure.value.partial == "".join(WHOLE[:9]), "each attempt brought it further"
        assert await history(client) == [("user", "go"), ("assistant", "".join(WHOLE[:9]))]
    assert mock.calls == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401), Reply(status=400), Reply(tokens=9, malformed_after=3), Reply(status=429, retry_after="60"),
    ],
)  # fmt: skip
@asynchronous
async def test_what_trying_again_cannot_help(provider: Callable[..., MockOpenAI], reply: Reply) -> None:
    """Or not in a time that anybody would wait for."""
    mock = provider(reply)
    async with at_provider() as (_, client):
        attempts, _, _ = watched(client)
        with pytest.raises(ModelError):
            await client.send("go")
        assert attempts == []
    assert mock.calls == 1


@asynchronous
async def test_turned_off(provider: Callable[..., MockOpenAI]) -> None:
    mock = provider(Reply(tokens=WHOLE, reset_after=7), Reply(tokens=rest))
    async with at_provider(max_restore_attempts=0) as (_, client):
        with pytest.raises(ModelError, match="broke the connection off") as failure:
            await client.send("go")
        assert failure.value.partial == "".join(WHOLE[:7])
    assert mock.calls == 1


@asynchronous
async def test_a_fifth_of_all_calls_fails(provider: Callable[..., MockOpenAI], figure: Figure) -> None:
    chance = random.Random(19)
    faults = [
        Reply(status=429, retry_after="0"), Reply(status=500, retry_after="0"), Reply(tokens=rest, reset_after=5),
    ]  # fmt: skip
    mock = provider(*[chance.choice(faults) if chance.random() < 0.2 else Reply(tokens=rest) for _ in range(500)])
    async with at_provider() as (_, client):
        attempts, _, _ = watched(client)
        for i in range(100):
            result = await client.send("go", session=f"{i}")
            assert result == TEXT
            assert result.usage.output_tokens == len(WHOLE), "what was told twice is counted once"
            assert await history(client, f"{i}") == [("user", "go"), ("assistant", TEXT)]
    assert len(attempts) > 3
    assert mock.calls < 100 + 4 * 40
    figure(
        "reliability 19",
        f"20 % of calls answered with 429, 500 or a reset: 100 of 100 runs whole in {mock.calls} calls, "
        f"{len(attempts)} of them restored in mid-answer, tokens counted once",
    )


class Moody:
    """A Model that says something else each time, and breaks off the first time."""

    name = "moody"

    def __init__(self) -> None:
        self.calls = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.calls += 1
        yield TextDelta(f"answer {self.calls} ")
        raise ModelError("the model is overloaded", code="MODEL_UNAVAILABLE")


@asynchronous
async def test_without_a_way_to_go_on_the_error_stays_what_it_was() -> None:
    async with serving(model := Moody()) as (_, client):
        with pytest.raises(ModelError, match=r"^the model is overloaded$") as failure:
            await client.send("go")
        assert failure.value.partial == "answer 1 "
        assert model.calls == 2
        assert await history(client) == [("user", "go"), ("assistant", "answer 1 ")]


@asynchronous
async def test_at_a_gateway_of_somebody_else_it_ends() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.event("chat", {
            "runId": run.id, "state": "error", "errorMessage": "overloaded", "errorCode": "MODEL_UNAVAILABLE",
        })  # fmt: skip
        with pytest.raises(ModelError, match="overloaded"):
            await run
        assert len(gateway.sent) == 1


@pytest.mark.parametrize("limit", [None, 5.0])
@asynchronous
async def test_a_stop_ends_the_pause(monkeypatch: pytest.MonkeyPatch, limit: float | None) -> None:
    """At once: nobody is at work who would have to confirm it."""
    monkeypatch.setattr(flights, "PATIENCE", 2_000.0)
    monkeypatch.setattr(flights, "DELAY", 1_000.0)
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 1_000.0)
    async with serving(model := Moody()) as (_, client):
        attempts, _, _ = watched(client)
        run = client.send("go", timeout=limit)
        await soon(lambda: attempts)
        async with asyncio.timeout(60):
            if limit is None:
                run.cancel()
                result = await run
                assert (result, result.status, result.words) == ("answer 1 ", Status.STOPPED, "stopped by you")
            else:
                with pytest.raises(RunTimeout, match="5 s was reached"):
                    await run
        assert len(client.flights) == 0
    assert model.calls == 1


@asynchronous
async def test_a_cut_during_the_pause(provider: Callable[..., MockOpenAI]) -> None:
    mock = provider(Reply(tokens=WHOLE, reset_after=7), Reply(tokens=rest))
    model = models.resolve("openai-chat:gpt-4o")
    async with behind(model) as (proxy, client):
        client.on("restore", lambda run, attempt: proxy.cut())
        run = client.send("go")
        fits = seamless(run)
        assert await run == TEXT
        assert fits()
    assert isinstance(model, Closable)
    await model.aclose()
    assert mock.calls == 2


# -- a gateway, a link -----------------------------------------------------------------------------


@asynchronous
async def test_a_gateway_that_is_stopped_and_another_that_goes_on() -> None:
    gate = asyncio.Event()
    model = Counted("one ", "two ", until=gate)
    async with AsyncExitStack() as stack:
        first = Gateway(model=model, token="same", port=stack.enter_context(held()))
        await first.start()
        client = await stack.enter_async_context(OpenClawClient(token="same", token_batch_size=1))
        attempts, lines, watch = watched(client)
        await client.connect(first.url)
        run = client.send("go")
        watch(run)
        fits = seamless(run)
        await soon(lambda: run.text == "one two ")
        await first.close()
        model.pieces = ("one ", "two ", "three")
        gate.set()
        async with Gateway(model=model, token="same", port=first.port):
            assert await run == "one two three"
            assert fits()
        assert attempts == [1]
        assert lines[0] == "the gateway was stopped; going on from character 8, attempt 1 of 2"
    assert model.calls == 2


@asynchronous
async def test_a_gateway_that_is_stopped_for_good() -> None:
    gateway = Gateway(model=Counted("one ", until=asyncio.Event()), token="same")
    await gateway.start()
    async with OpenClawClient(token="same", max_reconnect_attempts=1) as client:
        await client.connect(gateway.url)
        run = client.send("go")
        await soon(lambda: run.text)
        await gateway.close()
        with pytest.raises(RunError, match="the gateway was stopped; what came is kept") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("GATEWAY_STOPPED", "one ")


@asynchronous
async def test_a_link_that_was_given_up() -> None:
    """Dialled once more for each attempt; a gateway that is back by then has the run still."""
    gate = asyncio.Event()
    async with behind(model := Counted("one ", "two ", until=gate), max_reconnect_attempts=1) as (proxy, client):
        attempts, lines, watch = watched(client)
        runs = [client.send("go", session=f"{i}") for i in range(3)]
        watch(runs[0])
        await soon(lambda: all(run.text for run in runs))
        home, proxy.upstream = proxy.upstream, 9
        proxy.cut()
        await soon(lambda: attempts[-3:] == [1, 1, 1])
        proxy.upstream = home
        gate.set()
        assert [str(await run) for run in runs] == ["one two "] * 3
        assert lines[1].endswith("after 1 attempt to come back; going on from character 8, attempt 1 of 2")
    assert model.calls == 3


class Twice:
    """A Model that breaks off the first time; the second time it gets further, and waits."""

    name = "twice"

    def __init__(self, until: asyncio.Event) -> None:
        self.calls = 0
        self.until = until

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.calls += 1
        yield TextDelta("one ")
        if self.calls == 1:
            raise ModelError("the model is overloaded", code="MODEL_UNAVAILABLE")
        yield TextDelta("two ")
        await self.until.wait()


@asynchronous
async def test_a_link_that_is_given_up_during_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "DELAY", 2.0)
    (gate := asyncio.Event()).set()
    async with behind(model := Twice(gate), max_reconnect_attempts=0) as (proxy, client):
        attempts, _, _ = watched(client)
        client.on("restore", lambda run, attempt: proxy.cut())
        assert await client.send("go") == "one two "
        assert attempts == [1], "the link was lost while it waited anyway"
    assert model.calls == 2


@asynchronous
async def test_a_link_that_is_given_up_as_it_is_asked_again() -> None:
    """The gateway has the run, though its word that it takes it up again does not come."""
    (gate := asyncio.Event()).set()
    async with behind(model := Twice(gate), max_reconnect_attempts=0) as (proxy, client):
        attempts, _, _ = watched(client)
        client.on("restore", lambda run, attempt: proxy.now(CutAfter(0, "res")))
        assert await client.send("go") == "one two "
        assert attempts == [1, 2]
    assert model.calls == 2


@asynchronous
async def test_a_failure_that_was_overcome_is_not_told_later() -> None:
    async with behind(Twice(asyncio.Event()), max_reconnect_attempts=1, token_batch_size=1) as (proxy, client):
        attempts, _, _ = watched(client)
        run = client.send("go")
        await soon(lambda: run.text == "one two ")
        proxy.upstream = 9
        proxy.cut()
        with pytest.raises(RunError, match="after 1 attempt to come back") as failure:
            await run
        assert failure.value.code == "STREAM_DISCONNECTED"
        assert attempts == [1, 2]


@asynchronous
async def test_closing_a_client_restores_nothing() -> None:
    async with serving(Counted("one ", until=asyncio.Event())) as (_, client):
        attempts, _, _ = watched(client)
        run = client.send("go")
        await soon(lambda: run.text)
        await client.close()
        with pytest.raises(RunError, match="the client was closed"):
            await run
        assert attempts == []
