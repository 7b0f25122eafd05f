"""What real gateways said, replayed: 2026.9.6 and 2026.3.1, as `tests.conformance.record` has taken it down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from openclaw_nb.client.past import Past, thinking_levels
from openclaw_nb.errors import AuthError, OpenClawError, ProtocolError
from openclaw_nb.protocol.frames import ConnectParams, decode_request, encode, read_params
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import Asked, Happened, Reply, RunCursor, RunEnded, RunStep, RunText, Settled
from openclaw_nb.protocol.methods import AgentParams, AgentWait, TakenAbort, TakenHistory, TakenSend, read_taken
from openclaw_nb.protocol.openclaw import catch_up, message_text
from openclaw_nb.protocol.session import ClientSession

RECORDED = Path(__file__).parent / "recorded"
PROTOCOLS = {"2026.9.6": 4, "2026.3.1": 3}

Frame = dict[str, Any]
Kind = TypeVar("Kind")


def conversation(version: str, name: str) -> list[tuple[str, Frame]]:
    """(which way, frame) of one conversation, in order."""
    lines = (RECORDED / f"openclaw-{version}.jsonl").read_text(encoding="utf-8").splitlines()
    told = [(line["way"], line["frame"]) for line in map(json.loads, lines) if line["talk"] == name]
    assert told, name
    return told


class Replay:
    """A client to whom all of a conversation has happened; it asked what was asked then."""

    def __init__(self, version: str, name: str) -> None:
        self.session = ClientSession(token="TOKEN", version="1", platform="linux")
        self.happened: list[Happened] = []
        self.cursors: dict[str, RunCursor] = {}
        self.prompts: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._asked: dict[str, Frame] = {}
        for way, frame in conversation(version, name):
            match way:
                case "!":
                    self.session.disconnected()
                case ">":
                    self._ask(frame)
                case _:
                    self._hear(frame)

    def _ask(self, frame: Frame) -> None:
        method, params = frame["method"], frame["params"]
        if method == "connect":
            self._ids[frame["id"]] = str(self.session._connect_id)
            return
        self._ids[frame["id"]], _ = self.session.request(method, params)
        self._asked[self._ids[frame["id"]]] = frame
        if method in ("chat.send", "agent") and "idempotencyKey" in params:
            run = params["idempotencyKey"]
            self.session.runs[run] = self.cursors[run] = RunCursor()
            self.prompts[run] = params["message"]

    def _hear(self, frame: Frame) -> None:
        if frame["type"] == "res":
            frame = frame | {"id": self._ids[frame["id"]]}
        for item in self.session.receive(encode(frame)):
            if not isinstance(item, bytes):
                self.happened.append(item)
                self._look_back(item)

    def _look_back(self, item: Happened) -> None:
        """After a cut the history says how much there is, to a client that asks for it."""
        asked = self._asked.get(item.id) if isinstance(item, Reply) else None
        if asked is not None and asked["method"] == "chat.history":
            for run, cursor in list(self.session.runs.items()):
                so_far = Past.read(run, self.prompts[run], item.payload).so_far
                self.happened += catch_up(run, cursor, so_far) if so_far is not None else ()

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [item for item in self.happened if isinstance(item, kind)]

    def replies(self, method: str) -> list[Reply]:
        return [reply for reply in self.all(Reply) if self._asked[reply.id]["method"] == method]

    def text(self, run: str) -> str:
        """What was told of its answer, which has no hole and nothing twice."""
        text = ""
        for item in self.all(RunText):
            if item.run_id == run:
                assert item.offset == len(text)
                text += item.text
        return text

    def end(self, run: str) -> RunEnded:
        (ended,) = [item for item in self.all(RunEnded) if item.run_id == run]
        return ended

    def steps(self) -> dict[str, tuple[str, str]]:
        """(title, text) of each step, by its key."""
        steps: dict[str, tuple[str, str]] = {}
        for step in self.all(RunStep):
            _, text = steps.get(step.key, ("", ""))
            steps[step.key] = step.title, text[: step.offset] + step.text
        return steps


def tokens(count: int) -> str:
    return " ".join(f"tok{index}" for index in range(count))


versions = pytest.mark.parametrize("version", PROTOCOLS)


@versions
def test_chat(version: str) -> None:
    replay = Replay(version, "chat")
    (hello,) = replay.all(Hello)
    assert hello.protocol == PROTOCOLS[version]
    assert not hello.is_ours
    assert "chat.send" in hello.methods
    assert replay.text("run-chat") == tokens(12)
    assert replay.end("run-chat").state == "final"
    assert replay.session.runs == {}
    past = Past.read("run-chat", replay.prompts["run-chat"], replay.replies("chat.history")[-1].payload)
    assert past.text == tokens(12)
    assert past.model == "mock-1"


def test_how_deep_a_model_thinks() -> None:
    """2026.9.6 says it of each model."""
    (models,) = Replay("2026.9.6", "chat").replies("models.list")
    assert thinking_levels(models.payload, "mock", "mock-1") == ("off", "minimal", "low", "medium", "high")
    assert thinking_levels(models.payload, "mock", "mock-2") == ("off",)


@versions
def test_thoughts(version: str) -> None:
    replay = Replay(version, "thoughts")
    assert replay.text("run-thoughts") == tokens(6)
    thought = " ".join(f"thought{index}" for index in range(4))
    told = [text.strip() for _, text in replay.steps().values()]
    assert told == ([thought] if PROTOCOLS[version] > 3 else []), "2026.3.1 keeps them to itself"


@versions
def test_tool(version: str) -> None:
    replay = Replay(version, "tool")
    ((title, text),) = replay.steps().values()
    assert title == "exec: echo recorded"
    assert text.strip() == ("recorded" if PROTOCOLS[version] > 3 else "")
    assert replay.text("run-tool").startswith(tokens(4))
    assert replay.text("run-tool").endswith("it said: recorded")


@versions
@pytest.mark.parametrize("decision", ["allow-once", "deny"])
def test_approval(version: str, decision: str) -> None:
    replay = Replay(version, f"approval {decision}")
    (asked,) = replay.all(Asked)
    assert (asked.kind, asked.command) == ("exec", "echo allowed")
    assert asked.session_key == f"agent:careful:{decision}"
    assert asked.expires is not None
    (settled,) = replay.all(Settled)
    assert (settled.id, settled.decision) == (asked.id, decision)
    assert replay.end(f"run-{decision}").state == "final"
    if PROTOCOLS[version] > 3:
        assert asked.run_id == f"run-{decision}"
        assert ("it said: allowed" in replay.text(f"run-{decision}")) is (decision == "allow-once")


@versions
def test_abort(version: str) -> None:
    replay = Replay(version, "abort")
    assert replay.end("run-abort").state == "aborted"
    text = replay.text("run-abort")
    assert 12 <= len(text.split()) < 100
    assert tokens(100).startswith(text)


@versions
def test_reconnect(version: str) -> None:
    """After a cut the text goes on at the character where it was."""
    replay = Replay(version, "reconnect")
    assert len(replay.all(Hello)) == 2
    assert replay.end("run-cut").state == "final"
    if replay.cursors["run-cut"].held:
        pytest.fail("a text that began where it was cut needs nothing from the end")
    assert replay.text("run-cut") == tokens(40)


@versions
def test_agent(version: str) -> None:
    replay = Replay(version, "agent")
    statuses = [reply.payload["status"] for reply in replay.replies("agent")]
    assert statuses == ["accepted", "ok"], "one request, two answers"
    (waited,) = replay.replies("agent.wait")
    assert waited.payload["status"] == "ok"
    assert replay.text("run-agent") == tokens(5)


@versions
def test_refusals(version: str) -> None:
    replay = Replay(version, "refusals")
    errors = [str(reply.error) for reply in replay.all(Reply) if reply.error is not None]
    assert any("no.such.method" in error or "missing scope" in error for error in errors)
    assert any("must have required property 'message'" in error for error in errors)
    assert replay.end("run-fail").state == "error"
    assert "errorMessage" in replay.end("run-fail").facts


def test_a_refusal_that_ends_as_an_answer_does() -> None:
    """None of it is told as text of the answer."""
    replay = Replay("2026.9.6", "refusals")
    ended = replay.end("run-deep")
    assert ended.state == "final"
    assert ended.facts["message"]["model"] == "gateway-injected"
    assert "not supported" in message_text(ended.facts["message"])
    assert replay.text("run-deep") == ""


@versions
@pytest.mark.parametrize(("name", "error"), [("wrong token", AuthError), ("other protocol", ProtocolError)])
def test_not_let_in(version: str, name: str, error: type[OpenClawError]) -> None:
    with pytest.raises(error):
        Replay(version, name)


# -- what was asked of them, asked of ours ---------------------------------------------------------

SERVED: dict[str, Any] = {
    "agent": AgentParams, "agent.wait": AgentWait, "chat.abort": TakenAbort, "chat.history": TakenHistory,
    "chat.send": TakenSend,
}  # fmt: skip


def requests(version: str) -> Iterator[Frame]:
    for line in (RECORDED / f"openclaw-{version}.jsonl").read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if told["way"] == ">":
            yield told["frame"]


@versions
def test_requests_are_read(version: str) -> None:
    """Ours reads what they took, and refuses what they refused."""
    read: set[str] = set()
    for frame in requests(version):
        request = decode_request(encode(frame))
        assert request.method == frame["method"]
        read.add(request.method)
        if request.method == "connect":
            assert read_params(request, ConnectParams).role == "operator"
        elif request.method == "chat.send" and "message" not in request.params:
            with pytest.raises(ProtocolError, match="message"):
                read_taken(request, TakenSend)
        elif request.method in SERVED:
            read_taken(request, SERVED[request.method])
    assert read > {"connect", *SERVED}


def test_nothing_of_the_machine_it_was_recorded_on() -> None:
    for version in PROTOCOLS:
        told = (RECORDED / f"openclaw-{version}.jsonl").read_text(encoding="utf-8")
        assert len(told) < 120_000
        assert not [word for word in ("/home/", "/root", "/tmp/", "/Users/") if word in told]
        for _, frame in (pair for name in ("chat", "wrong token") for pair in conversation(version, name)):
            if frame.get("method") == "connect":
                assert frame["params"]["auth"] == {"token": "TOKEN"}
