"""Frames: exact for every string, strict for requests, lenient for gateways, and never a crash."""

from __future__ import annotations

import gc
import json
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openclaw_nb.errors import ProtocolError
from openclaw_nb.protocol import frames
from openclaw_nb.protocol.frames import (
    BadFrame,
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
from tests.spine import any_text

plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


def joined(data: Any) -> Any:
    """As JSON has it: two halves of a pair that stand side by side are one character."""
    match data:
        case str():
            return data.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        case list():
            return [joined(one) for one in data]
        case dict():
            return {joined(key): joined(value) for key, value in data.items()}
        case _:
            return data


@given(any_text)
@example("\ud800")
@example("\0\u200d\u202eא\U0010ffff\udfff\ud800")
def test_every_string_arrives_as_it_left(text: str) -> None:
    assert decode_server_frame(encode(Event("chat", {"deltaText": text}, 1))).payload == {"deltaText": joined(text)}
    assert decode_request(encode(Request("1", "chat.send", {"message": text}))).params == {"message": joined(text)}


@given(plain_data)
def test_plain_data_arrives_as_it_left(data: Any) -> None:
    assert decode_json(encode(data)) == joined(data)
    assert decode_server_frame(encode(Response("1", True, data))).payload == joined(data)


def test_no_bytes_for_what_is_not_json() -> None:
    assert decode_json(encode([float("nan"), float("inf")])) == [None, None]
    assert decode_json(encode(["\ud800", float("nan"), {"a": float("-inf")}])) == ["\ud800", None, {"a": None}]
    for raw in (b'["\\ud800", NaN]', b'["\\ud800", 1e999]', b"1e999"):
        with pytest.raises(ProtocolError):
            decode_json(raw)


@pytest.mark.parametrize("decode", [decode_request, decode_server_frame])
def test_a_message_of_many_values_is_not_searched_for_garbage_while_it_is_read(decode: Any) -> None:
    start = b'{"type":"event","event":"e","payload":{"a":['
    if decode is decode_request:
        start = b'{"type":"req","id":"q","method":"m","params":{"a":['
    big = start + b"[]," * 200_000 + b"[]]}}"
    searches: list[str] = []

    def note(phase: str, facts: dict[str, int]) -> None:
        searches.append(phase)

    gc.callbacks.append(note)
    try:
        decode(big)
    finally:
        gc.callbacks.remove(note)
    assert len(searches) <= 4, "one search may begin before and one after; each begins and ends"
    with suppress(ProtocolError):
        decode(big[:-1])
    assert gc.isenabled()


# -- recorded from the real gateways, 2026.9.6 (protocol 4) and 2026.3.1 (protocol 3) ----------------

RECORDED_REQUESTS = [
    '{"type":"req","id":"a979b64d","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":'
    '"gateway-client","version":"0.1.0","platform":"linux","mode":"backend"},"role":"operator","scopes":'
    '["operator.read","operator.write"],"caps":["tool-events"],"locale":"en-US","userAgent":"occlient/0.1",'
    '"auth":{"token":"tok-test-123"}}}',
    '{"type":"req","id":"4dac5a47","method":"chat.history","params":{"sessionKey":"main"}}',
    '{"type":"req","id":"5d6f9315","method":"chat.send","params":{"sessionKey":"main","message":'
    '"hello [n=30] [ms=10]","idempotencyKey":"run-ccb79b85","thinking":"low"}}',
    '{"type":"req","id":"83615ffd","method":"chat.abort","params":{"sessionKey":"main","runId":"run-869e807c"}}',
]

RECORDED_REPLIES = [
    '{"type":"event","event":"connect.challenge","payload":{"nonce":"b698c0b2-d209-414d-9b47-261b1fb259db",'
    '"ts":1795328383878,"capabilities":["model-catalog-snapshot"]}}',
    '{"type":"res","id":"5d6f9315","ok":true,"payload":{"runId":"run-ccb79b85","status":"started"}}',
    '{"type":"res","id":"34ae766c","ok":false,"error":{"code":"FORBIDDEN","message":"missing scope: operator.read",'
    '"details":{"code":"MISSING_SCOPE","missingScope":"operator.read","requiredScopes":["operator.read"]}}}',
    '{"type":"res","id":"ed97ad44","ok":false,"payload":{"runId":"tt-7433ac","status":"error","summary":"Thinking'
    ' level"},"error":{"code":"UNAVAILABLE","message":"Thinking level \\"xhigh\\" is not supported"}}',
    '{"type":"event","event":"agent","payload":{"runId":"run-ccb79b85","stream":"lifecycle","data":{"phase":"start",'
    '"startedAt":1795328542978},"sessionKey":"agent:main:main","seq":3,"ts":1795328542978,"isHeartbeat":false},"seq":6}',
    '{"type":"event","event":"chat","payload":{"runId":"run-ccb79b85","sessionKey":"agent:main:main","agentId":"main",'
    '"seq":6,"state":"delta","deltaText":"tok0","message":{"role":"assistant","content":[{"type":"text","text":"tok0"}],'
    '"timestamp":1795328543070}},"seq":11}',
    '{"type":"event","event":"tick","payload":{"ts":1795328549167},"seq":87}',
    '{"type":"event","event":"shutdown","payload":{"reason":"gateway stopping","restartExpectedMs":null},"seq":3940}',
]


@pytest.mark.parametrize("raw", RECORDED_REQUESTS)
def test_recorded_requests(raw: str) -> None:
    request = decode_request(raw.encode())
    assert {"type": "req", "id": request.id, "method": request.method, "params": request.params} == json.loads(raw)
    types: dict[str, Any] = {
        "connect": ConnectParams, "chat.history": ChatHistory, "chat.send": ChatSend, "chat.abort": frames.ChatAbort,
    }  # fmt: skip
    read_params(request, types[request.method])


@pytest.mark.parametrize("raw", RECORDED_REPLIES)
def test_recorded_server_frames(raw: str) -> None:
    frame = decode_server_frame(raw.encode())
    assert json.loads(encode(frame)) == json.loads(raw)


# -- refused ---------------------------------------------------------------------------------------

BAD = {
    b'{"type":"req","id":"q","method":5}': "q",
    b'{"type":"req","id":5,"method":"m"}': "invalid",
    b'{"type":"req","id":"","method":"m"}': "invalid",
    b'{"type":"req","method":"m"}': "invalid",
    b'{"id":"q","method":"m"}': "q",
    b'{"params":{},"type":"nonsense","id":"q","method":"m"}': "q",
    b'{"type":"event","event":"chat"}': "invalid",
    b'{"type":"req","id":"q","method":"m","params":[]}': "q",
    b'{"type":"req","id":"q","method":"m","params":{"a":NaN}}': "q",
    b'{"type":"req","id":"q","method":"m","params":{"a":-Infinity}}': "q",
    b'{"type":"req","id":"q\\u00e9","method":"m","params":{"a":' + b"9" * 5_000 + b"}}": "qé",
    b'{"type":"req","id":"q","method":"m","params":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}": "q",
    b'{"type":"req","id":"q","method":"m","params":{"a":"\\ud800","b":' + b"[" * 200_000 + b"}": "q",
    b'{"type":"req","id":"\\ud8","method":"m"': "invalid",
    b'{"type":"req","id":"\xff","method":"m"}': "invalid",
    b'{"type":"req","id":"q","method":"m","params":{"a":"\\ud800","b":1e999}}': "q",
    b'{"type":"\\ud800","id":"q","method":"m"}': "q",
    b'{"\\ud800":1,"id":"q","method":5}': "q",
    b'{"type":"req","id":"q","method":"' + b"m" * 257 + b'"}': "q",
    b'{"type":"req","method":"m","id":"' + b"q" * 257 + b'"}': "invalid",
    b'{"x":"\\"id\\":\\"no\\"","method":1}': "invalid",
    b'{"x":{"id":"no"},"method":1': "invalid",
    b"[" * 200_000: "invalid",
    b"9" * 5_000: "invalid",
    b'"\xff\xfe"': "invalid",
    b"\xff\xfe{\0}\0": "invalid",
    b"null": "invalid",
    b"": "invalid",
}


@pytest.mark.parametrize(("raw", "id"), BAD.items(), ids=range(len(BAD)))
def test_bad_requests_are_refused_under_their_own_id(raw: bytes, id: str) -> None:
    with pytest.raises(BadFrame, match="invalid request frame") as refusal:
        decode_request(raw)
    assert refusal.value.id == id
    assert refusal.value.code == "INVALID_REQUEST"
    assert len(str(refusal.value)) < 300
    with pytest.raises(ProtocolError):
        decode_server_frame(raw) if raw != b'{"type":"event","event":"chat"}' else decode_json(b"{")


def test_duplicate_keys_are_one() -> None:
    assert decode_request(b'{"type":"req","id":"1","id":"2","method":"m"}').id == "2"


@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    for decode, errors in ((decode_request, BadFrame), (decode_server_frame, ProtocolError)):
        with suppress(errors):
            decode(raw)


def test_frames_with_a_few_bytes_changed() -> None:
    chance = random.Random(11)
    sound = [raw.encode() for raw in RECORDED_REQUESTS]
    for _ in range(10_000):
        raw = bytearray(chance.choice(sound))
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        with suppress(BadFrame):
            decode_request(bytes(raw))


@pytest.mark.parametrize(
    ("type", "params"),
    [
        (ChatSend, {"sessionKey": "main", "message": "hi"}),
        (ChatSend, {"sessionKey": "main", "message": "hi", "idempotencyKey": ""}),
        (ChatSend, {"sessionKey": "main", "message": "hi", "idempotencyKey": "k", "nonsense": 1}),
        (ChatSend, {"sessionKey": "main", "message": "hi", "idempotencyKey": "k", "pace": {"size": 0}}),
        (ChatSend, {"sessionKey": "main", "message": "hi", "idempotencyKey": "k", "pace": {"delay": 1e300}}),
        (ChatSend, {"sessionKey": "main", "message": "hi", "idempotencyKey": "k", "pace": {"delay": -1}}),
        (ChatHistory, {"sessionKey": "main", "limit": -5}),
        (RunResume, {"runId": "k", "offset": -1}),
        (RunResume, {"runId": "k", "steps": {"thinking": -1}}),
    ],
)
def test_bad_params_are_refused_by_name(type: Any, params: dict[str, Any]) -> None:
    with pytest.raises(BadFrame, match="invalid m params") as refusal:
        read_params(Request("q", "m", params), type)
    assert refusal.value.id == "q"


def test_params_have_defaults() -> None:
    assert read_params(Request("q", "m", {"size": 3}), Pace) == Pace(size=3, delay=0.02)


def test_a_token_is_not_shown() -> None:
    request = decode_request(RECORDED_REQUESTS[0].encode())
    assert "tok-test-123" not in repr(read_params(request, ConnectParams))
