"""What a token of a provider costs on our way, beside its own SDK that does nothing but read the same stream.

A mock of each provider answers from a process of its own, and each contender reads it in another one, on the same
kind of loop, in turns. What counts is the CPU time, user and system, of the contender's process.

``python -m tests.bench.providers PROVIDER KIND`` is a contender: it reads an answer for every line on its stdin, which
says how many tokens to expect, and says what one of them cost. As the KIND "mock" it prints its URL and serves.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass
from typing import IO

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelRequest, TextDelta
from openclaw_nb.models.providers import ProviderModel
from openclaw_nb.runtime import new_loop
from tests.mock_anthropic import MockAnthropic
from tests.mock_google import MockGoogle
from tests.mock_openai import MockOpenAI
from tests.mock_server import Mock

__all__ = ["main"]

LIMIT = 1.5
"""What all of our way may cost, in costs of the bare SDK."""

WARM = 1
"""Rounds that do not count."""

TOKEN = "tok "  # about what a token of English is

Read = Callable[[], Awaitable[str]]
"""Asks once and gives the whole answer."""


@dataclass(frozen=True)
class Load:
    """How a mock gives its answer: ``interval`` in seconds between tokens; so many ``rounds`` count."""

    name: str
    tokens: int
    interval: float
    rounds: int


LOADS = (
    Load("as fast as they can be read", 4000, 0.0, 5),
    Load("one a millisecond, each in a read of its own", 500, 0.001, 3),
)

MOCKS: dict[str, type[Mock]] = {"openai": MockOpenAI, "anthropic": MockAnthropic, "google": MockGoogle}
MODELS = {
    "openai": "openai-chat:mock", "anthropic": "anthropic:claude-haiku-4-5", "google": "google:gemini-2.5-flash",
}  # fmt: skip


# -- contenders --------------------------------------------------------------------------------------------------------


async def openai_sdk(stack: AsyncExitStack, model: str) -> Read:
    from openai import AsyncOpenAI

    client = await stack.enter_async_context(AsyncOpenAI())

    async def read() -> str:
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "go"}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return read


async def anthropic_sdk(stack: AsyncExitStack, model: str) -> Read:
    from anthropic import AsyncAnthropic

    client = await stack.enter_async_context(AsyncAnthropic())

    async def read() -> str:
        stream = await client.messages.create(
            model=model, max_tokens=4096, messages=[{"role": "user", "content": "go"}], stream=True
        )
        deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
        return "".join(delta.text for delta in deltas if delta.type == "text_delta")

    return read


async def google_sdk(stack: AsyncExitStack, model: str) -> Read:
    from google.genai import Client

    client = await stack.enter_async_context(Client().aio)

    async def read() -> str:
        stream = await client.models.generate_content_stream(model=model, contents="go")
        return "".join([chunk.text or "" async for chunk in stream])

    return read


SDKS = {"openai": openai_sdk, "anthropic": anthropic_sdk, "google": google_sdk}


async def sdk(stack: AsyncExitStack, provider: str) -> Read:
    return await SDKS[provider](stack, MODELS[provider].partition(":")[2])


async def library(stack: AsyncExitStack, provider: str) -> Read:
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
    from pydantic_ai.models import infer_model

    model = await stack.enter_async_context(infer_model(MODELS[provider]))

    async def read() -> str:
        parts: list[str] = []
        async with model_request_stream(model, [ModelRequest.user_text_prompt("go")]) as response:
            async for event in response:
                if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                    parts.append(event.delta.content_delta)
                elif isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                    parts.append(event.part.content)
        return "".join(parts)

    return read


async def model(stack: AsyncExitStack, provider: str) -> Read:
    asked = ProviderModel(MODELS[provider])
    stack.push_async_callback(asked.aclose)
    request = ModelRequest(({"role": "user", "content": "go"},))

    async def read() -> str:
        return "".join([event.text async for event in asked.stream(request) if isinstance(event, TextDelta)])

    return read


async def path(stack: AsyncExitStack, provider: str) -> Read:
    asked = ProviderModel(MODELS[provider])
    stack.push_async_callback(asked.aclose)
    gateway = await stack.enter_async_context(Gateway(model=asked))
    client = await stack.enter_async_context(OpenClawClient(token=gateway.token))
    await client.connect(gateway.url)
    sessions = map(str, itertools.count())

    async def read() -> str:
        return str(await client.send("go", session=next(sessions)))

    return read


KINDS = {
    "sdk": ("the SDK alone", sdk), "library": ("pydantic-ai alone", library), "model": ("ProviderModel alone", model),
    "path": ("client, gateway, engine, ProviderModel", path),
}  # fmt: skip


async def contend(provider: str, kind: str) -> None:
    async with AsyncExitStack() as stack:
        read = await KINDS[kind][1](stack, provider)
        while line := await asyncio.to_thread(sys.stdin.readline):
            before = time.process_time()
            text = await read()
            spent = time.process_time() - before
            assert text == TOKEN * int(line), f"{kind} of {provider} lost a part of the answer, or has too much"
            print(spent / int(line), flush=True)


def serve(provider: str, tokens: int, interval: float) -> None:
    with MOCKS[provider](tokens=[TOKEN] * tokens, interval=interval) as mock:
        print(mock.url, flush=True)
        sys.stdin.read()


# -- all of them -------------------------------------------------------------------------------------------------------


class Child:
    """A contender's process, or a mock's; the first line of a mock is its URL."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.providers", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env},
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[str] = self._process.stdin
        self._stdout: IO[str] = self._process.stdout

    def line(self) -> str:
        return self._stdout.readline().strip()

    def read(self, tokens: int) -> float:
        """What a token of one answer costs it, in microseconds of CPU."""
        print(tokens, file=self._stdin, flush=True)
        return float(self.line()) * 1e6

    def close(self) -> None:
        self._stdin.close()
        self._process.wait(20)


def measure(provider: str, load: Load) -> dict[str, list[float]]:
    """What a token costs each contender, round by round."""
    with ExitStack() as stack:
        mock = stack.enter_context(closing(Child(provider, "mock", str(load.tokens), str(load.interval))))
        keys = {f"{name}_API_KEY": "none" for name in ("OPENAI", "ANTHROPIC", "GOOGLE")}
        env = {MOCKS[provider].variable: mock.line(), **keys}
        children = {kind: stack.enter_context(closing(Child(provider, kind, **env))) for kind in KINDS}
        rounds = range(WARM + load.rounds)
        costs = [{kind: child.read(load.tokens) for kind, child in children.items()} for _ in rounds]
    return {kind: [cost[kind] for cost in costs[WARM:]] for kind in KINDS}


def report(provider: str, load: Load, costs: Mapping[str, Sequence[float]]) -> None:
    print(f"\n{provider}, {load.tokens} tokens, {load.name}: all of our way at most {LIMIT:g} of the SDK alone")
    print(f"  {'':40} {'us':>7} {'ratio':>7}")
    for kind, each in costs.items():
        # Round by round, as a machine that is slow for a while is slow for all.
        ratio = statistics.median(ours / bare for ours, bare in zip(each, costs["sdk"], strict=True))
        print(f"  {KINDS[kind][0]:40} {statistics.median(each):7.1f} {ratio:7.2f}")


def main() -> None:
    print("\nCPU of a token, read from a mock of its provider, medians of all rounds")
    for provider, load in itertools.product(MOCKS, LOADS):
        report(provider, load, measure(provider, load))


if __name__ == "__main__":
    if sys.argv[2] == "mock":
        serve(sys.argv[1], int(sys.argv[3]), float(sys.argv[4]))
    else:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(contend(*sys.argv[1:]))
