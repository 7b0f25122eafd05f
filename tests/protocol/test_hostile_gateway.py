"""Gateways that break the protocol, against the real client: it never hangs, and says what was wrong or goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import OpenClawClient, pulse
from openclaw_nb.errors import OpenClawError, RunError
from openclaw_nb.protocol.frames import CAPABILITIES, encode
from openclaw_nb.run import Run
from tests.foreign import Foreign
from tests.spine import asynchronous, soon
from tests.tools.fuzz import mutated

SECONDS = 60.0  # a safety net against hanging
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202eevil\ud800"


class Hostile(Foreign):
    """Speaks as a gateway of ours does, but for the answers that a test gives in place of its own."""

    def __init__(self, hello: Any = None, **answers: Any) -> None:
        super().__init__(4)
        self.hello = hello
        self.answers = answers

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method in self.answers:
            return self.answers[method]
        if method == "connect":
            sound = {"protocol": 4, "features": {"capabilities": [*CAPABILITIES]}, "policy": {"tickIntervalMs": 30_000}}
            return {"ok": True, "payload": sound if self.hello is None else self.hello}
        if method == "chat.history":
            return {"ok": True, "payload": {"messages": []}}
        return {"ok": True, "payload": {"runId": "k", "status": "started"}}

    async def serve(self, ws: Any) -> None:
        with suppress(ConnectionClosed):
            await super().serve(ws)

    async def send(self, frame: Any) -> None:
        """A frame, or whatever bytes or text are none."""
        assert self.ws is not None
        with suppress(ConnectionClosed):
            await self.ws.send(frame if isinstance(frame, (bytes, str)) else encode(frame).decode())

    async def finish(self) -> None:
        """What a run needs to come to a good end, if it is still there."""
        await self.send(chat(state="delta", offset=0, deltaText="sound", tokens=1))
        await self.send(chat(state="final", length=5))


def chat(**payload: Any) -> dict[str, Any]:
    return {"type": "event", "event": "chat", "payload": {"runId": "k", "sessionKey": "agent:main:main", **payload}}


def agent(**data: Any) -> dict[str, Any]:
    payload = {"runId": "k", "stream": "thinking", "data": {"offset": 0, "delta": "x"} | data}
    return {"type": "event", "event": "agent", "payload": payload}


def event(name: Any, payload: Any) -> dict[str, Any]:
    return {"type": "event", "event": name, "payload": payload}


@asynccontextmanager
async def hostile(gateway: Hostile, **options: Any) -> AsyncIterator[OpenClawClient]:
    options = {"token": "t", "reconnect_delay": 0.01, "max_reconnect_attempts": 2} | options
    async with (
        serve(gateway.serve, "127.0.0.1", 0, compression=None, max_size=None) as server,
        OpenClawClient(**options) as client,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        client.uri = f"ws://127.0.0.1:{port}"
        yield client


async def ended(run: Run) -> str:
    """The run's text, or the sentence of its error; that it ends is what matters most."""
    async with asyncio.timeout(SECONDS):
        try:
            return str(await run)
        except RunError as error:
            words = f"{type(error).__name__}: {error}"
    assert words.isprintable()
    assert len(words) < 1_000
    return words


# -- frames in a run: what it comes to after them ----------------------------------------------------

