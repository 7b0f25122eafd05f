"""Both sessions, and a wire that does its worst: at every moment what is here is a prefix of what was said."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openclaw_nb.protocol import runlog
from openclaw_nb.protocol.frames import ChatSend, RunResume, encode, read_params
from openclaw_nb.protocol.handshake import Hello
from openclaw_nb.protocol.happened import Gap, Reply, RunCursor, RunEnded, RunPhase, RunStep, RunText
from openclaw_nb.protocol.runlog import Cursor, Ending, RunLog
from openclaw_nb.protocol.server import Call, Send, ServerSession
from openclaw_nb.protocol.session import ClientSession
from openclaw_nb.protocol.telling import Telling
from tests.protocol.test_server import new_session
from tests.spine import any_text

keys = st.sampled_from(["thinking", "plan"])
FAULTS = ["cut", "cut", "early", "lost", "lost", "restarted", "twice", "twice"]

which = st.integers(0, 2)
ends = st.sampled_from([None, None, None, None, "final", "aborted", "error"])
pieces = st.sampled_from(["a", "bc", "é😀", "\0", "\ud83d", "\ude00"]) | any_text


def whole(before: str, text: str) -> str:
    """What the engine appends after ``before``: no half of a pair stands beside the other half."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    apart = "\ud800" <= before[-1:] <= "\udbff" and "\udc00" <= text[:1] <= "\udfff"
    return "|" + text if apart else text


