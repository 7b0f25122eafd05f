"""ServerSession: the handshake of both protocols, who is let in, and 100,000 messages that are none."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openclaw_nb.door import Locked
from openclaw_nb.identity import DeviceIdentity
from openclaw_nb.protocol.frames import MAX_FRAME, MAX_HELLO, encode
from openclaw_nb.protocol.server import MAX_BUFFERED, Call, Close, Send, ServerSession
from tests.spine import hello


def new_session(token: str = "T") -> ServerSession:
    return ServerSession(
        conn_id="c", nonce="n", version="1", methods=["health"], authorize=lambda given: given == token
    )


def let_in(session: ServerSession, **facts: Any) -> dict[str, Any]:
    (send,) = session.receive(encode(hello("T", **facts)))
    assert isinstance(send, Send)
    reply: dict[str, Any] = json.loads(send.data)
    return reply


def test_the_challenge_comes_first() -> None:
    frame = json.loads(new_session().challenge(1.5))
    assert frame == {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1500}}


@pytest.mark.parametrize(("low", "high", "chosen"), [(3, 4, 4), (3, 3, 3), (4, 4, 4), (1, 3, 3), (4, 99, 4)])
def test_the_newest_common_protocol(low: int, high: int, chosen: int) -> None:
    session = new_session()
    assert not session.authenticated
    assert session.limit == MAX_HELLO
    reply = let_in(session, low=low, high=high, caps=("nb.offset", "nb.nonsense"))
    assert reply["id"] == "hello"
    payload = reply["payload"]
    assert payload["type"] == "hello-ok"
    assert payload["protocol"] == chosen
    assert payload["features"]["capabilities"] == ["nb.offset"]
    policy = {"maxPayload": MAX_FRAME, "maxBufferedBytes": MAX_BUFFERED, "tickIntervalMs": 30_000}
    assert payload["policy"] == policy
    assert session.authenticated
    assert session.limit == MAX_FRAME


@pytest.mark.parametrize(
    ("request_", "code", "details"),
    [
        (hello("wrong"), 1008, "AUTH_TOKEN_MISMATCH"),
        (hello(""), 1008, "AUTH_TOKEN_MISSING"),
        (hello(None), 1008, "AUTH_TOKEN_MISSING"),
        (hello("T", low=5, high=9), 1002, "PROTOCOL_MISMATCH"),
        (hello("T", low=1, high=2), 1002, "PROTOCOL_MISMATCH"),
        (hello("T", role="é" * 200), 1008, None),
        (hello("T", nonsense=1), 1008, None),
        ({"type": "req", "id": "hello", "method": "health"}, 1008, None),
    ],
)
def test_who_is_not_let_in(request_: Any, code: int, details: str | None) -> None:
    session = new_session()
    send, close = session.receive(encode(request_))
    assert isinstance(send, Send)
    assert isinstance(close, Close)
    reply = json.loads(send.data)
    assert reply["id"] == "hello"
    assert reply["error"]["code"] == "INVALID_REQUEST"
    assert reply["error"].get("details", {}).get("code") == details
    assert close.code == code
    assert not session.authenticated
    assert "T" not in reply["error"]["message"]


def test_who_guessed_too_often_is_told_when_to_come_back() -> None:
    def locked(token: str | None) -> bool:
        raise Locked(59.9991)

    session = ServerSession(conn_id="c", nonce="n", version="1", methods=[], authorize=locked)
    send, close = session.receive(encode(hello("T")))
    assert isinstance(send, Send)
    assert isinstance(close, Close)
    error = json.loads(send.data)["error"]
    assert error["code"] == "INVALID_REQUEST"
    assert error["details"] == {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 60_000}
    assert error["message"] == "unauthorized: too many wrong tokens came from this address, try again later"
    assert close.code == 1008
    assert not session.authenticated


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ([], []),
        (["operator.read", "operator.admin", "*"], ["operator.admin", "operator.read"]),
        (["operator.write", "operator.read"] * 1_000, ["operator.read", "operator.write"]),
        ([f"operator.{i}" for i in range(3_000)], []),
        (["operator.pairing", "operator.talk.secrets", "node.invoke", "admin"], []),
        (["operator.*", "operator.read ", "OPERATOR.READ", "operator.read,operator.write", ""], []),
    ],
)
def test_scopes_are_not_granted_by_who_asks_for_them(asked: list[str], granted: list[str]) -> None:
    session = new_session()
    reply = let_in(session, scopes=asked)
    assert reply["payload"]["auth"] == {"method": "token", "role": "operator", "scopes": granted}
    assert session.scopes == tuple(granted)


@pytest.mark.parametrize(
    "facts",
    [
        {"permissions": {"operator.admin": True, "operator.write": True}},
        {"commands": ["exec", "operator.write"]},
        {"client": {"id": "cli", "mode": "cli", "scopes": ["operator.admin"], "role": "admin"}},
        {"caps": ["operator.admin"]},
        {"auth": {"token": "T", "scopes": ["operator.admin"], "deviceToken": "d", "password": "p"}},
    ],
)
def test_nothing_else_grants_a_scope(facts: dict[str, Any]) -> None:
    session = new_session()
    reply = let_in(session, scopes=["operator.read"], **facts)
    assert reply["payload"]["auth"]["scopes"] == ["operator.read"]
    assert session.scopes == ("operator.read",)


@pytest.mark.parametrize(
    ("id", "mode", "trusted"),
    [
        ("cli", "cli", True), ("cli", "probe", True), ("gateway-client", "backend", True), ("test", "test", False),
        ("gateway-client", "ui", False), ("webchat-ui", "webchat", False), ("cli", "backend", False),
    ],
)  # fmt: skip
def test_who_gets_scopes_without_a_device(id: str, mode: str, trusted: bool) -> None:
    session = new_session()
    reply = let_in(session, client={"id": id, "mode": mode}, scopes=["operator.write"])
    assert reply["payload"]["auth"]["scopes"] == (["operator.write"] if trusted else [])
    assert session.may("operator.read") is trusted


def new_proof(signed: str = "n", **changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A client that has no scopes by itself, and what its device signs of its request."""
    client = {"id": "openclaw-tui", "mode": "ui", "version": "1", "platform": "Linux", "deviceFamily": "Linux"}
    identity = DeviceIdentity(Ed25519PrivateKey.generate())
    proof = identity.signed(
        nonce=signed, client_id="openclaw-tui", client_mode="ui", role="operator", scopes=["operator.admin"], token="T",
        platform="Linux", device_family="Linux", now_ms=1000,
    )  # fmt: skip
    return client, proof | changed