SOUND = "sound"
PROTOCOL = "RunError: "
PASSED_OVER: dict[str, Any] = {
    "an unknown run": chat(runId="unknown", state="delta", offset=0, deltaText="other"),
    "a run that is none": chat(runId=5, state="final"),
    "a run that is a list": chat(runId=["k"], state="final"),
    "no payload": {"type": "event", "event": "chat"},
    "a list for a payload": event("chat", []),
    "a text for a payload": event("agent", "k"),
    "a number for a payload": event("shutdown", 5),
    "an unknown event": event(ESCAPES, {"runId": "k"}),
    "a second challenge": event("connect.challenge", {"nonce": "other"}),
    "an unknown state": chat(state="finished", length=0),
    "a state that is a list": chat(state=["final"]),
    "a message that is none": chat(state="delta", message=[]),
    "a message in odd parts": chat(state="delta", message={"content": [5, None, {"text": ""}]}),
    "an empty delta": chat(state="delta", offset=0, deltaText=""),
    "an end beyond the text, once": chat(state="final", length=5),
    "an end for ever beyond the text": [chat(state="final", length=2**52)] * 3,
    "thinking that is none": agent(offset=-1, delta="abc"),
    "thinking from nowhere": agent(offset=10**6),
    "thinking of no text": agent(delta=None),
    "thinking without end": agent(seconds=10**400, tokens=10**400, title=5, key=None),
    "thinking of true": agent(offset=True, tokens=True, seconds=True),
    "an answer to nobody": {"type": "res", "id": "999", "ok": True, "payload": {}},
    "an error to nobody": {"type": "res", "id": "", "ok": False, "error": {}},
    "the same tick often": [event("tick", {"ts": "soon"})] * 20,
    "tokens in minus": chat(state="delta", offset=0, deltaText="s", tokens=-1),
    "tokens beyond all": chat(state="delta", offset=0, deltaText="s", tokens=10**400),
    "tokens of true": chat(state="delta", offset=0, deltaText="s", tokens=True),
    "the same delta often": [chat(state="delta", offset=0, deltaText="sou", tokens=1)] * 5,
    "a delta from afar": chat(state="delta", offset=10**15, deltaText="far"),
}
BROKEN: dict[str, Any] = {
    "no JSON": "{",
    "binary": b"\xff\xfe",
    "depth": "[" * 200_000,
    "5,000 digits": "9" * 5_000,
    "no frame": "[]",
    "a request": {"type": "req", "id": "1", "method": "m"},
    "an answer without ok": {"type": "res", "id": "1"},
    "an error that is none": {"type": "res", "id": "2", "ok": False, "error": "no"},
    "an event without a name": event(5, {}),
    "an offset in minus": chat(state="delta", offset=-3, deltaText="abcdef"),
    "an offset of true": chat(state="delta", offset=True, deltaText="abcdef"),
    "an offset with a half": chat(state="delta", offset=0.5, deltaText="abcdef"),
    "an offset beyond all": chat(state="delta", offset=10**400, deltaText="abcdef"),
    "a delta without text": chat(state="delta", offset=0),
    "a surrogate for a type": '{"type":"\\ud800"}',
}
ENDED: dict[str, tuple[Any, str]] = {
    "an error in escapes": (chat(state="error", errorMessage=ESCAPES), "evil"),
    "an error of no words": (chat(state="error", errorMessage={}, errorCode=[5]), ""),
    "an endless error": (chat(state="error", errorMessage="x" * 5_000_000), "xxx"),
    "an end of nothing": (chat(state="final", length=-5), ""),
    "an end of true": (chat(state="final", length=True, usage={"input": True, "output": 10**400}, cost=1e308), ""),
    "an end in odd facts": (chat(state="final", length=0, usage=[], model={}, snapshot=5, cost="free"), ""),
    "text beyond its length": ([chat(state="delta", offset=0, deltaText="xyz"), chat(state="final", length=1)], "xyz"),
    "an end twice": ([chat(state="aborted", length=0), chat(state="final", length=0)], ""),
}


async def sent_into_a_run(frames: Any) -> tuple[str, OpenClawClient]:
    """What a run comes to when its gateway sends ``frames`` and then what it should have sent."""
    gateway = Hostile()
    async with hostile(gateway) as client:
        await client.connect(client.uri)
        run = client.send("go", idempotency_key="k")
        await soon(lambda: "chat.send" in gateway.methods())
        for frame in frames if isinstance(frames, list) else [frames]:
            await gateway.send(frame)
        await gateway.finish()
        return await ended(run), client


