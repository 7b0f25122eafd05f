"""Fuzzing of all that reads what strangers send: frames, both sessions, parameters and the door.

python -m tests.tools.fuzz SECONDS [SEED]     the mutator below, which needs nothing else
python -m tests.tools.fuzz --atheris [...]    libFuzzer's, guided by coverage, where atheris is installed
"""

from __future__ import annotations

import gc
import json
import math
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from openclaw_nb.door import Door, Locked
from openclaw_nb.errors import AuthError, ConnectionLost, ProtocolError
from openclaw_nb.protocol.frames import (
    BadFrame,
    ChatAbort,
    ChatHistory,
    ChatSend,
    ConnectParams,
    Event,
    Pace,
    Request,
    Response,
    RunResume,
    decode_json,
    decode_request,
    decode_server_frame,
    encode,
    read_params,
)
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import RunCursor, RunEnded, RunStep, RunText
from openclaw_nb.protocol.runlog import Cursor, Ending, RunLog
from openclaw_nb.protocol.server import Call, Close, Send, ServerSession
from openclaw_nb.protocol.session import ClientSession
from tests.protocol.test_server import new_session
from tests.spine import hello

__all__ = ["TARGETS", "fuzz", "one_input", "seeds"]

BETWEEN = b"\n\n"
"""Between the messages of one input: JSON needs no empty line."""

METHODS = {
    "chat.abort": ChatAbort, "chat.history": ChatHistory, "chat.send": ChatSend, "connect": ConnectParams,
    "run.resume": RunResume,
}  # fmt: skip

LET_IN = encode(hello("T", caps=("nb.offset", "nb.resume", "nb.batch", "nb.model")))


# -- targets: each takes messages, and says in a few words what came of them -------------------------


def frames(messages: list[bytes]) -> Iterator[str]:
    """What decodes is encoded to something that decodes to the same."""
    for raw in messages:
        for decode in (decode_json, decode_request, decode_server_frame):
            try:
                decoded: Any = decode(raw)
            except ProtocolError as error:
                short = len(str(error)) < 600 and 0 < len(getattr(error, "id", "-")) <= 256
                yield words(error) if short else "long"
            else:
                assert decode(encode(decoded)) == decoded
                yield type(decoded).__name__


def params(messages: list[bytes]) -> Iterator[str]:
    """Any JSON as the parameters of any method."""
    for raw in messages:
        try:
            data = decode_json(raw)
        except ProtocolError:
            continue
        for type in (*METHODS.values(), Pace):
            try:
                read_params(Request("q", "m", data if isinstance(data, dict) else {"params": data}), type)
                yield type.__name__
            except BadFrame as error:
                yield words(error)


def serve(session: ServerSession, messages: list[bytes]) -> Iterator[str]:
    for raw in messages:
        for instruction in session.receive(raw):
            yield type(instruction).__name__
            match instruction:
                case Send(data):
                    assert json.loads(data)["type"] == "res"
                case Close(code):
                    assert code in (1002, 1008, 1009)
                    return
                case Call(request):
                    assert session.authenticated
                    try:
                        read_params(request, METHODS.get(request.method, Pace))
                    except BadFrame as error:
                        yield words(error)


def stranger(messages: list[bytes]) -> Iterator[str]:
    """A gateway and somebody it does not know: only the right token opens."""
    session = new_session("T")
    yield from serve(session, messages)
    assert not session.authenticated or any(b"connect" in raw and b"T" in raw for raw in map(unescaped, messages))


def unescaped(raw: bytes) -> bytes:
    return re.sub(rb"\\u00([2-7][0-9a-fA-F])", lambda found: bytes([int(found[1], 16)]), raw)


def guest(messages: list[bytes]) -> Iterator[str]:
    """A gateway and somebody it has let in."""
    session = new_session("T")
    session.receive(LET_IN)
    yield from serve(session, messages)
    assert session.authenticated


def client(messages: list[bytes]) -> Iterator[str]:
    """A client and whatever calls itself a gateway: text comes in order, and numbers are numbers."""
    session = ClientSession(token="T", version="1", platform="linux")
    session.runs |= {"r": RunCursor(), "q": RunCursor()}
    here: dict[str, int] = {"r": 0, "q": 0}
    tokens = dict(here)
    for raw in messages:
        try:
            for event in session.receive(raw):
                yield type(event).__name__
                match event:
                    case RunText():
                        assert event.offset == here[event.run_id]
                        assert event.text
                        assert tokens[event.run_id] <= event.tokens < 2**64
                        here[event.run_id] += len(event.text)
                        tokens[event.run_id] = event.tokens
                    case RunStep():
                        assert event.offset >= 0
                        assert 0 <= event.tokens < 2**64
                        assert event.seconds is None or math.isfinite(event.seconds)
                    case RunEnded():
                        here.pop(event.run_id)  # once
                    case Hello():
                        assert event.protocol in (3, 4)
                        assert 1 <= event.tick <= 3600
        except (AuthError, ConnectionLost, ProtocolError) as error:
            yield words(error)
            session.disconnected()


