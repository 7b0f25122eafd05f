"""ProviderModel: any text model of pydantic-ai by its name, read through its low-level streaming interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..events import Usage
from ..reasoning.costs import count_tokens
from .asking import settings_of, thinks
from .base import Message, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from .catalog import check_provider
from .chunks import read_directly
from .clients import Client, connect, is_loaded
from .thoughts import Thoughts
from .transcripts import OutputCall, messages_of, parameters_of, tool_calls

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

__all__ = ["ProviderModel"]

SILENCE = 600.0
"""Seconds a provider may send nothing: a model that thinks hard is silent for minutes."""

GO_ON = "Your answer was cut off by a failure of the network. Go on exactly where it ends, and repeat nothing of it."

ONE_TOKEN = 12
"""A shorter piece in ASCII is taken for one token, as servers send them that stream token by token."""

ENDING = ("openai", "anthropic", "google.genai")
"""Clients whose answers always have a reason for their end, known or not: one without was cut, as by a proxy."""


class _Slot:
    """What one event loop has of a ProviderModel: its client, made once however many ask for it first."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.client: Client | None = None


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

    def waits_for(self) -> str:
        """The client of the provider, until one was made in this process."""
        return "" if is_loaded(self._needs) else f"the client of {self.name.partition(':')[0]}"

    async def load(self) -> None:
        """Import the library and make the client, in a thread."""
        await self._client()

    async def thinks(self) -> bool:
        """What the library knows of the model."""
        return thinks((await self._client()).model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Thinking and text as they come, then tool calls and the usage. Asks again only before anything came."""
        client = await self._client()
        from .failures import ATTEMPTS, pause, refuses_pictures

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
                if client.pictures and refuses_pictures(error) and any(map(_has_pictures, request.messages)):
                    client.pictures = False
                    attempt -= 1
                    continue
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

    async def _attempt(self, client: Client, request: ModelRequest, tally: _Tally) -> AsyncGenerator[ModelEvent, None]:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.messages import (
            PartDeltaEvent,
            PartStartEvent,
            TextPart,
            TextPartDelta,
            ThinkingPart,
            ThinkingPartDelta,
        )

        from .failures import unfinished

        makers: dict[type, type[TextDelta] | type[ThinkingDelta]] = {
            TextPart: TextDelta, TextPartDelta: TextDelta, ThinkingPart: ThinkingDelta, ThinkingPartDelta: ThinkingDelta
        }  # fmt: skip
        settings = settings_of(client.model, self.name, request, self.timeout)
        parameters = parameters_of(request, client.model, settings)
        messages = messages_of(request, self.name, pictures=client.pictures)
        thoughts, output = Thoughts(), OutputCall() if parameters.output_mode == "tool" else None
        if output is not None:  # what is said before the answer
            makers[TextPart] = makers[TextPartDelta] = ThinkingDelta
        asked = model_request_stream(
            client.model, messages, model_settings=settings, model_request_parameters=parameters
        )
        async with client.closing(), asked as response:
            read_directly(response)
            async for event in response:
                if isinstance(event, PartDeltaEvent):
                    make, text = makers.get(type(event.delta)), getattr(event.delta, "content_delta", None)
                elif isinstance(event, PartStartEvent):
                    make, text = makers.get(type(event.part)), getattr(event.part, "content", None)
                else:
                    continue
                if make is None and output is not None:
                    make, text = TextDelta, output.piece(event)
                if make is None or not text:
                    continue
                tally.add(text)
                if make is TextDelta and not thoughts.done:
                    for is_thought, part in thoughts.add(text):
                        make = ThinkingDelta if is_thought else TextDelta
                        yield make(part, 1 if len(part) < ONE_TOKEN else count_tokens(part))
                else:
                    yield make(text) if len(text) < ONE_TOKEN and text.isascii() else make(text, count_tokens(text))
            answer = response.get()
        if self._needs.module in ENDING and not (
            answer.finish_reason or "finish_reason" in (answer.provider_details or {})
        ):
            raise unfinished(self.name)
        if answer.finish_reason == "content_filter":
            raise ModelError(f"{client.endpoint.host} withheld the answer: its content filter refused it")
        calls = tool_calls(answer, self.name) if output is None or not output.begun else []
        rest = thoughts.end(cut=answer.finish_reason == "length")
        if output is not None and not output.begun and not calls:
            rest = [(False, Thoughts.answer_of(answer.text or ""))]  # it answered without the tool
        for is_thought, text in rest:
            yield ThinkingDelta(text, 0) if is_thought else TextDelta(text, 0)  # counted when it came
        for call in calls:
            yield call
        yield _usage(answer.usage, request, tally)

    async def _client(self) -> Client:
        loop = asyncio.get_running_loop()
        slot = self._slots.get(loop)
        if slot is None:
            # A notebook may run a loop per cell: what belonged to one that is closed can only be dropped.
            self._slots = {known: slot for known, slot in self._slots.items() if not known.is_closed()}
            slot = self._slots.setdefault(loop, _Slot())
        async with slot.lock:
            if slot.client is None:
                slot.client = await asyncio.to_thread(connect, self.name, self._needs)
                await slot.client.model.__aenter__()
            return slot.client


def _has_pictures(message: Message) -> bool:
    return bool(message.get("images"))


def _usage(reported: RequestUsage, request: ModelRequest, tally: _Tally) -> Usage:
    if reported.output_tokens:
        return Usage(reported.input_tokens, reported.output_tokens, cached_tokens=reported.cache_read_tokens)
    asked = len(request.instructions) + sum(len(message["content"]) for message in request.messages)
    # Providers that send several tokens at once make a count of deltas too low; four characters are about a token.
    return Usage(asked // 4, max(tally.deltas, tally.characters // 4), estimated=True)
