"""Facts 25 and 39 of the design's list for a gateway's own words: they come without our token and without escapes."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import OpenClawError, RunError
from tests.security.planted import Planted, found
from tests.security.recorder import Recorder
from tests.spine import asynchronous

TOKEN = Planted("the token")
WORDS = f"\x1b]0;owned\x07\x1b[2J\n\r\u202e\x9b31m {TOKEN.text} " + "long " * 1_000

REFUSALS: list[Any] = [
    {"ok": False, "error": {"code": WORDS, "message": WORDS}},
    {"ok": False, "error": {"code": "INVALID_REQUEST", "message": WORDS, "details": {"code": WORDS}}},
    {"ok": False, "error": {"message": "no", "details": {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 1, "x": WORDS}}},
    {"ok": False, "error": {"code": WORDS, "message": "no", "details": {"code": "PROTOCOL_MISMATCH"}}},
    {"ok": True, "payload": {"type": "hello-ok", "protocol": WORDS}},
    {"ok": True, "payload": {"type": "hello-ok", "protocol": [WORDS]}},
    {"ok": True, "payload": WORDS},
    {"ok": WORDS},
    {"type": WORDS},
    {"type": "event", "event": 5, "payload": WORDS},
    {"id": [WORDS], "ok": True},
    WORDS,
]
"""What answers our connect, or breaks the protocol instead."""

ENDINGS: list[dict[str, Any]] = [
    {"state": "error", "errorMessage": WORDS}, {"state": "error", "message": {"content": WORDS}},
    {"state": "aborted", "stopReason": WORDS, "errorMessage": WORDS}, {"state": "final", "stopReason": WORDS},
]  # fmt: skip
"""What ends a run."""

ANSWERS = [
    f"HTTP/1.1 403 {WORDS[:40]}{TOKEN.text}\r\nContent-Length: 0\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nX: {TOKEN.text}\x1b[2J\r\n\r\n",
    f"HTTP/1.1 101 Go\r\nUpgrade: \x1b]0;{TOKEN.text}\x07\r\nConnection: Upgrade\r\n\r\n",
    f"HTTP/1.1 302 Go\r\nLocation: ws://{TOKEN.core}@h/\x1b[2J\r\nContent-Length: 0\r\n\r\n",
    f"{TOKEN.text}\x1b[2J\r\n\r\n",
]
"""What is no WebSocket at all."""


def harmless(text: str) -> None:
    """One line that a terminal obeys in nothing, not endless, without our token."""
    assert not {character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")}
    assert len(text) < 600
    assert not found([TOKEN], {"here": text.encode()})


@asynchronous
async def test_what_a_gateway_says_when_it_refuses(figure: Callable[[str, str], None]) -> None:
    heard = 0

    async def refusing(ws: ServerConnection) -> None:
        frame = REFUSALS[heard]
        await ws.send(json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": WORDS}}))
        asked = json.loads(await ws.recv())
        await ws.send(json.dumps({"type": "res", "id": asked["id"], **frame} if isinstance(frame, dict) else frame))
        await asyncio.sleep(0.05)
        await ws.close(1008, WORDS.replace("long ", "")[:100])

    async with serve(refusing, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        while heard < len(REFUSALS):
            with pytest.raises(OpenClawError) as refusal:
                await OpenClawClient(token=TOKEN.text, auto_reconnect=False).connect(url)
            harmless(str(refusal.value))
            harmless(refusal.value.code)
            heard += 1
    for answer in ANSWERS:
        with Recorder(answer.encode("latin-1", "replace")) as recorder:
            with pytest.raises(OpenClawError) as refusal:
                await OpenClawClient(token=TOKEN.text).connect(f"ws://127.0.0.1:{recorder.port}")
            harmless(str(refusal.value))
            heard += 1
    figure("reliability 25 and 39", f"{heard} refusals full of escapes and our token: one harmless line each")


@asynchronous
async def test_what_a_gateway_says_of_a_run() -> None:
    async def ending(ws: ServerConnection) -> None:
        await ws.send(json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n"}}))
        while True:
            asked = json.loads(await ws.recv())
            answer: dict[str, Any] = {"type": "res", "id": asked["id"], "ok": True, "payload": {"status": "started"}}
            if asked["method"] == "connect":
                answer["payload"] = {"type": "hello-ok", "protocol": 4, "features": {"capabilities": [WORDS]}}
            elif asked["method"] == "refused":
                answer |= {"ok": False, "error": {"code": WORDS, "message": WORDS}}
            await ws.send(json.dumps(answer))
            if asked["method"] == "chat.send":
                chat = {"runId": asked["params"]["idempotencyKey"], "sessionKey": WORDS, **ENDINGS[len(ended)]}
                await ws.send(json.dumps({"type": "event", "event": "chat", "payload": chat}))

    ended: list[str] = []
    async with serve(ending, "127.0.0.1", 0) as server, OpenClawClient(token=TOKEN.text) as client:
        await client.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(OpenClawError) as refusal:
            await client.request("refused")
        harmless(str(refusal.value))
        while len(ended) < len(ENDINGS):
            run = client.send("go")
            try:
                await run
            except RunError as error:
                harmless(str(error))
            ended.append(run.words)
            harmless(run.words)
            harmless(repr(run))