def test_a_device_that_proves_what_it_is_gets_what_it_asks_for() -> None:
    client, proof = new_proof()
    session = new_session()
    session.challenge(1.0)
    assert let_in(session, client=client, scopes=["operator.admin"], device=proof)["ok"]
    assert session.device == proof["id"]
    assert session.scopes == ("operator.admin",)
    assert session.may("operator.read")
    assert session.may("operator.write")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"signature": "A" * 86}, "DEVICE_AUTH_SIGNATURE_INVALID"),
        ({"id": "0" * 64}, "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
        ({"nonce": "another"}, "DEVICE_AUTH_NONCE_MISMATCH"),
        ({"signedAt": 1000 - 120_001}, "DEVICE_AUTH_SIGNATURE_EXPIRED"),
        ({"more": 1}, "DEVICE_AUTH_SIGNATURE_INVALID"),
    ],
)
def test_a_device_that_lies_is_not_let_in(changed: dict[str, Any], code: str) -> None:
    client, proof = new_proof(**changed)
    session = new_session()
    session.challenge(1.0)
    send, close = session.receive(encode(hello("T", client=client, scopes=["operator.admin"], device=proof)))
    assert isinstance(send, Send)
    assert json.loads(send.data)["error"]["details"]["code"] == code
    assert isinstance(close, Close)
    assert close.code == 1008
    assert not session.authenticated


