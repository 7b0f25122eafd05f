"""Clients: where a provider is asked, through what, and what the first use of its library costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from openclaw_nb.models.providers import ProviderModel
from tests.asking import KEY, VENDORS, ask, collect, provider, text_of
from tests.mock_openai import MockOpenAI
from tests.mock_server import Mock
from tests.spine import soon

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of one that thinks by a budget
]


@pytest.mark.parametrize("key", [None, ""])
@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
def test_own_endpoint_needs_no_key(
    answering: Callable[..., Mock], monkeypatch: pytest.MonkeyPatch, name: str, key: str | None
) -> None:
    vendor = VENDORS[name]
    mock = answering(vendor, tokens=2)
    monkeypatch.delenv(vendor.key) if key is None else monkeypatch.setenv(vendor.key, key)
    assert text_of(ask(name=vendor.model)) == mock.text
    assert KEY not in str(mock.requests[0].headers)


def test_ollama_takes_its_usual_address(serve: Callable[..., MockOpenAI], monkeypatch: pytest.MonkeyPatch) -> None:
    mock = serve(tokens=2)
    monkeypatch.setattr("openclaw_nb.models.clients.OLLAMA", mock.url)
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    assert text_of(ask(name="ollama:llama3.2")) == mock.text
    assert KEY not in str(mock.requests[0].headers)


@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
def test_loopback_ignores_proxies(answering: Callable[..., Mock], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mock = answering(VENDORS[name], tokens=2)
    with MockOpenAI(status=403) as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
        assert text_of(ask(name=VENDORS[name].model)) == mock.text
        assert not proxy.requests


def test_elsewhere_proxies_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockOpenAI(tokens=2) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1.example.invalid/v1")
        assert text_of(ask()) == proxy.text


def test_connection_is_reused_and_closed(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=5)

    async def thrice() -> int:
        async with provider() as model:
            for _ in range(3):
                await collect(model)
            kept = mock.open_connections
        await soon(lambda: not mock.open_connections, "the end of the connection")
        return kept

    assert asyncio.run(thrice()) == 1


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


def test_what_it_waits_for_is_known(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=1)

    async def loaded() -> str:
        async with provider() as model:
            await model.load()
            return ProviderModel("openai:gpt-5").waits_for()

    assert asyncio.run(loaded()) == "", "it is there for the next"
