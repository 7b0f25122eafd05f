"""ProviderModel: any text model of pydantic-ai by its name, read through its low-level streaming interface."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ModelError
from ..run import Usage
from .base import Message, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from .catalog import Needs, check_provider
from .transcripts import messages_of, parameters_of, tool_calls

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model as Library
    from pydantic_ai.providers import Provider
    from pydantic_ai.settings import ModelSettings, ThinkingLevel
    from pydantic_ai.usage import RequestUsage

    from .failures import Endpoint

__all__ = ["ProviderModel"]

SILENCE = 600.0
"""Seconds a provider may send nothing: a model that thinks hard is silent for minutes."""

OLLAMA = "http://127.0.0.1:11434/v1"

GO_ON = "Your answer was cut off by a failure of the network. Go on exactly where it ends, and repeat nothing of it."

THINKING: dict[int, ThinkingLevel] = {1: False, 2: "low", 3: "medium", 4: "high"}
"""pydantic-ai's `thinking` by level. False is off, or the least a model can; one that cannot think ignores it all."""


@dataclass(frozen=True, slots=True)
class _Client:
    """A model of the library with the HTTP client that is its own, and where it sends to."""

    model: Library
    endpoint: Endpoint
    http: httpx2.AsyncClient | None


class _Slot:
    """What one event loop has of a ProviderModel: its client, made once however many ask for it first."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.client: _Client | None = None


@dataclass(slots=True)
class _Tally:
    """What came so far, for a provider that does not count."""

    deltas: int = 0
    characters: int = 0

    def add(self, text: str) -> None:
        self.deltas += 1
        self.characters += len(text)


class ProviderModel:
    """``provider:model`` of pydantic-ai, which is imported, off the event loop, when it is first streamed.

    ``timeout`` is how many seconds a provider may be silent. Raises ConfigError where a package or a key is
    missing. One HTTP client serves all runs of an event loop; ``aclose`` closes the running loop's.
    """

    def __init__(self, name: str, *, timeout: float = SILENCE) -> None:
        self._needs = check_provider(name)
        self.name = name
        self.timeout = timeout
        self._slots: dict[asyncio.AbstractEventLoop, _Slot] = {}

    def __repr__(self) -> str:
        return f"ProviderModel({self.name!r})"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Thinking and text as they come, then tool calls and the usage. Asks again only before anything came."""
        client = await self._client()
        from .failures import ATTEMPTS, pause

        clock = asyncio.get_running_loop().time
        began, attempt, tally = clock(), ATTEMPTS - 1 if request.again else 0, _Tally()
        while True:
            attempt += 1
            try:
                async with aclosing(self._attempt(client, request, tally)) as events:
                    async for event in events:
                        yield event
                return
            except ModelError:
                raise
            except Exception as error:
                begun = tally.deltas > 0
                failure = client.endpoint.failure(error, begun=begun)
                wait = None if begun else pause(error, attempt, clock() - began, local=client.endpoint.local)
            # Raised outside the handler: the library's error, which carries request and headers, must not hang on it.
            if wait is None:
                raise failure
            await asyncio.sleep(wait)

    def continued(self, request: ModelRequest, partial: str) -> ModelRequest:
        """As two more messages: few providers take an answer that they are to end themselves."""
        cut: Message = {"role": "assistant", "content": partial}
        return replace(request, messages=(*request.messages, cut, {"role": "user", "content": GO_ON}))

    async def aclose(self) -> None:
        """Close the HTTP client of the running event loop; a later stream opens another."""
        slot = self._slots.pop(asyncio.get_running_loop(), None)
        if slot is None or slot.client is None:
            return
        await slot.client.model.__aexit__(None, None, None)
        if slot.client.http is not None:
            await slot.client.http.aclose()

    async def _attempt(self, client: _Client, request: ModelRequest, tally: _Tally) -> AsyncGenerator[ModelEvent, None]:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.messages import (
            PartDeltaEvent,
            PartStartEvent,
            TextPart,
            TextPartDelta,
            ThinkingPart,
            ThinkingPartDelta,
        )

        makers: dict[type, type[TextDelta] | type[ThinkingDelta]] = {
            TextPart: TextDelta, TextPartDelta: TextDelta, ThinkingPart: ThinkingDelta, ThinkingPartDelta: ThinkingDelta
        }  # fmt: skip
        settings = _settings(client.model, request.level, self.timeout)
        messages, parameters = messages_of(request, self.name), parameters_of(request)
        async with model_request_stream(
            client.model, messages, model_settings=settings, model_request_parameters=parameters
        ) as response:
            async for event in response:
                if isinstance(event, PartDeltaEvent):
                    make, text = makers.get(type(event.delta)), getattr(event.delta, "content_delta", None)
                elif isinstance(event, PartStartEvent):
                    make, text = makers.get(type(event.part)), getattr(event.part, "content", None)
                else:
                    continue
                if make is not None and text:
                    tally.add(text)
                    yield make(text)
            answer = response.get()
        if answer.finish_reason == "content_filter":
            raise ModelError(f"{client.endpoint.host} withheld the answer: its content filter refused it")
        for call in tool_calls(answer, self.name):
            yield call
        yield _usage(answer.usage, request, tally)

    async def _client(self) -> _Client:
        loop = asyncio.get_running_loop()
        slot = self._slots.get(loop)
        if slot is None:
            # A notebook may run a loop per cell: what belonged to one that is closed can only be dropped.
            self._slots = {known: slot for known, slot in self._slots.items() if not known.is_closed()}
            slot = self._slots.setdefault(loop, _Slot())
        async with slot.lock:
            if slot.client is None:
                slot.client = await asyncio.to_thread(_connect, self.name, self._needs)
                await slot.client.model.__aenter__()
            return slot.client


