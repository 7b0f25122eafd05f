"""ClientSession: its handshake, and a run's text exactly once out of whatever a gateway sends, in any order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import AuthError, OpenClawError, ProtocolError
from openclaw_nb.protocol.frames import CAPABILITIES, SCOPES, Event, Response, encode
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import Gap, Reply, RunCursor, RunEnded, RunPhase, RunStep, RunText, Shutdown
from openclaw_nb.protocol.openclaw import message_text
from openclaw_nb.protocol.runlog import Cursor, Ending, RunLog
from openclaw_nb.protocol.server import Send, ServerSession
from openclaw_nb.protocol.session import ClientSession
from openclaw_nb.protocol.telling import Telling


def new_client(token: str | None = "T") -> ClientSession:
    client = ClientSession(token=token, version="1", platform="linux")
    client.runs["r"] = RunCursor()
    return client


def chat(**payload: Any) -> bytes:
    return encode(Event("chat", {"runId": "r", **payload}, 1))


def shake(client: ClientSession) -> tuple[ServerSession, Hello]:
    """Let a client into a gateway's session."""
    server = ServerSession(conn_id="c", nonce="n", version="1", methods=[], authorize=lambda token: token == "T")
    (connect,) = client.receive(server.challenge(0))
    assert isinstance(connect, bytes)
    assert client.hello is None
    (send, *_) = server.receive(connect)
    assert isinstance(send, Send)
    (hello,) = client.receive(send.data)
    assert isinstance(hello, Hello)
    return server, hello


def test_handshake() -> None:
    client = new_client()
    for _ in range(2):
        server, hello = shake(client)
        assert (hello.protocol, hello.capabilities, hello.tick, hello.version) == (4, set(CAPABILITIES), 30.0, "1")
        assert hello.scopes == {*SCOPES, "operator.approvals"}
        assert hello.is_ours
        assert client.can("nb.resume")
        assert not client.can("nb.nonsense")
        assert server.caps == frozenset(CAPABILITIES)
        assert list(client.receive(server.challenge(0))) == [], "one challenge is enough"
        client.disconnected()
        assert not client.can("nb.resume")


def test_not_let_in() -> None:
    with pytest.raises(AuthError, match="does not let us in: unauthorized") as refusal:
        shake(new_client("wrong"))
    assert refusal.value.code == "AUTH_TOKEN_MISMATCH"
    with pytest.raises(AuthError):
        shake(new_client(None))


@pytest.mark.parametrize(
    ("ok", "answer", "error"),
    [
        (True, None, ProtocolError),
        (True, {"protocol": "x"}, ProtocolError),
        (True, {"protocol": 5}, ProtocolError),
        (True, {"protocol": 4, "features": []}, ProtocolError),
        (False, {"code": "INVALID_REQUEST", "details": {"code": "PROTOCOL_MISMATCH"}}, ProtocolError),
        (False, {"code": "NOT_PAIRED", "message": "m", "details": {"code": "DEVICE_IDENTITY_REQUIRED"}}, AuthError),
        (False, {}, AuthError),
    ],
)
def test_answers_to_connect_that_help_nobody(ok: bool, answer: Any, error: type[OpenClawError]) -> None:
    client = new_client()
    connect = json.loads(client.connect())
    response = Response(connect["id"], True, answer) if ok else Response(connect["id"], False, error=answer)
    with pytest.raises(error):
        list(client.receive(encode(response)))
    assert client.hello is None


def test_replies() -> None:
    client = new_client()
    id, data = client.request("health", {})
    assert json.loads(data) == {"type": "req", "id": id, "method": "health", "params": {}}
    assert list(client.receive(encode(Response(id, True, {"ok": 1})))) == [Reply(id, {"ok": 1}, None)]
    (reply,) = client.receive(encode(Response(id, False, error={"code": "FORBIDDEN", "message": "no"})))
    assert isinstance(reply, Reply)
    assert reply.error is not None
    assert (reply.error.code, str(reply.error)) == ("FORBIDDEN", "no")


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(new_client("secret"))


# -- a gateway with offsets ------------------------------------------------------------------------


def test_overlaps_gaps_and_repeats() -> None:
    client = new_client()
    assert list(client.receive(chat(state="delta", offset=0, deltaText="abc", tokens=2))) == [RunText("r", 0, "abc", 2)]
    assert list(client.receive(chat(state="delta", offset=0, deltaText="abc", tokens=2))) == []
    assert list(client.receive(chat(state="delta", offset=1, deltaText="bcde"))) == [RunText("r", 3, "de", 3)]
    assert list(client.receive(chat(state="delta", offset=9, deltaText="z"))) == [Gap("r", 5)]
    assert list(client.receive(chat(state="final", length=9))) == [Gap("r", 5)], "an end with text missing is none"
    (ended,) = client.receive(chat(state="final", length=5, stopReason="stop"))
    assert isinstance(ended, RunEnded)
    assert ended.state == "final"
    assert client.runs == {}
    assert list(client.receive(chat(state="delta", offset=5, deltaText="late"))) == []


def test_steps() -> None:
    client = new_client()

    def agent(**data: Any) -> bytes:
        return encode(Event("agent", {"runId": "r", "stream": "thinking", "data": data}, 1))

    step = {"key": "k", "title": "Plan", "offset": 0, "delta": "abc", "tokens": 3}
    assert list(client.receive(agent(**step))) == [RunStep("r", "k", "Plan", 0, "abc", 3, None)]
    assert list(client.receive(agent(**step | {"seconds": 2, "tokens": "many"}))) == [
        RunStep("r", "k", "Plan", 3, "", 0, 2.0)
    ]
    assert list(client.receive(agent(**step | {"offset": 9}))) == []
    assert list(client.receive(agent(**step | {"offset": "x"}))) == []
    assert list(client.receive(agent(**step | {"delta": 5}))) == []
    assert client.runs["r"].steps == {"k": 3}


