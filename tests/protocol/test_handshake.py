"""The handshake of a client: what it reads of a hello, and what a refusal means."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.errors import AuthError, ConnectionLost, ProtocolError, RequestError
from openclaw_nb.protocol.handshake import LARGEST, PAIRING, Hello, duration, read_hello, read_refusal


def hello(**more: Any) -> Hello:
    return read_hello({"protocol": 4, **more})


def refuse(message: str = "no", /, **details: Any) -> AuthError:
    why = read_refusal({"code": "NOT_PAIRED", "details": details}, RequestError(message, code="NOT_PAIRED"))
    assert isinstance(why, AuthError)
    return why


def test_what_a_hello_tells() -> None:
    told = hello(
        server={"version": "2026.9.6"}, features={"methods": ["health"], "capabilities": ["some-thing"]},
        auth={"scopes": ["operator.read"], "deviceToken": "a-device-token"}, policy={"tickIntervalMs": 15_000},
    )  # fmt: skip
    assert (told.protocol, told.capabilities, told.tick) == (4, {"some-thing"}, 15.0)
    assert (told.version, told.methods, told.scopes) == ("2026.9.6", {"health"}, {"operator.read"})
    assert told.device_token == "a-device-token"
    assert not told.is_ours
    assert hello(features={"capabilities": ["nb.offset"]}).is_ours
    assert "a-device-token" not in repr(told)
    for token in ("a" * 4097, "a b", "a\n", "ä", "", None):
        assert hello(auth={"deviceToken": token}).device_token == ""


@pytest.mark.parametrize("nonsense", [None, 7, "x", [], {"scopes": "all", "deviceToken": 3, "version": [1]}])
def test_what_cannot_be_read_of_a_hello_is_not_told(nonsense: Any) -> None:
    told = hello(auth=nonsense, server=nonsense)
    assert told.scopes is None
    assert told.device_token == ""
    assert len(told.version) <= 40
    for payload in (nonsense, {"protocol": nonsense}, {"protocol": 9}, {"protocol": 4, "policy": 3}):
        with pytest.raises(ProtocolError):
            read_hello(payload)


def test_the_sentence_for_a_gateway_whose_owner_has_to_approve() -> None:
    why = refuse("pairing required", code=PAIRING, requestId="6af48821-e84f", reason="not-paired", more=3)
    assert str(why) == (
        "the owner of the gateway has to let this computer in, by running there: openclaw devices approve 6af48821-e84f"
    )
    assert why.code == PAIRING
    assert why.details == {"code": PAIRING, "requestId": "6af48821-e84f", "reason": "not-paired"}
    why = refuse(code=PAIRING, requestId="r", reason="scope-upgrade")
    assert str(why).startswith("the owner of the gateway has to allow this computer what it asks for now, by running")


@pytest.mark.parametrize("request_id", [None, "", "a b", "x; rm -rf ~", "-f", "$(id)", "a\n", "a" * 129, 3])
def test_no_request_id_becomes_a_command_unseen(request_id: Any) -> None:
    why = refuse(code=PAIRING, requestId=request_id)
    assert str(why).endswith(": openclaw devices list, and openclaw devices approve REQUEST-ID")


def test_other_refusals() -> None:
    why = refuse("device identity\x1b[31m required", code="DEVICE_IDENTITY_REQUIRED")
    assert why.code == "DEVICE_IDENTITY_REQUIRED"
    assert refuse("no").code == "NOT_PAIRED"
    assert refuse("no").details == {}
    error = {"details": {"code": "PROTOCOL_MISMATCH"}}
    assert isinstance(read_refusal(error, RequestError("no")), ProtocolError)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"details": {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 2_000}}, 2.0),
        ({"details": {"code": "AUTH_RATE_LIMITED"}, "retryAfterMs": 3_000}, 3.0),
        ({"details": {"code": "AUTH_RATE_LIMITED"}, "retryAfterMs": 10**9}, 60.0),
        ({"details": {"code": "AUTH_RATE_LIMITED"}}, 0.0),
    ],
)
def test_a_lock_opens_by_itself(error: dict[str, Any], wait: float) -> None:
    why = read_refusal(error, RequestError("locked"))
    assert isinstance(why, ConnectionLost)
    assert why.retry_after == wait


def test_durations() -> None:
    assert [duration(value) for value in (0, 1.5, -1, True, "1", None, LARGEST)] == [0, 1.5, *[None] * 5]