def cursors(messages: list[bytes]) -> Iterator[str]:
    """A run that says the messages, told to a client that comes back at places it makes up itself."""
    log, session = RunLog("r", "s"), ClientSession(token="T", version="1", platform="linux")
    session.runs["r"] = RunCursor()
    cursor, here, said = Cursor(log), "", ""
    for raw in messages:
        text = raw.decode(errors="replace")
        log.append(text, len(raw) % 4)
        said += text
        if len(raw) % 3 == 0:
            cursor = Cursor(log, offset=len(here) - len(raw) % 7, steps={"thinking": len(raw) % 5 - 1})
        if len(raw) % 2:
            here += told(session, cursor)
            assert said.startswith(here)
    log.end(Ending("final"))
    while not cursor.ended:
        here += told(session, cursor)
    assert here == said
    yield "ended" if "r" not in session.runs else "not ended"


def told(session: ClientSession, cursor: Cursor) -> str:
    events = [event for name, payload in cursor.take() for event in session.receive(encode(Event(name, payload)))]
    return "".join(event.text for event in events if isinstance(event, RunText))


def door(messages: list[bytes]) -> Iterator[str]:
    """Headers, tokens and addresses of strangers: only the right token opens, and only from a Host of ours."""
    door = Door(["T"], "127.0.0.1")
    for now, raw in enumerate(messages):
        token, host, origin, path, *_ = [*raw.decode(errors="surrogateescape").split("|"), "", "", "", ""]
        refused = door.refuses([origin] if origin else [], [host], path.encode(errors="surrogateescape"))
        assert refused or path.startswith("/")
        assert refused or re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]*)?", host, re.I)
        try:
            admitted = door.admits(token, host, now / 10)
        except Locked as lock:
            yield f"{lock} {refused}"
        else:
            assert bool(admitted) == (token == "T")
            yield f"{bool(admitted)} {refused}"


TARGETS: tuple[Callable[[list[bytes]], Iterator[str]], ...] = (
    frames, params, stranger, guest, client, cursors, door,
)  # fmt: skip


def outcome(data: bytes) -> str:
    """What came of one input: its first byte chooses the target, the rest are its messages."""
    target = TARGETS[data[0] % len(TARGETS) if data else 0]
    return f"{target.__name__}: {' '.join(sorted(set(target(data[1:].split(BETWEEN)))))}"


def one_input(data: bytes) -> None:
    """As libFuzzer and atheris call it: what is raised is a bug."""
    outcome(data)


def words(error: Exception) -> str:
    """A kind of error: its sentence without what the input had to do with it."""
    return re.sub(r"\d+|[`'\"].*", "", str(error))[:60]


# -- inputs ----------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Sound frames of our own, shapes of real gateways', and what is known to break readers of JSON."""
    requests = [
        LET_IN,
        encode(hello(None, low=3, high=3, device={"id": "d", "publicKey": "k"})),
        encode(Request("1", "chat.send", {
            "sessionKey": "agent:main:s", "message": "é😀", "idempotencyKey": "r", "thinking": "low", "model": "m",
            "attachments": [{}], "deliver": True, "timeoutMs": 5, "pace": {"size": 10, "delay": 0.02},
            "partial": {"text": "one", "tokens": 1},
        })),
        encode(Request("2", "chat.abort", {"sessionKey": "main", "runId": "r"})),
        encode(Request("3", "chat.history", {"sessionKey": "main", "limit": 5})),
        encode(Request("4", "run.resume", {"runId": "r", "offset": 3, "steps": {"thinking": 2}, "pace": {}})),
        b'{"type":"req","id":"\\u00e9","method":"health","params":{"a":"\\ud800"}}',
    ]  # fmt: skip
    answers = [encode(frame) for frame in _answers()]
    traps = [
        b"[" * 1_500, b'{"type":"req","id":"1","method":"m","params":' + b'{"a":' * 500, b"9" * 2_500, b"1e999",
        b'{"a":NaN}', b'{"a":1,"a":2}', b"\xff\xfe{\0}\0", b'"\xed\xa0\x80\\ud800"', b"null", b"-0", b'"\\u0000"',
    ]  # fmt: skip
    visits = [b"T|localhost||/", b"wrong|127.0.0.1:80|null|/", b"|[::1]:5||http://evil.com/", b"T|::ffff:127.0.0.1%a|"]
    lists = [
        requests,
        [*traps, *requests],
        [*traps, *requests],
        [*traps, *requests],
        [*traps, *answers],
        answers,
        visits,
    ]
    found = [bytes([i]) + one for i, some in enumerate(lists) for one in some]
    return [*found, *(bytes([i]) + BETWEEN.join(some) for i, some in enumerate(lists))]


