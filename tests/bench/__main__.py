"""`make bench`: what a cluster stands under load and with instances killed, what the gateway costs, what it adds to a
first token, what we cost beside a provider's own SDK, what snapshots cost, a first delta through real OpenClaw
gateways, and one 4,000-token answer, from one mock, on every way a notebook user has today, side by side.
``python -m tests.bench gateway`` runs one part of it.

Read the ratios: absolute figures are this machine's. Each contender has a kernel or a process of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import (
    cluster,
    distributed,
    gateway,
    growth,
    kills,
    latency,
    openclaw,
    pool,
    providers,
    reconnect,
    snapshots,
    streams,
)
from .kernels import ROOT, kernel, server

TOKENS = 4000
TOKEN = "tok "  # about what a token of English is
ROUNDS = 5

SETUP = """
import asyncio
from openai import AsyncOpenAI
async def deltas():
    client = AsyncOpenAI()
    messages = [{"role": "user", "content": "go"}]
    stream = await client.chat.completions.create(model="mock", messages=messages, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content
"""

CONTENDERS: dict[str, tuple[str, str]] = {
    "openclaw_nb": (
        "%load_ext openclaw_nb",
        "%%openclaw --model openai-chat:mock --into answer\ngo",
    ),
    "pydantic-ai, read and shown nowhere": (
        """
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest, PartStartEvent, PartDeltaEvent, TextPartDelta
async def work():
    parts = []
    async with model_request_stream("openai-chat:mock", [ModelRequest.user_text_prompt("go")]) as stream:
        async for event in stream:
            if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                parts.append(event.delta.content_delta)
            elif isinstance(event, PartStartEvent):
                parts.append(event.part.content)
    return "".join(parts)
""",
        "answer = await work()",
    ),
    "openai SDK, print and flush": (
        SETUP,
        "answer = ''\nasync for delta in deltas():\n    answer += delta\n    print(delta, end='', flush=True)",
    ),
    "update_display per token": (
        SETUP + "from IPython.display import Markdown, display",
        """
answer = ''
shown = display(Markdown(''), display_id=True)
async for delta in deltas():
    answer += delta
    shown.update(Markdown(answer))
""",
    ),
    "chatlas": (
        """
import os
from chatlas import ChatOpenAICompletions
chat = ChatOpenAICompletions(model='mock', base_url=os.environ['OPENAI_BASE_URL'], api_key='none')
""",
        "answer = str(chat.chat('go', echo='output'))",
    ),
}

WARM = "import gc; gc.collect()"


@contextmanager
def mock() -> Iterator[dict[str, str]]:
    """The environment of an OpenAI-compatible endpoint that answers with 4,000 tokens, as fast as it can."""
    command = [sys.executable, str(ROOT / "tests" / "mock_openai.py"), "--tokens", str(TOKENS), "--token", TOKEN]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield {"OPENAI_BASE_URL": process.stdout.readline().strip(), "OPENAI_API_KEY": "none"}
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def one_stream(env: dict[str, str]) -> None:
    print(f"\n{TOKENS} tokens at interval 0, medians of {ROUNDS}; the live bundle at the end counted apart")
    print(f"{'contender':38} {'messages':>8} {'kB live':>8} {'kB end':>7} {'first ms':>9} {'CPU s':>7} {'complete':>9}")
    for name, (setup, cell) in CONTENDERS.items():
        with kernel(**env) as running:
            running.run(setup)
            running.run(cell)
            measured = [running.cpu(cell) for _ in range(ROUNDS)]
            expected = f"({TOKEN!r} * {TOKENS})"
            complete = running.run(f"print(str(answer).strip() == {expected}.strip())").printed.strip()
        cells, seconds = [cell for cell, _ in measured], [cpu for _, cpu in measured]
        last = [c.by_kind.get("update_display_data", 0) if name == "openclaw_nb" else 0 for c in cells]
        live = [cell.bytes - end for cell, end in zip(cells, last, strict=True)]
        firsts = [cell.first_text * 1000 for cell in cells if cell.first_text is not None]
        print(
            f"{name:38} {statistics.median(c.messages for c in cells):8.0f} {statistics.median(live) / 1000:8.0f} "
            f"{statistics.median(last) / 1000:7.0f} {statistics.median(firsts) if firsts else float('nan'):9.0f} "
            f"{statistics.median(seconds):7.2f} {complete:>9}"
        )


def first_cell() -> None:
    print("\nfirst visible token, ms from the execute request (offline model), medians of", ROUNDS)
    firsts: dict[str, list[float]] = {"first cell of a kernel": [], "later cells": []}
    for _ in range(ROUNDS):
        with kernel() as running:
            running.run("%load_ext openclaw_nb")
            running.run("import time; time.sleep(0.5)")
            for name in firsts:
                first = running.run("%%openclaw\ncount to 20").first_text
                firsts[name].append((first or 0) * 1000)
    for name, values in firsts.items():
        print(f"{name:38} {statistics.median(values):8.0f}")


def loading() -> None:
    print("\nCPU of loading, ms in a fresh kernel, medians of", ROUNDS)
    clock = "import time; _before = time.process_time()\n{}\nprint(time.process_time() - _before)"
    medians = {}
    for code in ("import ipywidgets", "%load_ext openclaw_nb"):
        values = []
        for _ in range(ROUNDS):
            with kernel() as running:
                values.append(float(running.run(clock.format(code)).printed) * 1000)
        medians[code] = statistics.median(values)
        print(f"{code:38} {medians[code]:8.0f}")
    print(f"{'ratio':38} {medians['%load_ext openclaw_nb'] / medians['import ipywidgets']:8.2f}")


def through_a_server(env: dict[str, str]) -> None:
    print("\nthrough a default jupyter_server: text lost, %")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), **env) as running:
        for name, count in (("openclaw_nb", 1), ("openclaw_nb", 16), ("openai SDK, print and flush", 1)):
            setup, cell = CONTENDERS[name]
            cells = [cell.replace("--into", f"--bg --session s{n} --into") if count > 1 else cell for n in range(count)]
            kernel_id = running.new_kernel()
            asyncio.run(running.run(kernel_id, [setup]))
            replies = asyncio.run(running.run(kernel_id, [*cells, "%openclaw wait"] if count > 1 else cells))
            size = TOKENS * len(TOKEN)
            lost = [100 * (1 - _shown(reply, size) / size) for reply in (replies[:-1] if count > 1 else replies)]
            if count > 1:
                whole = _updates(replies)
                lost = [100 * (1 - min(size, length) / size) for length in whole[:count]]
            print(f"{f'{name}, {count} at once':38} {max(lost):8.1f}")


def _shown(reply: list[dict[str, Any]], size: int) -> int:
    """Characters of the answer that a front end shows in the end."""
    bundles = [m["content"]["data"]["text/plain"] for m in reply if m["msg_type"] == "update_display_data"]
    printed = sum(len(m["content"]["text"]) for m in reply if m["msg_type"] == "stream")
    return min(size, len(bundles[-1]) if bundles else printed)


def _updates(replies: list[list[dict[str, Any]]]) -> list[int]:
    """The length of the last bundle of every display."""
    final: dict[str, int] = {}
    for message in (m for reply in replies for m in reply if m["msg_type"] == "update_display_data"):
        final[message["content"]["transient"]["display_id"]] = len(message["content"]["data"]["text/plain"])
    return list(final.values())


def notebooks() -> None:
    loading()
    first_cell()
    with mock() as env:
        one_stream(env)
        through_a_server(env)


PARTS = {
    "cluster": cluster.main, "distributed": distributed.main, "gateway": gateway.main, "growth": growth.main,
    "kills": kills.main, "latency": latency.main, "openclaw": openclaw.main, "pool": pool.main,
    "providers": providers.main, "reconnect": reconnect.main, "snapshots": snapshots.main, "streams": streams.main,
    "notebooks": notebooks,
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
