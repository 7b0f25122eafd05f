"""ProviderModel when it goes wrong: one sentence each, asked again where that is of use, and no key in any word."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError, ModelError, is_retryable
from openclaw_nb.models.base import ModelEvent
from openclaw_nb.models.providers import ProviderModel
from tests.asking import GPT, HELLO, KEY, VENDORS, ask, collect, failure, provider, text_of
from tests.mock_openai import MockOpenAI, Reply, words
from tests.mock_server import Mock

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of one that thinks by a budget
]


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


class Hurried(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward: no time-out is so short that a slow machine would seem silent."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def silence(said: str, name: str = GPT) -> ModelError:
    """What comes of a provider that falls silent behind ``said``: from there on half a minute takes a moment."""
    loop = Hurried()
    over = False

    def hurry() -> None:
        loop.ahead += 31
        if not over:
            loop.call_later(0.05, hurry)

    async def run() -> None:
        nonlocal over
        read: list[ModelEvent] = []
        async with provider(name, timeout=30) as model, aclosing(model.stream(HELLO)) as events:
            try:
                async for event in events:
                    read.append(event)
                    if text_of(read) == said:
                        loop.call_later(0.05, hurry)
            finally:
                over = True

    with pytest.raises(ModelError) as caught, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
    return caught.value


def test_time_out(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=9, hang_after=3)
    assert "fell silent in mid-answer" in str(silence("".join(words(3))))
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
    with socket.socket() as holder:  # so that nobody else does either
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
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


def test_an_end_for_a_reason_of_its_own_is_an_end(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=3, finish_reason="eos_token")
    assert text_of(ask()) == mock.text


# -- every vendor alike ------------------------------------------------------------------------------------------------


BUSY = {"openai": 503, "responses": 503, "anthropic": 529, "google": 503}
"""How each says that it is overloaded."""

PASSING = "MODEL_UNAVAILABLE"
LASTING = "MODEL"

CONTRACT = {
    "wrong key": ({"status": 401, "message": f"wrong {KEY}"}, ": it does not take the key in ", LASTING, 0, 1),
    "no such model": ({"status": 404, "message": "no model x"}, "answered 404 Not Found: no model x", LASTING, 0, 1),
    "too often": (
        {"status": 429, "retry_after": "60", "message": "slow down"},
        "answered 429 Too Many Requests, to be asked again in 60 s: slow down", PASSING, 60, 1,
    ),
    "broken": ({"status": 500, "message": "oh"}, "answered 500 Internal Server Error: oh", PASSING, 0, 2),
    "overloaded": ({"status": 0, "message": "busy"}, ": busy", PASSING, 0, 2),
    "closed": ({"close": True}, "broke the connection off before answering", PASSING, 0, 2),
    "reset": ({"tokens": 9, "reset_after": 3}, "broke the connection off in mid-answer", PASSING, 0, 1),
    "cut": ({"tokens": 9, "end_after": 3}, "broke the connection off in mid-answer", PASSING, 0, 1),
    "cut in good order": ({"tokens": 9, "stop_after": 3}, "broke the connection off in mid-answer", PASSING, 0, 1),
    "silent": ({"tokens": 9, "hang_after": 3}, "fell silent in mid-answer (time-out)", PASSING, 0, 1),
    "error inside": ({"tokens": 9, "error_after": 3, "message": "oh"}, "broke off with 5", PASSING, 0, 1),
    "malformed": ({"tokens": 9, "malformed_after": 3}, "sent a malformed stream", LASTING, 0, 1),
    "withheld": ({"tokens": 0, "finish_reason": "content_filter"}, "withheld the answer", LASTING, 0, 1),
}  # fmt: skip
"""The script, what is said, the code, the seconds to wait, and how often it was asked."""


@pytest.mark.parametrize("case", CONTRACT)
@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
def test_each_vendor_fails_in_the_same_words(
    answering: Callable[..., Mock], monkeypatch: pytest.MonkeyPatch, name: str, case: str
) -> None:
    monkeypatch.setattr("openclaw_nb.models.failures.ATTEMPTS", 2)
    script, said, code, wait, calls = CONTRACT[case]
    vendor = VENDORS[name]
    if script.get("status") == 0:
        script = {**script, "status": BUSY[name]}
    mock = answering(vendor, **script)
    error = silence("".join(words(3)), vendor.model) if case == "silent" else failure(name=vendor.model, timeout=30)
    words_ = f"{error} {error!r} {vars(error)}"
    assert str(error).startswith(f"127.0.0.1:{mock.port} ")
    assert said in str(error)
    assert (error.code, error.retry_after, mock.calls) == (code, wait, calls)
    assert is_retryable(error) is (code == PASSING)
    assert KEY not in words_
    assert "planted" not in words_
    assert "\n" not in str(error)
    assert len(str(error)) < 300
    assert KEY in vendor.header(mock.requests[0].headers)
    assert error.__context__ is None
    assert error.__cause__ is None