def _answers() -> Iterator[Any]:
    features, policy = (
        {"capabilities": ["nb.offset", "nb.resume"]},
        {"maxPayload": 26_214_400, "tickIntervalMs": 30_000},
    )
    message = {"role": "assistant", "content": [{"type": "text", "text": "tok0"}], "timestamp": 1}
    yield Event("connect.challenge", {"nonce": "n", "ts": 1})
    yield Response("1", True, {"type": "hello-ok", "protocol": 4, "features": features, "policy": policy})
    yield Response("1", False, error={"code": "INVALID_REQUEST", "details": {"code": "AUTH_TOKEN_MISMATCH"}})
    yield Response("1", False, error={"code": "X", "details": {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 5}})
    yield Event("chat", {"runId": "r", "state": "delta", "offset": 0, "deltaText": "abc", "tokens": 2}, 1)
    yield Event("chat", {"runId": "r", "state": "delta", "offset": 2, "deltaText": "cde\ud800", "tokens": 3}, 2)
    yield Event("chat", {"runId": "q", "state": "delta", "seq": 6, "deltaText": "tok0", "message": message}, 3)
    yield Event("agent", {"runId": "r", "stream": "thinking", "data": {
        "key": "k", "title": "t", "offset": 0, "delta": "abc", "tokens": 3, "seconds": 1.5,
    }}, 4)  # fmt: skip
    yield Event("agent", {"runId": "q", "stream": "thinking", "data": {"text": "one two", "delta": " two"}}, 5)
    yield Event("agent", {"runId": "q", "stream": "lifecycle", "data": {"phase": "start", "startedAt": 1}, "ts": 1}, 6)
    yield Event("chat", {"runId": "r", "state": "final", "length": 6, "usage": {"input": 1, "output": 2}}, 7)
    yield Event("chat", {"runId": "q", "state": "error", "errorMessage": "no", "message": message}, 8)
    yield Event("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None}, 9)


TOKENS = [
    b"null", b"true", b"-1", b"0", b"1e308", b"1e999", b"9" * 25, b"9" * 400, b"NaN", b'""', b'"\\ud800"', b"[]", b"{}",
    b'"r"', b'"q"', b'"T"', b"[[]]", b'"offset":', b'"length":', b'"state":"final"', b"\0", b"\xff", BETWEEN,
    b"\\u0022", b"|", b"%", b"::ffff:127.0.0.1",
]  # fmt: skip


LONGEST = 3_000
"""Bytes of an input made here: what is long takes its time, and breaks nothing that is short."""


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """One of the corpus, changed in one to six places."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at:at] = chance.choice(TOKENS)
            case 3:  # a value in place of another
                if values := list(re.finditer(rb'(?<=:)("[^"]*"|[-\w.]+|\{\}|\[\])', data)):
                    start, end = chance.choice(values).span()
                    data[start:end] = chance.choice(TOKENS)
            case 4:
                other = chance.choice(corpus)
                cut = chance.randrange(len(other) + 1)
                data[at:] = other[cut:]
            case 5 if len(data) < LONGEST // 2:
                data += BETWEEN + chance.choice(corpus)[1:]
            case _:
                size = chance.randint(1, 40)
                data[at:at] = data[at : at + size]
    return bytes(data[:LONGEST])


def fuzz(seconds: float, seed: int, say: Callable[[str], object] = print, least: int = 0) -> int:
    """Mutate for so long, but ``least`` inputs; those whose outcome is new are mutated further. The number tried."""
    chance, corpus, seen = random.Random(seed), seeds(), set[str]()
    say(f"seed {seed}, {len(corpus)} inputs to begin with")
    began = told_at = time.monotonic()
    count = 0
    while (now := time.monotonic()) - began < seconds or count < least:
        if now - told_at > 10:
            told_at = now
            say(f"{count:,} executions, {count / (now - began):,.0f}/s, {len(corpus)} inputs kept")
        for data in corpus[:] if count == 0 else (mutated(chance, corpus) for _ in range(200)):
            count += 1
            try:
                new = outcome(data)
            except BaseException:
                say(f"after {count:,} executions of seed {seed} this input failed:\n{data!r}")
                raise
            if new not in seen and len(seen) < 20_000:
                seen.add(new)
                corpus.append(data)
    say(f"{count:,} executions, {count / seconds:,.0f}/s, {len(corpus)} inputs kept, no failure")
    return count


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--atheris"]:
        import atheris  # type: ignore[import-not-found,unused-ignore]

        for one in gc.get_objects():  # all functions there are would take minutes
            if isinstance(one, FunctionType) and str(one.__module__).startswith("openclaw_nb."):
                atheris.instrument_func(one)
        atheris.Setup([sys.argv[0], *arguments[1:]], one_input)
        atheris.Fuzz()
    else:
        seconds, seed, *_ = [*map(int, arguments), *((60, random.randrange(2**32))[len(arguments) :])]
        fuzz(seconds, seed)


if __name__ == "__main__":
    main(sys.argv[1:])