class Streams(RuleBasedStateMachine):
    """Runs at a gateway, a client, and between them a wire that cuts, loses, doubles and reorders."""

    own = True
    """Whether the gateway is ours, with offsets and resume, or tells the whole text each time."""

    protocol = 4

    @initialize(longest=st.sampled_from([3, 10, 1_000_000]), part=st.sampled_from([2, 1024]))
    def begin(self, longest: int, part: int) -> None:
        self.limits = runlog.LONGEST_DELTA, runlog.PART
        runlog.LONGEST_DELTA, runlog.PART = longest, part
        self.client = ClientSession(token="T", version="1", platform="linux")
        self.logs: dict[str, RunLog] = {}
        self.spoken: dict[str, str] = {}
        self.thought: dict[tuple[str, str], str] = {}
        self.text: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.thoughts: dict[tuple[str, str], str] = {}
        self.ended: Counter[str] = Counter()
        self.dropped: set[str] = set()
        self.told: list[bytes] = []
        self.connect()

    # -- the wire --------------------------------------------------------------------------------

    def connect(self) -> None:
        """A connection of its own, the handshake, and every run that is under way asked for again."""
        self.client.disconnected()
        self.cursors: dict[str, Cursor | Telling] = {}
        self.wire: deque[bytes] = deque()
        self.server: ServerSession = new_session()
        (request,) = self.client.receive(self.server.challenge(0))
        assert isinstance(request, bytes)
        (send,) = self.server.receive(self.offered(request))
        assert isinstance(send, Send)
        (hello,) = self.client.receive(send.data)
        assert isinstance(hello, Hello)
        assert hello.protocol == self.protocol
        assert self.client.can("nb.resume") is self.client.can("nb.offset") is self.own
        for run in tuple(self.client.runs):
            self.ask(run)

    def offered(self, request: bytes) -> bytes:
        """What a client of another make would offer in place of ours."""
        if self.own:
            return request
        connect = json.loads(request)
        connect["params"] |= {"caps": ["tool-events"], "maxProtocol": self.protocol}
        return encode(connect)

    def ask(self, run: str) -> None:
        """Have the gateway follow ``run`` on this connection, from what is here on."""
        cursor, log = self.client.runs[run], self.logs[run]
        if self.own:
            _, data = self.client.request(
                "run.resume", {"runId": run, "offset": cursor.have, "steps": dict(cursor.steps)}
            )
            (call,) = self.server.receive(data)
            assert isinstance(call, Call)
            params = read_params(call.request, RunResume)
            assert params.offset == len(self.text[run])
            self.cursors[run] = Cursor(log, offset=params.offset, steps=params.steps)
        else:
            _, data = self.client.request("chat.send", {"sessionKey": "s", "message": "m", "idempotencyKey": run})
            (call,) = self.server.receive(data)
            assert isinstance(call, Call)
            self.cursors[read_params(call.request, ChatSend).idempotency_key] = Telling(log)

    def arrive(self) -> None:
        """One frame arrives, and the client's idea of each run is held against the gateway's."""
        self.told.append(frame := self.wire.popleft())
        for event in self.client.receive(frame):
            match event:
                case RunText(run, offset, text, tokens):
                    assert text
                    assert offset == len(self.text[run])
                    assert tokens >= self.tokens[run]
                    assert not self.ended[run]
                    self.text[run], self.tokens[run] = self.text[run] + text, tokens
                    assert self.spoken[run].startswith(self.text[run])
                case RunStep(run, key, _, offset, text):
                    here = self.thoughts.get((run, key), "")
                    assert offset == len(here)
                    self.thoughts[run, key] = here + text
                    assert self.thought[run, key].startswith(here + text)
                case RunEnded(run, state, facts):
                    self.ended[run] += 1
                    ending = self.logs[run].ending
                    assert ending is not None
                    assert (state, facts["stopReason"]) == (ending.state, ending.facts["stopReason"])
                    assert self.text[run] == self.spoken[run]
                case Gap():
                    assert self.own
                    self.ask(event.run_id)
                case Reply() | RunPhase():
                    pass
                case _:
                    raise AssertionError(event)

    # -- what a gateway does ---------------------------------------------------------------------

    def start(self) -> RunLog:
        run = f"r{len(self.logs)}"
        self.logs[run], self.client.runs[run] = RunLog(run, "agent:main:s"), RunCursor()
        self.spoken[run], self.text[run], self.tokens[run] = "", "", 0
        self.ask(run)
        return self.logs[run]

    def at_work(self, which: int) -> RunLog:
        """One of the runs under way, of which there are some at any time."""
        under_way = [log for log in self.logs.values() if not log.ending]
        return under_way[which] if which < len(under_way) else self.start()

    @rule(which=which, key=st.none() | keys, pieces=st.lists(pieces, max_size=5), tokens=st.integers(0, 3), end=ends)
    def grow(self, which: int, key: str | None, pieces: list[str], tokens: int, end: Any) -> None:
        """A run says more of its answer, or of a step, is perhaps at its end, and is told as far as it is now."""
        log = self.at_work(which)
        for piece in pieces:
            if key is None:
                self.speak(log, piece, tokens)
            else:
                self.think(log, key if self.own else "thinking", piece, tokens)  # told whole, steps have no names
        if end is not None:
            if end == "error" and not self.own:
                end = "aborted"  # real gateways tell a failure without its text: what was lost before it is lost
            log.end(Ending(end, {"stopReason": f"{log.run_id} {end}"}))
            log.end(Ending("final", {"stopReason": "a second one"}))
        self.take(log.run_id)

    def speak(self, log: RunLog, piece: str, tokens: int) -> None:
        text = whole(self.spoken[log.run_id], piece)
        if not self.own and "\ud800" <= text[-1:] <= "\udbff":
            text += "."  # a gateway that counts in halves of characters tells the other half with its next word
        log.append(text, tokens)
        self.spoken[log.run_id] += text

    def think(self, log: RunLog, key: str, piece: str, tokens: int) -> None:
        before = self.thought.get((log.run_id, key), "")
        text = whole(before, piece)
        log.append_step(key, key, text, tokens, seconds=tokens or None)
        self.thought[log.run_id, key] = before + text

    def take(self, run: str) -> None:
        self.wire += [self.server.event(name, payload) for name, payload in self.cursors[run].take()]

    def restart(self) -> None:
        """The gateway is gone with all it knew; its successor begins with what the client has of each answer."""
        self.told.clear()
        for run, cursor in self.client.runs.items():
            log = self.logs[run] = RunLog(run, "agent:main:s")
            log.append(self.text[run], cursor.tokens)
            self.spoken[run] = self.text[run]
            cursor.steps.clear()
        for run, key in (*self.thoughts, *self.thought):
            if run in self.client.runs:
                self.thoughts.pop((run, key), None)
                self.thought.pop((run, key), None)

    # -- what a wire does ------------------------------------------------------------------------

    @precondition(lambda self: self.wire)
    @rule(count=st.integers(1, 9))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            self.arrive()

    @rule(fault=st.sampled_from(FAULTS), where=st.integers(0), which=st.integers(0))
    def fail(self, fault: str, where: int, which: int) -> None:
        """A frame comes again, even of an earlier connection, or overtakes another, or is lost, or all of them are."""
        at = where % (len(self.wire) or 1)
        match fault:
            case "lost" if self.wire:
                del self.wire[at]
                self.dropped |= self.logs.keys()
            case "early" if self.wire:
                self.wire[at - 1], self.wire[at] = self.wire[at], self.wire[at - 1]
                self.dropped |= self.logs.keys()
            case "restarted" if self.own:
                self.restart()
                self.connect()
            case "restarted" | "cut":
                self.connect()
            case _ if self.told:
                self.wire.insert(at, self.told[which % len(self.told)])

    # -- what holds ------------------------------------------------------------------------------

    @invariant()
    def both_know_how_much_is_here(self) -> None:
        for run, cursor in getattr(self, "client", ClientSession(token=None, version="", platform="")).runs.items():
            assert cursor.have == len(self.text[run])

    def teardown(self) -> None:
        """Once every run has ended and the wire behaves, all of it is here, and nothing is still expected."""
        if not hasattr(self, "client"):
            return
        try:
            for run, log in self.logs.items():
                log.end(Ending("final", {"stopReason": run}))
            for _ in range(3):
                for _ in range(10_000):
                    if not self.wire and not any(cursor.behind for cursor in self.cursors.values()):
                        break
                    for run in self.cursors:
                        self.take(run)
                    self.deliver(len(self.wire))
                self.connect()
            assert not self.client.runs
            assert self.ended == Counter(dict.fromkeys(self.logs, 1))
            assert self.text == self.spoken == {run: str(log.text) for run, log in self.logs.items()}
            for (run, key), text in self.thought.items():
                if run not in self.dropped:
                    assert self.thoughts.get((run, key), "") == text
        finally:
            runlog.LONGEST_DELTA, runlog.PART = self.limits


class ForeignStreams(Streams):
    own = False


class OldStreams(Streams):
    own = False
    protocol = 3


for machine, examples in ((Streams, 250), (ForeignStreams, 60), (OldStreams, 30)):
    machine.TestCase.settings = settings(max_examples=examples, stateful_step_count=40)

TestStreams = Streams.TestCase
TestForeignStreams = ForeignStreams.TestCase
TestOldStreams = OldStreams.TestCase