@asynchronous
async def test_what_makes_no_sense_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    cases = PASSED_OVER.items()
    outcomes = await asyncio.gather(*(sent_into_a_run(frames) for _, frames in cases))
    assert {name: outcome for (name, _), (outcome, _) in zip(cases, outcomes, strict=True)} == dict.fromkeys(
        PASSED_OVER, SOUND
    )
    assert not caplog.records


@asynchronous
async def test_what_breaks_the_protocol_ends_the_run_with_a_sentence(
    figure: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    cases = BROKEN.items()
    outcomes = await asyncio.gather(*(sent_into_a_run(frames) for _, frames in cases))
    for (name, _), (outcome, _) in zip(cases, outcomes, strict=True):
        assert outcome.startswith(PROTOCOL), (name, outcome)
        assert "link" not in outcome or "failed" not in outcome, (name, outcome)
    assert not caplog.records
    total = len(PASSED_OVER) + len(BROKEN) + len(ENDED)
    figure(
        "reliability 11", f"{total} ways of a gateway to break a run: {len(BROKEN)} an error that says so, none hangs"
    )


@pytest.mark.parametrize("name", ENDED)
@asynchronous
async def test_ends_of_every_kind(name: str, caplog: pytest.LogCaptureFixture) -> None:
    frames, words = ENDED[name]
    outcome, _ = await sent_into_a_run(frames)
    assert words in outcome
    assert outcome.isprintable()
    assert not caplog.records


# -- answers, hellos and closes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False},
        {"ok": False, "error": {}},
        {"ok": False, "error": {"code": 5, "message": ["no"], "details": "x"}},
        {"ok": False, "error": {"code": ESCAPES, "message": ESCAPES}},
        {"ok": False, "error": {"code": "x" * 10_000, "message": "x" * 1_000_000}},
    ],
    ids=range(5),
)
@asynchronous
async def test_refusals_of_odd_types(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with hostile(Hostile(**{"chat.send": answer, "health": answer})) as client:
        await client.connect(client.uri)
        assert (await ended(client.send("go", idempotency_key="k"))).startswith("RunError: ")
        with pytest.raises(OpenClawError) as refusal:
            await client.request("health")
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 1_000
        assert client.connected
    async with hostile(Hostile(connect=answer)) as client:
        with pytest.raises(OpenClawError) as refusal:
            await client.connect(client.uri)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 1_000
        assert len(refusal.value.code) < 1_000
    assert not caplog.records


HELLOS: list[Any] = [
    [], 5, "hello", {}, {"protocol": None}, {"protocol": "4"}, {"protocol": 4.5}, {"protocol": True}, {"protocol": 5},
    {"protocol": 4.0},
    {"protocol": 10**400}, {"protocol": 1e308}, {"protocol": {}}, {"protocol": 4, "features": 5},
    {"protocol": 4, "features": {"capabilities": 5}}, {"protocol": 4, "policy": []},
]  # fmt: skip


@asynchronous
async def test_hellos_that_cannot_be_read() -> None:
    for hello in HELLOS:
        async with hostile(Hostile(hello)) as client, asyncio.timeout(SECONDS):
            with pytest.raises(OpenClawError, match=r"hello-ok|which was not offered") as refusal:
                await client.connect(client.uri)
            assert len(str(refusal.value)) < 500, hello


@asynchronous
async def test_ticks_of_odd_lengths_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PING", SECONDS)  # or a process that stands still would miss short ticks
    for tick in (0, -1, 1e-300, 1e308, 10**400, True, None, "soon", [], {}):
        gateway = Hostile({"protocol": 4, "features": {}, "policy": {"tickIntervalMs": tick}})
        async with hostile(gateway) as client, asyncio.timeout(SECONDS):
            await client.connect(client.uri)
            hello = await client.hello()
            assert 1 <= hello.tick <= 3600, tick
            assert (await client.request("health"))["runId"] == "k"


@asynchronous
async def test_a_gateway_that_lets_nobody_in_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PING", 0.05)
    monkeypatch.setattr(pulse, "TICK", 0.05)

    async def silent(ws: Any) -> None:
        await ws.wait_closed()

    async with (
        serve(silent, "127.0.0.1", 0, compression=None) as server,
        OpenClawClient(token="t") as client,
        asyncio.timeout(SECONDS),
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(OpenClawError, match="sent nothing"):
            await client.connect(f"ws://127.0.0.1:{port}")


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999])
@asynchronous
async def test_closes_of_every_kind(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """After most of them it comes back; after none it hangs, and a reason is not shown as it is."""
    gateway = Hostile()
    async with hostile(gateway) as client:
        await client.connect(client.uri)
        run = client.send("go", idempotency_key="k")
        await soon(lambda: "chat.send" in gateway.methods())
        assert gateway.ws is not None
        asked = len(gateway.asked)
        await gateway.ws.close(code, ESCAPES.replace("\ud800", ""))
        await soon(lambda: run.done() or gateway.methods()[asked + 1 :])
        await gateway.finish()
        outcome = await ended(run)
        assert outcome == SOUND or outcome.startswith("RunError: ")
        assert outcome == SOUND or code in (1002, 1003, 1007, 1008, 1009), outcome
    assert not caplog.records


ODD = [None, True, -1, 0, 10**400, 1e308, "", "k", ESCAPES, "x" * 9_999, [], [[]], {}, {"text": "a"}, "final", "ok"]
FRAMES = [
    chat(state="delta", offset=0, deltaText="sou", tokens=1, message={"content": [{"text": "sou"}]}),
    chat(state="final", length=0, usage={"input": 1, "output": 2}, cost=0.5, model="m", snapshot="s"),
    agent(key="k", title="t", tokens=1, seconds=0.5),
    event("connect.challenge", {"nonce": "n"}),
    event("shutdown", {"reason": "r"}),
    event("tick", {"ts": 1}),
    {"type": "res", "id": "1", "ok": True, "payload": {"protocol": 4, "features": {}, "policy": {"tickIntervalMs": 1}}},
    {"type": "res", "id": "2", "ok": True, "payload": {"runId": "k", "status": "started"}},
    {"type": "res", "id": "3", "ok": False, "error": {"code": "c", "message": "m", "details": {"code": "d"}}},
]


def one_odd(chance: random.Random, data: Any) -> Any:
    """``data`` with one of its values in place of another, at any depth."""
    if isinstance(data, dict) and data and chance.random() < 0.9:
        key = chance.choice(list(data))
        return data | {key: one_odd(chance, data[key])}
    return chance.choice(ODD)


@asynchronous
async def test_whatever_it_sends_the_client_is_there_for_the_next_run(
    figure: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Values in place of others, then bytes: the link may end, and then the client comes back when it is asked to."""
    sent = ends = 0

    async def suffer(seed: int) -> None:
        nonlocal sent, ends
        chance, gateway = random.Random(seed), Hostile()
        async with hostile(gateway) as client:
            for i in range(4):
                await client.connect(client.uri)
                run = client.send("go", idempotency_key="k", session=str(i))
                frames = [encode(one_odd(chance, chance.choice(FRAMES))).decode() for _ in range(20)]
                raw = mutated(chance, [b" " + encode(frame) for frame in FRAMES])[1:]
                for frame in (*frames, raw if chance.random() < 0.1 else raw.decode(errors="ignore")):
                    await gateway.send(frame)
                    sent += 1
                await gateway.send(chat(state="error", errorMessage="over"))
                assert await ended(run) is not None
                ends += 1

    async with asyncio.timeout(240):
        await asyncio.gather(*map(suffer, range(30)))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    figure("reliability 11", f"{sent:,} malformed frames from gateways: {ends} of {ends} runs ended, no client hung")


def test_no_two_cases_are_one() -> None:
    cases = [json.dumps(case, default=repr) for case in (*PASSED_OVER.values(), *BROKEN.values())]
    assert len(set(cases)) == len(cases)
