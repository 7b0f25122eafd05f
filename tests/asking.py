"""Asking models of providers in tests: which mock answers for whom, and what a ProviderModel gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from openclaw_nb.errors import ModelError
from openclaw_nb.models.base import Message, ModelEvent, ModelRequest, TextDelta, ThinkingDelta, ToolCall
from openclaw_nb.models.providers import ProviderModel
from tests.mock_anthropic import MockAnthropic
from tests.mock_google import MockGoogle
from tests.mock_openai import MockOpenAI
from tests.mock_responses import MockResponses
from tests.mock_server import Mock

__all__ = [
    "GPT", "HELLO", "KEY", "VENDORS", "Vendor", "ask", "calls_of", "collect", "failure", "provider", "text_of",
    "thought_of", "user",
]  # fmt: skip

KEY = "sk-planted-0123456789abcdef"
GPT = "openai-chat:gpt-4o"


def user(content: str, **more: Any) -> Message:
    return {"role": "user", "content": content, **more}  # type: ignore[typeddict-item]


HELLO = ModelRequest((user("hello there"),))


@dataclass(frozen=True)
class Vendor:
    """Who serves models: the mock that answers for them, a model that thinks, and the variable with the key."""

    mock: type[Mock]
    model: str
    key: str

    def header(self, headers: dict[str, str]) -> str:
        """Where the key is in a request."""
        names = ("authorization", "x-api-key", "x-goog-api-key")
        return next(headers[name] for name in names if name in headers)


VENDORS = {
    "openai": Vendor(MockOpenAI, "openai-chat:gpt-5", "OPENAI_API_KEY"),
    "responses": Vendor(MockResponses, "openai:gpt-5", "OPENAI_API_KEY"),
    "anthropic": Vendor(MockAnthropic, "anthropic:claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
    "google": Vendor(MockGoogle, "google:gemini-3-flash-preview", "GOOGLE_API_KEY"),
}


@asynccontextmanager
async def provider(name: str = GPT, **options: Any) -> AsyncIterator[ProviderModel]:
    model = ProviderModel(name, **options)
    try:
        yield model
    finally:
        await model.aclose()


async def collect(model: ProviderModel, request: ModelRequest = HELLO) -> list[ModelEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


def ask(request: ModelRequest = HELLO, name: str = GPT, **options: Any) -> list[ModelEvent]:
    async def once() -> list[ModelEvent]:
        async with provider(name, **options) as model:
            return await collect(model, request)

    return asyncio.run(once())


def failure(request: ModelRequest = HELLO, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(request, **options)
    return caught.value


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thought_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ThinkingDelta))


def calls_of(events: list[ModelEvent]) -> list[ToolCall]:
    return [event for event in events if isinstance(event, ToolCall)]