def _connect(name: str, needs: Needs) -> _Client:
    """Import the library and make the model and its HTTP client: seconds of work, and none of it asks anybody."""
    try:
        from pydantic_ai.models import infer_model

        from .failures import Endpoint, scrub
    except ImportError as error:
        raise ModelError(f"{name} cannot be used, pydantic-ai does not load: {error}") from None
    try:
        http: list[httpx2.AsyncClient] = []
        model = infer_model(name, provider_factory=lambda kind: _provider(kind, needs, http))
    except Exception as error:
        words = f"{name} cannot be used: {scrub(error).split('. ')[0]}"
    else:
        return _Client(model, Endpoint(name, model.base_url or "", needs.keys), http[0] if http else None)
    raise ModelError(words)


def _provider(kind: str, needs: Needs, http: list[httpx2.AsyncClient]) -> Provider[Any]:
    from pydantic_ai.providers import infer_provider, infer_provider_class

    from .failures import is_loopback

    if kind.startswith("gateway/"):
        return infer_provider(kind)
    make: Callable[..., Provider[Any]] = infer_provider_class(kind)
    options: dict[str, Any] = {}
    if kind == "ollama" and not os.environ.get("OLLAMA_BASE_URL"):
        options["base_url"] = OLLAMA
    if needs.endpoint and os.environ.get(needs.endpoint) and not any(map(os.environ.get, needs.keys)):
        options["api_key"] = "none"  # the client wants one, an endpoint of one's own often does not
    provider = make(**options)
    if needs.module in ("openai", "anthropic") and is_loopback(urlsplit(provider.base_url).hostname):
        from httpx2 import AsyncHTTPTransport
        from pydantic_ai.models import create_async_httpx2_client

        # With a transport of its own a client reads no proxies from the environment.
        http.append(create_async_httpx2_client(transport=AsyncHTTPTransport()))
        provider = make(**options, http_client=http[0])
    return provider


def _settings(model: Library, level: int, timeout: float) -> ModelSettings:
    from pydantic_ai.settings import ModelSettings

    settings = ModelSettings(thinking=THINKING[level], timeout=timeout, max_retries=0)
    for name in model.unsupported_settings & {"timeout", "max_retries"}:
        del settings[name]
    return settings


def _usage(reported: RequestUsage, request: ModelRequest, tally: _Tally) -> Usage:
    if reported.output_tokens:
        return Usage(reported.input_tokens, reported.output_tokens)
    asked = len(request.instructions) + sum(len(message["content"]) for message in request.messages)
    # Providers that send several tokens at once make a count of deltas too low; four characters are about a token.
    return Usage(asked // 4, max(tally.deltas, tally.characters // 4), estimated=True)
