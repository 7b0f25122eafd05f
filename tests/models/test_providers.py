"""ProviderModel against a real provider library and a real server on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError, ModelError
from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import Continuing, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta, ToolCall
from openclaw_nb.models.providers import ProviderModel
from openclaw_nb.run import Usage
from openclaw_nb.tools import Toolbox
from tests.mock_openai import MockOpenAI, Reply, started, words

KEY = "sk-planted-0123456789abcdef"
NOT_JSON = "add was not called: its arguments have to be one JSON object"
HELLO = ModelRequest(({"role": "user", "content": "hello there"},))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts mocks and points the provider at the newest."""
    yield from started(monkeypatch)


@asynccontextmanager
async def provider(name: str = "openai-chat:gpt-4o", **options: Any) -> AsyncIterator[ProviderModel]:
    model = ProviderModel(name, **options)
    try:
        yield model
    finally:
        await model.aclose()


async def collect(model: ProviderModel, request: ModelRequest = HELLO) -> list[ModelEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


def ask(request: ModelRequest = HELLO, name: str = "openai-chat:gpt-4o", **options: Any) -> list[ModelEvent]:
    async def once() -> list[ModelEvent]:
        async with provider(name, **options) as model:
            return await collect(model, request)

    return asyncio.run(once())


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def failure(request: ModelRequest = HELLO, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(request, **options)
    return caught.value


# -- the answer ----------------------------------------------------------------------------------


def test_is_a_model() -> None:
    assert isinstance(ProviderModel("openai-chat:gpt-4o"), Model)


def test_text_and_usage(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=200)
    events = ask()
    assert text_of(events) == mock.text
    assert events[-1] == Usage(2, 200)
    assert [type(event) for event in events[:-1]] == [TextDelta] * 200


def test_every_character_arrives(serve: Callable[..., MockOpenAI]) -> None:
    texts = ["\n", " ", "é", "👩‍👩‍👧", "\u202e", "\0", "z", "data: [DONE]\n\n", "\r\n", " "]
    serve(tokens=texts)
    assert text_of(ask()) == "".join(texts)


def test_thinking_is_not_text(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=3, thinking=["let ", "me ", "see"])
    events = ask()
    assert "".join(event.text for event in events if isinstance(event, ThinkingDelta)) == "let me see"
    assert text_of(events) == mock.text
    assert events[-1] == Usage(2, 6)


def test_without_usage_it_is_estimated(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=["word"] * 40, usage=False)
    usage = ask()[-1]
    assert usage == Usage(len("hello there") // 4, 40, estimated=True)


def test_history_and_instructions_reach_the_wire(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    turns: Any = ({"role": "user", "content": "one"}, {"role": "assistant", "content": "two", "stopped": True})
    ask(ModelRequest((*turns, {"role": "user", "content": "three"}), instructions="be brief"))
    sent = [(message["role"], message["content"]) for message in mock.requests[0].body["messages"]]
    assert sent == [("system", "be brief"), ("user", "one"), ("assistant", "two"), ("user", "three")]
    assert mock.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_cut_answer_is_asked_to_go_on(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    model = ProviderModel("openai-chat:gpt-4o")
    assert isinstance(model, Continuing)
    ask(model.continued(HELLO, "one two "))
    *before, last = [(message["role"], message["content"]) for message in mock.requests[0].body["messages"]]
    assert before == [("user", "hello there"), ("assistant", "one two ")]
    assert last[0] == "user"
    assert "Go on exactly where it ends" in last[1]


@pytest.mark.parametrize(("level", "effort"), [(1, "minimal"), (2, "low"), (3, "medium"), (4, "high")])
def test_level_sets_thinking(serve: Callable[..., MockOpenAI], level: int, effort: str) -> None:
    mock = serve(tokens=1)
    ask(ModelRequest(HELLO.messages, level=level), name="openai-chat:gpt-5")
    assert mock.requests[0].body["reasoning_effort"] == effort


def test_level_is_nothing_to_a_model_that_cannot_think(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    for level in (1, 4):
        ask(ModelRequest(HELLO.messages, level=level))
    assert not [request for request in mock.requests if "reasoning_effort" in request.body]


def test_two_streams_on_one_model(serve: Callable[..., MockOpenAI]) -> None:
    def echo(body: dict[str, Any]) -> list[str]:
        return [f"{body['messages'][-1]['content']}{n} " for n in range(30)]

    mock = serve(tokens=echo, interval=0.001)

    async def both() -> list[list[ModelEvent]]:
        async with provider() as model:
            asked = [ModelRequest(({"role": "user", "content": name},)) for name in ("a", "b")]
            return await asyncio.gather(*(collect(model, request) for request in asked))

    texts = [text_of(events) for events in asyncio.run(both())]
    assert mock.open_connections == 0  # the two that began at once shared a client
    assert texts == ["".join(echo({"messages": [{"content": name}]})) for name in ("a", "b")]
    assert mock.calls == 2


def test_withheld_answer_says_so(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=0, finish_reason="content_filter")
    assert "content filter" in str(failure())


# -- tools ---------------------------------------------------------------------------------------


def add(a: int, b: int = 2) -> int:
    """Adds two numbers."""
    return a + b


BOX = Toolbox([add])


def with_box(*messages: Any) -> ModelRequest:
    return ModelRequest((*HELLO.messages, *messages), tools=BOX.definitions)


def test_tool_calls_are_streamed_in_pieces_and_come_whole(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=2, calls=[("add", '{"a": 40, "b": 2}'), ("add", '{"a": 1}')])
    *texts, one, other, usage = ask(with_box())
    assert text_of(texts) == mock.text
    assert isinstance(one, ToolCall)
    assert isinstance(other, ToolCall)
    assert [(call.key, call.name, call.arguments) for call in (one, other)] == [
        ("", "add", {"a": 40, "b": 2}), ("", "add", {"a": 1}),
    ]  # fmt: skip
    assert usage == Usage(2, 2)
    [tool] = mock.requests[0].body["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "add"
    assert tool["function"]["description"] == "Adds two numbers."
    assert tool["function"]["parameters"] == BOX.definitions[0].schema


def test_without_tools_none_are_offered(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    ask()
    assert not mock.requests[0].body.get("tools")


def test_results_reach_the_wire_with_the_ids_of_their_calls(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(Reply(tokens=2, thinking=["hm"], calls=[("add", '{"a": 40}'), ("add", '{"a": ')]), Reply(tokens=1))
    calls = [event for event in ask(with_box()) if isinstance(event, ToolCall)]
    ledger = Ledger("run")
    for entry in ledger.ask(0, len(mock.text), calls):
        ledger.end(entry, asyncio.run(BOX.call(entry.name, entry.arguments)).text, 0.1)
    ask(with_box(*ledger.messages(mock.text)))
    user, asked, *results = mock.requests[1].body["messages"]
    assert user == {"role": "user", "content": "hello there"}
    assert asked["content"] == mock.text
    assert [(call["id"], call["function"]["name"]) for call in asked["tool_calls"]] == [
        ("call_1_0", "add"), ("call_1_1", "add"),
    ]  # fmt: skip
    assert results == [
        {"role": "tool", "tool_call_id": "call_1_0", "content": "42"},
        {"role": "tool", "tool_call_id": "call_1_1", "content": NOT_JSON},
    ]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_calls_that_are_cut_off_are_asked_for_again_and_never_half_made(
    serve: Callable[..., MockOpenAI], pieces: int
) -> None:
    calls = [("add", '{"a": 40}'), ("add", '{"a": 1}')]
    mock = serve(Reply(tokens=0, calls=calls, lose_calls_after=pieces), Reply(tokens=0, calls=calls))
    assert [event.arguments for event in ask(with_box()) if isinstance(event, ToolCall)] == [{"a": 40}, {"a": 1}]
    assert mock.calls == 2


# -- where it goes -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, ""])
def test_own_endpoint_needs_no_key(
    serve: Callable[..., MockOpenAI], monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    mock = serve(tokens=2)
    monkeypatch.delenv("OPENAI_API_KEY") if key is None else monkeypatch.setenv("OPENAI_API_KEY", key)
    assert text_of(ask()) == mock.text
    assert KEY not in str(mock.requests[0].headers)


def test_ollama_takes_its_usual_address(serve: Callable[..., MockOpenAI], monkeypatch: pytest.MonkeyPatch) -> None:
    mock = serve(tokens=2)
    monkeypatch.setattr("openclaw_nb.models.providers.OLLAMA", mock.url)
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    assert text_of(ask(name="ollama:llama3.2")) == mock.text
    assert KEY not in str(mock.requests[0].headers)


def test_loopback_ignores_proxies(serve: Callable[..., MockOpenAI], monkeypatch: pytest.MonkeyPatch) -> None:
    mock = serve(tokens=2)
    with MockOpenAI(status=403) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        assert text_of(ask()) == mock.text
        assert not proxy.requests


def test_elsewhere_proxies_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockOpenAI(tokens=2) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1.example.invalid/v1")
        assert text_of(ask()) == proxy.text


def test_connection_is_reused_and_closed(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=5)

    async def thrice() -> tuple[int, int]:
        async with provider() as model:
            for _ in range(3):
                await collect(model)
            kept = mock.open_connections
        await asyncio.sleep(0.1)
        return kept, mock.open_connections

    assert asyncio.run(thrice()) == (1, 0)


def test_serves_one_event_loop_after_another(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=5)
    model = ProviderModel("openai-chat:gpt-4o")

    async def once() -> str:
        try:
            return text_of(await collect(model))
        finally:
            await model.aclose()

    assert [asyncio.run(once()) for _ in range(2)] == [mock.text] * 2


def test_streams_again_after_aclose(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=5)

    async def twice() -> str:
        async with provider() as model:
            await collect(model)
            await model.aclose()
            return text_of(await collect(model))

    assert asyncio.run(twice()) == mock.text


def test_imports_nothing_until_streamed() -> None:
    code = (
        "import sys; from openclaw_nb.models import resolve; m = resolve('openai-chat:gpt-4o');"
        "print(m, [n for n in ('pydantic_ai', 'openai', 'httpx2', 'pydantic') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "ProviderModel('openai-chat:gpt-4o') []"


def test_first_stream_leaves_the_loop_free() -> None:
    """The library is imported elsewhere: the loop is never away for as long as that takes."""
    code = """if True:
        import asyncio, sys, time
        from openclaw_nb.models.base import ModelRequest
        from openclaw_nb.models.providers import ProviderModel
        async def main():
            beats = []
            async def beat():
                while True:
                    beats.append("pydantic_ai.direct" in sys.modules)
                    await asyncio.sleep(0.001)
            beating = asyncio.create_task(beat())
            try:
                async for _ in ProviderModel("openai-chat:x").stream(ModelRequest(({"role": "user", "content": "x"},))):
                    pass
            except Exception as error:
                print(type(error).__name__)
            print(beats.count(False) > 5)
        asyncio.run(main())
    """
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{_free_port()}/v1"},
    )  # fmt: skip
    assert out.stdout.split() == ["ModelError", "True"], out.stderr


# -- stopping ------------------------------------------------------------------------------------


async def _until(true: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _leave(model: ProviderModel, mock: MockOpenAI, count: int) -> None:
    """Read some tokens and close the generator."""
    stream = model.stream(HELLO)
    for _ in range(count):
        await anext(stream)
    await stream.aclose()
    assert mock.requests[0].closed.wait(5)  # holds the loop up: what is not closed by now stays open


async def _cancel(model: ProviderModel, mock: MockOpenAI, count: int) -> None:
    """Read some tokens and cancel the task while it waits for the next."""
    read = 0

    async def reader() -> None:
        nonlocal read
        async for _ in model.stream(HELLO):
            read += 1

    task = asyncio.create_task(reader())
    await _until(lambda: read >= count)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mock.requests[0].closed.wait(5)


@pytest.mark.parametrize("stop", [_leave, _cancel])
@pytest.mark.parametrize("count", [1, 3, 17])
def test_stopping_is_seen_by_the_server(
    serve: Callable[..., MockOpenAI], stop: Callable[[ProviderModel, MockOpenAI, int], Awaitable[None]], count: int
) -> None:
    mock = serve(tokens=4000, interval=0.01)

    async def run() -> None:
        async with provider() as model:
            await stop(model, mock, count)

    asyncio.run(run())
    request = mock.requests[0]
    assert request.closed_early
    assert count <= request.sent < 400


@pytest.mark.parametrize("script", [{"delay": 30.0}, {"tokens": 5, "hang_after": 0}])
def test_cancelled_before_anything_came(serve: Callable[..., MockOpenAI], script: dict[str, Any]) -> None:
    mock = serve(**script)

    async def run() -> None:
        async with provider() as model:
            task = asyncio.create_task(collect(model))
            await _until(lambda: bool(mock.requests))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(mock.requests[0].closed.wait, 5)

    asyncio.run(run())
    assert mock.requests[0].closed_early
    assert mock.calls == 1


def test_usable_after_a_stop(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(Reply(tokens=4000, interval=0.01), Reply(tokens=7))

    async def run() -> str:
        async with provider() as model:
            await _leave(model, mock, 2)
            return text_of(await collect(model))

    assert asyncio.run(run()) == "".join(words(7))
    assert mock.calls == 2


# -- failing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said", "calls"),
    [
        ({"status": 400, "message": "bad\nrequest"}, "answered 400 Bad Request: bad request", 1),
        ({"status": 401, "message": f"wrong key {KEY}"}, "answered 401 Unauthorized: it does not take the key", 1),
        ({"status": 404, "message": "no model gpt-4o"}, "answered 404 Not Found: no model gpt-4o", 1),
        ({"status": 429, "retry_after": "60"}, "answered 429 Too Many Requests, to be asked again in 60 s", 1),
        ({"status": 429, "retry_after": "0"}, "answered 429 Too Many Requests", 4),
        ({"status": 500, "retry_after": "0"}, "answered 500 Internal Server Error", 4),
        ({"tokens": 9, "reset_after": 3}, "broke the connection off in mid-answer", 1),
        ({"tokens": 9, "end_after": 3}, "broke the connection off in mid-answer", 1),
        ({"tokens": 9, "malformed_after": 3}, "sent a malformed stream", 1),
        ({"tokens": 9, "malformed_after": 0}, "sent a malformed stream", 1),
        ({"tokens": 9, "error_after": 3}, "broke off with 500 Internal Server Error: scripted failure", 1),
    ],
)
def test_one_sentence_each(serve: Callable[..., MockOpenAI], script: dict[str, Any], said: str, calls: int) -> None:
    mock = serve(**script)
    error = failure()
    assert str(error).startswith(f"127.0.0.1:{mock.port} ")
    assert said in str(error)
    assert mock.calls == calls
    assert len(str(error)) < 300
    assert "\n" not in str(error)
    assert error.__context__ is None
    assert error.__cause__ is None


def test_time_out(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=9, hang_after=3)
    assert "fell silent in mid-answer" in str(failure(timeout=0.2))
    assert mock.calls == 1


def test_what_came_before_a_failure_is_given(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=9, reset_after=3)
    read: list[ModelEvent] = []

    async def run() -> None:
        async with provider() as model, aclosing(model.stream(HELLO)) as events:
            async for event in events:
                read.append(event)

    with pytest.raises(ModelError):
        asyncio.run(run())
    assert text_of(read) == "".join(words(3))


@pytest.mark.parametrize("first", [Reply(status=503), Reply(status=429, retry_after="0.1"), Reply(reset_after=0)])
def test_asks_again_before_the_first_token(serve: Callable[..., MockOpenAI], first: Reply) -> None:
    mock = serve(first, Reply(tokens=4))
    events = ask()
    assert text_of(events) == "".join(words(4))
    assert mock.calls == 2


def test_keeps_to_retry_after(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(Reply(status=429, retry_after="1"), Reply(tokens=1))
    began = time.monotonic()
    ask()
    assert time.monotonic() - began >= 1
    assert mock.calls == 2


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    port = _free_port()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:secret@127.0.0.1:{port}/v1?token=secret")
    assert str(failure()) == f"127.0.0.1:{port} cannot be reached: connection refused"


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.models.failures.ATTEMPTS", 1)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.invalid/v1")
    assert str(failure()).startswith("models.invalid cannot be reached: ")


def test_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "nonsense")
    assert "cannot be asked" in str(failure())


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_no_key_in_any_word(serve: Callable[..., MockOpenAI], monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    mock = serve(
        status=status, retry_after="0", message=f"Incorrect API key provided: {KEY}, see http://x:y@z/?k={KEY}"
    )
    model = ProviderModel("openai-chat:gpt-4o")
    with pytest.raises(ModelError) as caught:
        asyncio.run(collect_and_close(model))
    for words_ in (str(caught.value), repr(caught.value), repr(model), str(vars(caught.value))):
        assert KEY not in words_
        assert "planted" not in words_
    assert mock.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def collect_and_close(model: ProviderModel) -> list[ModelEvent]:
    try:
        return await collect(model)
    finally:
        await model.aclose()


def test_missing_key_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        ProviderModel("openai-chat:gpt-4o")


def test_what_only_the_library_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    error = failure(name="azure:gpt-4o")
    assert "AZURE_OPENAI_ENDPOINT" in str(error)
    assert error.__context__ is None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
