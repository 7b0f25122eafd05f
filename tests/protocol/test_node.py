"""NodeSession: what is declared and published, what a call says, and how it is answered, as both versions have it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from openclaw_nb.models.base import ToolDefinition
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import Happened, Invoked, Paired, Withdrawn
from openclaw_nb.protocol.node import (
    CALL,
    PUBLISH,
    TOOL,
    NodeSession,
    called,
    instructions,
    listing,
    publication,
    publishes,
    result,
)

ANALYSE = ToolDefinition("analyse", "The analysis\nof x.", {"type": "object", "properties": {"x": {"type": "integer"}}})


class Known:
    """A proof that says which challenge and which request it was asked for."""

    secrets: Sequence[str] = ()

    def challenged(self, challenge: Mapping[str, Any]) -> None:
        pass

    def answer(self, nonce: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"device": {"nonce": nonce, "role": request["role"]}}

    def let_in(self, hello: Hello) -> None:
        pass


def node(platform: str = "linux", *, publishes: bool = True) -> NodeSession:
    return NodeSession(name="sales", version="1", platform=platform, proof=Known(), publishes=publishes)


def connect(session: NodeSession) -> dict[str, Any]:
    params: dict[str, Any] = json.loads(session.connect("a nonce"))["params"]
    return params


def event(name: str, **payload: Any) -> bytes:
    return json.dumps({"type": "event", "event": name, "payload": payload}).encode()


def told(*frames: bytes) -> list[bytes | Happened]:
    session = node()
    return [one for frame in frames for one in session.receive(frame)]


def test_what_it_declares() -> None:
    params = connect(node())
    assert (params["role"], params["scopes"], params["commands"], params["caps"]) == ("node", [], [TOOL], [])
    assert params["client"]["displayName"] == "sales"
    assert params["device"] == {"nonce": "a nonce", "role": "node"}
    older = connect(node(publishes=False))
    assert older["commands"] == [CALL]
    assert CALL in older["caps"][0]


@pytest.mark.parametrize(
    ("python", "platform", "family"),
    [("linux", "linux", "Linux"), ("darwin", "macos", "Mac"), ("win32", "windows", "Windows"), ("aix", "aix", None)],
)
def test_a_desktop_by_platform_and_family(python: str, platform: str, family: str | None) -> None:
    client = connect(node(python))["client"]
    assert (client["platform"], client.get("deviceFamily")) == (platform, family)


def test_a_call_of_a_tool() -> None:
    params = json.dumps({"server": "notebook", "tool": "analyse", "arguments": {"x": 3}})
    frame = event(
        "node.invoke.request", id="1", nodeId="d", command=TOOL, paramsJSON=params, timeoutMs=119_974,
        idempotencyKey="call_19_0", sessionKey="agent:main:e1",
    )  # fmt: skip
    assert told(frame) == [Invoked("1", "d", TOOL, "analyse", {"x": 3}, 119.974, "agent:main:e1")]


def test_a_call_of_the_command() -> None:
    params = json.dumps({"name": "analyse", "arguments": {"x": 3}})
    frame = event("node.invoke.request", id="1", nodeId="d", command=CALL, paramsJSON=params)
    assert told(frame) == [Invoked("1", "d", CALL, "analyse", {"x": 3}, 30.0, "")]


@pytest.mark.parametrize("params", [None, "", "{", "[]", "3", "{}", '{"name": 3}', "[" * 100_000, 7, {"name": "f"}])
def test_what_cannot_be_read_names_nothing(params: Any) -> None:
    assert called(CALL, params) == ("", {})


def test_arguments_that_are_no_object_stay_what_they_are() -> None:
    assert called(CALL, '{"name": "f", "arguments": [3]}') == ("f", "[3]")
    assert called(CALL, '{"name": "f"}') == ("f", {})


def test_other_events() -> None:
    frames = (
        event("node.invoke.cancel", invokeId="1", nodeId="d"),
        event("node.pair.resolved", requestId="r", nodeId="d", decision="approved"),
        event("chat", runId="1", state="delta"),
        event("node.invoke.request", id=3),
        event("node.invoke.cancel"),
    )
    assert told(*frames) == [Withdrawn("1"), Paired("d", "approved")]


def test_a_challenge_is_answered_and_a_hello_heard() -> None:
    session = node()
    (sent,) = session.receive(event("connect.challenge", nonce="n"))
    assert isinstance(sent, bytes)
    payload = {"type": "hello-ok", "protocol": 4, "features": {"methods": [PUBLISH]}, "policy": {}}
    frame = {"type": "res", "id": json.loads(sent)["id"], "ok": True, "payload": payload}
    (hello,) = session.receive(json.dumps(frame).encode())
    assert isinstance(hello, Hello)
    assert publishes(hello)


@pytest.mark.parametrize(
    ("hello", "does"),
    [
        (Hello(4, frozenset(), 30.0), True),
        (Hello(3, frozenset(), 30.0), False),
        (Hello(4, frozenset(), 30.0, methods=frozenset({"health"})), False),
    ],
)
def test_who_takes_tools_of_nodes(hello: Hello, does: bool) -> None:
    assert publishes(hello) is does


def test_what_is_published() -> None:
    long = ToolDefinition("long", "x" * 5000, {})
    first, second = publication([ANALYSE, long])["tools"]
    assert first == {
        "pluginId": "node-mcp", "name": "analyse", "description": ANALYSE.description, "parameters": ANALYSE.schema,
        "command": TOOL, "mcp": {"server": "notebook", "tool": "analyse"},
    }  # fmt: skip
    assert len(second["description"]) == 1024


def test_results() -> None:
    tool = Invoked("1", "d", TOOL, "f", {}, 30.0, "")
    content = [{"type": "text", "text": "42"}]
    assert result(tool, "42", failed=False)["payload"] == {"content": content, "isError": False}
    failure = result(tool, "42", failed=True)
    assert (failure["ok"], failure["payload"]["isError"]) == (True, True)
    command = Invoked("1", "d", CALL, "f", {}, 30.0, "")
    assert result(command, "42", failed=False) == {"id": "1", "nodeId": "d", "ok": True, "payload": {"result": "42"}}
    assert result(command, "no", failed=True)["error"] == {"code": "FAILED", "message": "no"}


def test_what_a_model_is_told_that_is_not_offered_tools() -> None:
    assert instructions("sales", []) == ""
    words = instructions("sales", [ANALYSE])
    assert '"invokeCommand": "notebook.call"' in words
    assert '"node": "sales"' in words
    assert words.endswith(listing([ANALYSE]))
    assert listing([ANALYSE]).endswith("}}}: The analysis of x.")