def test_who_has_no_token_learns_nothing_of_its_device() -> None:
    client, proof = new_proof(signature="A" * 86)
    session = new_session()
    send, _ = session.receive(encode(hello("wrong", client=client, device=proof)))
    assert isinstance(send, Send)
    assert json.loads(send.data)["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"


def test_what_a_client_of_somebody_elses_learns_when_it_is_let_in() -> None:
    for caps, told in (((), {"presence": []}), (("nb.offset",), {})):
        session = ServerSession(
            conn_id="c", nonce="n", version="1", methods=[], authorize=lambda given: True,
            snapshot=lambda: {"presence": []},
        )  # fmt: skip
        assert let_in(session, caps=caps)["payload"]["snapshot"] == told


@pytest.mark.parametrize("role", ["node", "admin", "", "operator ", "Operator"])
def test_no_other_role_is_served(role: str) -> None:
    session = new_session()
    assert session.receive(encode(hello("T", role=role)))[-1] == Close(1008, f"role {role!r} is not served here")
    assert not session.authenticated
    assert not session.scopes


@pytest.mark.parametrize("scopes", ["operator.admin", {"operator.admin": True}, [5], [None], None])
def test_scopes_that_are_none(scopes: Any) -> None:
    session = new_session()
    _, close = session.receive(encode(hello("T", scopes=scopes)))
    assert close == Close(1008, "invalid request frame")
    assert not session.authenticated


def test_no_scope_is_gained_later() -> None:
    session = new_session()
    let_in(session, scopes=["operator.read"])
    (call,) = session.receive(encode(hello("T", scopes=["operator.read", "operator.write"])))
    assert isinstance(call, Call)
    assert session.scopes == ("operator.read",)


def test_a_second_connect_is_a_call_like_any() -> None:
    session = new_session()
    let_in(session)
    (call,) = session.receive(encode(hello("T", low=3, high=3, caps=("nb.offset",))))
    assert isinstance(call, Call)
    assert session.protocol == 4


def test_events_are_numbered() -> None:
    session = new_session()
    let_in(session)
    assert [json.loads(session.event("tick", {}))["seq"] for _ in range(3)] == [1, 2, 3]


def test_messages_above_the_limit() -> None:
    session = new_session()
    assert session.receive(b" " * (MAX_HELLO + 1)) == [Close(1009, f"message above {MAX_HELLO} bytes")]
    let_in(session)
    (call,) = session.receive(b'{"type":"req","id":"1","method":"health"}' + b" " * MAX_HELLO)
    assert isinstance(call, Call)


def malformed(chance: random.Random) -> bytes:
    """Nine kinds of messages that are no requests, or nearly."""
    match chance.randrange(9):
        case 0:
            return chance.randbytes(chance.randrange(60))
        case 1:
            return b"[" * chance.choice([10, 2_000])
        case 2:
            return b'{"type":"req","id":"7","method":"m","params":{"a":NaN}}'
        case 3:
            return b'{"type":"req","id":"7","method":"m","params":{"a":' + b"9" * 5_000 + b"}}"
        case 4:
            return b'{"type":"req","type":"res","id":"7","id":8,"method":"m"}'
        case 5:
            return b'{"type":"req","id":"\\ud800","method":' + chance.randbytes(4) + b"}"
        case 6:
            return json.dumps(chance.choice([None, 1, "x", [], {}, {"type": "event", "event": "chat"}])).encode()
        case 7:
            whole = encode(hello("T"))
            return whole[: chance.randrange(len(whole))]
        case _:
            raw = bytearray(encode(hello("T", id="7")))
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
            return bytes(raw)


@pytest.mark.parametrize("authenticated", [False, True])
def test_malformed_messages(authenticated: bool) -> None:
    chance = random.Random(2026)
    session = new_session()
    if authenticated:
        let_in(session)
    for _ in range(12_000):
        if not authenticated:
            session = new_session()
        raw = malformed(chance)
        for instruction in session.receive(raw):
            match instruction:
                case Send(data):
                    assert json.loads(data)["type"] == "res"
                case Close(code):
                    assert code in (1002, 1008)
                    assert not authenticated, "who is let in is answered, and stays"
    if authenticated:
        (call,) = session.receive(b'{"type":"req","id":"1","method":"health"}')
        assert isinstance(call, Call)


def test_deep_messages() -> None:
    session = new_session()
    let_in(session)
    for raw in (b"[" * 200_000, b'{"a":' * 200_000, b'{"type":"req","id":"7","params":{"\\ud800":' + b"[" * 200_000):
        (send,) = session.receive(raw)
        assert isinstance(send, Send)
        assert not json.loads(send.data)["ok"]