acts = st.lists(
    st.sampled_from(["a", "bc", "é😀", "\ud800", "long " * 9])
    | st.sampled_from(["take", "lose", "twice", "cut", "think"]),
    max_size=40,
)


@given(acts, st.booleans())
def test_whatever_the_link_does_the_text_comes_once(acts: list[str], cumulative: bool) -> None:
    """A gateway appends; frames are taken, lost, doubled; the link is cut, and resumed where the client stands."""
    log, client, here, thoughts = RunLog("r", "s"), new_client(), "", ""

    def resumed() -> Cursor | Telling:
        if cumulative:
            return Telling(log)
        return Cursor(log, offset=client.runs["r"].have, steps=client.runs["r"].steps)

    def deliver(told: list[tuple[str, dict[str, Any]]], times: int = 1) -> bool:
        nonlocal here, thoughts, cursor
        for name, payload in told * times:
            for event in client.receive(encode(Event(name, payload, 1))):
                match event:
                    case RunText(_, offset, text):
                        assert offset == len(here)
                        here += text
                    case RunStep(_, _, _, offset, text):
                        assert offset == len(thoughts)
                        thoughts += text
                    case Gap():
                        cursor = resumed()
                    case RunEnded():
                        return True
        return False

    cursor = resumed()
    for act in acts:
        match act:
            case "take":
                deliver(cursor.take())
            case "twice":
                deliver(cursor.take(), 2)
            case "lose":
                cursor.take()
            case "cut":
                cursor = resumed()
            case "think":
                log.append_step("thinking", "thinking", f"{len(thoughts)};")
            case text:
                log.append(text)
    log.end(Ending("final"))
    for _ in range(3):  # an end that cannot be believed is asked for again
        if deliver(cursor.take()):
            break
        cursor = resumed()
    else:
        pytest.fail("it never ended")
    assert here == str(log.text)
    if not any(act == "lose" for act in acts):
        assert thoughts == (str(log.steps["thinking"].text) if log.steps else "")


# -- a gateway of somebody else's ------------------------------------------------------------------


def says(text: str, **payload: Any) -> bytes:
    """As both real gateways tell it: the whole message each time."""
    return chat(message={"role": "assistant", "content": [{"type": "text", "text": text}]}, **payload)


@pytest.mark.parametrize("protocol", [3, 4])
def test_cumulative_text(protocol: int) -> None:
    client = new_client()

    def delta(text: str, new: str) -> bytes:
        return says(text, state="delta", **({"deltaText": new} if protocol == 4 else {}))

    (phase,) = client.receive(chat(state="status", phase="preparing_workspace"))
    assert phase == RunPhase("r", "preparing workspace")
    assert list(client.receive(delta("tok0", "tok0"))) == [RunText("r", 0, "tok0", 1)]
    assert list(client.receive(delta("tok0", "tok0"))) == []
    assert list(client.receive(delta("tok0 tok1 tok2", " tok2"))) == [RunText("r", 4, " tok1 tok2", 4)], "one was lost"
    text, ended = client.receive(says("tok0 tok1 tok2 tok3", state="final", stopReason="stop"))
    assert text == RunText("r", 14, " tok3", 6)
    assert isinstance(ended, RunEnded)


def test_aborted_and_failed() -> None:
    for state in ("aborted", "error"):
        client = new_client()
        (ended,) = client.receive(chat(state=state, errorMessage="no"))
        assert isinstance(ended, RunEnded)
        assert ended.state == state


def test_thinking_without_offsets() -> None:
    client = new_client()
    for text, fresh in (("one", ["one"]), ("one two three", [" two three"]), ("one two three", [])):
        data = {"text": text, "delta": text[-3:]}
        steps = client.receive(encode(Event("agent", {"runId": "r", "stream": "thinking", "data": data}, 1)))
        assert [step.text for step in steps if isinstance(step, RunStep)] == fresh


@pytest.mark.parametrize(
    "frame",
    [
        Event("chat"),
        Event("chat", 5),
        Event("chat", {"runId": 5, "state": "delta"}),
        Event("chat", {"runId": "unknown", "state": "delta", "offset": 0, "deltaText": "x"}),
        Event("chat", {"runId": "r", "message": {"content": 7}}),
        Event("agent", {"runId": "r", "stream": "thinking", "data": []}),
        Event("agent", {"runId": "r", "stream": "tool", "data": {}}),
        Event("nonsense", {"runId": "r"}),
        Event("tick", {"ts": 1}),
    ],
)
def test_what_is_not_understood_is_passed_over(frame: Event) -> None:
    assert list(new_client().receive(encode(frame))) == []


@pytest.mark.parametrize("delta", [{"offset": "0", "deltaText": "x"}, {"offset": 0, "deltaText": None}, {"offset": 0}])
def test_a_delta_that_breaks_the_protocol(delta: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        list(new_client().receive(chat(state="delta", **delta)))


def test_shutdown() -> None:
    assert list(new_client().receive(encode(Event("shutdown", {"reason": "r"})))) == [Shutdown("r")]


def test_message_text() -> None:
    assert message_text({"content": "plain"}) == "plain"
    assert message_text({"content": [{"text": "a"}, {"image": 1}, "x", {"text": "b"}]}) == "ab"
    assert message_text({}) == ""
