"""Text that other systems lose: the same in the run, the history, the snapshots and for who comes later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from openclaw_nb import models
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Engine
from openclaw_nb.events import Delta
from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import encode
from openclaw_nb.snapshots import SnapshotStore
from tests.faults.kinds import Split
from tests.faults.proxy import FaultProxy
from tests.security.test_gateway import framed
from tests.spine import asynchronous, let_in

# A kind to each: widths of UTF-8, joiners, marks, right to left, controls, lines, BOM, the last one, halves of pairs.
KINDS = [
    "aé€😀", "👩\u200d💻👍🏽", "e\u0301\u0327", "\u202eעברית\u202c", "\0\x01\x1b[0m\x7f\x9b", "\r\n\u2028\u2029\v",
    "\ufeff", "\U0010ffff\uffff", "\ud800", "-\udfff", "-\ud83d-\ude00", "\udc00\ud800",
]  # fmt: skip
TEXT = "|".join(KINDS)
SOUND = TEXT.encode(errors="replace").decode()
"""What of it UTF-8 can hold; the rest travels as escapes, which are ASCII."""


async def echo(prompt: str) -> AsyncIterator[str]:
    """The prompt again, in halves of characters where they have two."""
    units = prompt.encode("utf-16-le", "surrogatepass")
    for i in range(0, len(units), 2):
        yield units[i : i + 2].decode("utf-16-le", "surrogatepass")


@asynchronous
async def test_equal_everywhere(figure: Callable[[str, str], None], tmp_path: Path) -> None:
    path = tmp_path / "snapshots.db"
    places: dict[str, str] = {}
    with SnapshotStore(path) as store:
        engine = Engine(store, models.resolve(echo))
        async with Gateway(engine=engine) as gateway, FaultProxy(gateway.port) as proxy:
            proxy.faults.append(Split(1))  # every byte of every frame by itself
            async with OpenClawClient(token=gateway.token, token_batch_size=1) as client:
                deltas: list[Delta] = []
                tokens: list[str] = []
                client.on("token", tokens.append)
                await client.connect(proxy.url)
                run = client.send(TEXT, idempotency_key="k")
                run.subscribe(lambda event: deltas.append(event) if isinstance(event, Delta) else None)
                places["async for"] = "".join([piece async for piece in run])
                places["the result"] = str(await run)
                places["run.text"] = run.text
                places["token events"] = "".join(tokens)
                places["deltas"] = "".join(delta.text for delta in deltas)
                assert [delta.offset for delta in deltas] == [
                    sum(len(delta.text) for delta in deltas[:i]) for i in range(len(deltas))
                ]
                history = await client.request("chat.history", {"sessionKey": "main"})
                places["the history, asked"], places["the history, answered"] = (
                    message["content"][0]["text"] for message in history["messages"]
                )
            async with OpenClawClient(token=gateway.token) as later:
                await later.connect(gateway.url)
                places["who asks again"] = str(await later.send(TEXT, idempotency_key="k"))
            async with let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
                for at in range(len(TEXT)):
                    await raw.ask("run.resume", id=f"q{at}", runId="k", offset=at)
                    payload = await raw.event("chat", state="delta")
                    assert TEXT[:at] + payload["deltaText"] == TEXT
            async with let_in(gateway, low=3, high=3) as raw:
                await raw.ask("chat.send", sessionKey="main", message=TEXT, idempotencyKey="k", thinking="low")
                payload = await raw.event("chat", state="final")
                places["a client of protocol 3"] = payload["message"]["content"][0]["text"]
        assert run._done.result().snapshot
    with SnapshotStore(path) as store:
        assert not store.verify()
        asked, answered = store.get(run._done.result().snapshot).state["messages"]
        places["the snapshot, asked"], places["the snapshot, answered"] = asked["content"], answered["content"]
    assert places == dict.fromkeys(places, TEXT)
    figure("reliability 12", f"{len(KINDS)} kinds of text, split at every byte: equal in {len(places)} places")


@asynchronous
async def test_messages_split_at_every_byte(figure: Callable[[str, str], None]) -> None:
    """Into two fragments of a message, and into two writes to the socket: the gateway repeats the text as it was."""
    async with Gateway() as gateway, let_in(gateway) as raw:
        for text in (TEXT, SOUND):
            request = encode({"type": "req", "id": "q", "method": "chat.history", "params": {"sessionKey": text}})
            for at in range(len(request)):
                raw.ws.transport.write(framed(request[:at], fin=False) + framed(request[at:], 0))
                assert (await raw.reply("q"))["payload"]["sessionKey"] == text, at
            frame = framed(request)
            for at in range(1, len(frame)):
                raw.ws.transport.write(frame[:at])
                await asyncio.sleep(0)
                raw.ws.transport.write(frame[at:])
                assert (await raw.reply("q"))["payload"]["sessionKey"] == text, at
    figure("reliability 12", "requests split at every byte, in fragments and in packets: the text equal in each answer")
