"""Flight: text held back or passed on, and every end that a gateway may tell, as a Result or an error."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.client.flights import (
    DELAY,
    Flight,
    Restore,
    answer_of,
    failed,
    lost,
    read_end,
)
from openclaw_nb.errors import ConnectionLost, ModelError, RunError, RunTimeout
from openclaw_nb.events import Delta, End, State, Status, Usage
from openclaw_nb.protocol.happened import RunCursor
from openclaw_nb.run import Run


def new_flight(*, streaming: bool = True, timeout: float | None = None) -> Flight:
    return Flight(Run("r"), {}, streaming=streaming, timeout=timeout)


def test_text_is_passed_on_or_held_back() -> None:
    for streaming, so_far in ((True, "ab"), (False, "")):
        flight = new_flight(streaming=streaming)
        flight.take(Delta(0, "a", 1))
        flight.take(Delta(1, "b", 2))
        assert flight.run.text == so_far
        flight.end(End(Status.DONE))
        assert flight.run.result() == "ab"
        assert flight.run.tokens == 2


def test_reached_ends_the_reconnecting() -> None:
    flight = new_flight()
    flight.reached()
    assert flight.accepted
    assert flight.run.status is Status.WAITING
    for tokens, status in ((0, Status.WAITING), (1, Status.STREAMING)):
        if tokens:
            flight.take(Delta(0, "a", 1))
        flight.run.push(State(Status.RECONNECTING, "attempt 1"))
        flight.reached()
        assert (flight.run.status, flight.run.words) == (status, "")


def test_a_limit_reached_is_a_failure_and_one_missed_is_none() -> None:
    flight = new_flight(timeout=1.5)
    flight.timed_out = True
    assert flight.end(End(Status.STOPPED)).status is Status.FAILED
    with pytest.raises(RunTimeout, match=r"time limit of 1\.5 s"):
        flight.run.result()
    flight = new_flight(timeout=1.5)
    flight.timed_out = True
    flight.end(End(Status.DONE))
    assert flight.run.result() == ""


def test_failed() -> None:
    error = ModelError("m")
    assert failed(error) == End(Status.FAILED, error=error)
    end = failed(ConnectionLost("gone"))
    assert type(end.error) is RunError
    assert (str(end.error), end.error.code) == ("gone", "STREAM_DISCONNECTED")
    assert lost("why").error.code == "RUN_LOST"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("state", "facts", "end"),
    [
        ("final", {}, End(Status.DONE)),
        (
            "final",
            {"usage": {"input": 1, "output": 2, "estimated": True}, "model": "m", "snapshot": "s"},
            End(Status.DONE, usage=Usage(1, 2, True), model="m", snapshot="s"),
        ),
        ("aborted", {"usage": {"input": 1, "output": 2}}, End(Status.STOPPED, usage=Usage(1, 2))),
        ("final", {"cost": 0.25}, End(Status.DONE, cost=0.25)),
        ("final", {"usage": {"input": "1"}, "cost": {"total": 0}, "snapshot": {"id": 1}}, End(Status.DONE)),
        ("final", {"usage": [1, 2]}, End(Status.DONE)),
        ("final", {"usage": {"totalTokens": 9}}, End(Status.DONE)),
    ],
)
def test_ends(state: str, facts: dict[str, Any], end: End) -> None:
    assert read_end(state, facts) == end


@pytest.mark.parametrize(
    ("facts", "type_", "code", "sentence"),
    [
        ({"errorMessage": "it broke", "errorCode": "RATE_LIMIT"}, ModelError, "RATE_LIMIT", "it broke"),
        ({"errorMessage": "it broke"}, ModelError, "MODEL", "it broke"),
        ({}, ModelError, "MODEL", "the run failed"),
        ({"errorMessage": 5, "errorCode": None}, ModelError, "None", "5"),
        ({"errorMessage": "stopped", "errorCode": "GATEWAY_STOPPED"}, RunError, "GATEWAY_STOPPED", "stopped"),
    ],
)
def test_failures(facts: dict[str, Any], type_: type[RunError], code: str, sentence: str) -> None:
    end = read_end("error", facts)
    assert end.status is Status.FAILED
    assert type(end.error) is type_
    assert (end.error.code, str(end.error)) == (code, sentence)


ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "a"}], "runId": "r"}


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        ([{"role": "user", "content": "q"}, ANSWER, {"role": "assistant", "content": "b"}], ("a", "final")),
        ([ANSWER | {"state": "aborted"}], ("a", "aborted")),
        ([ANSWER | {"runId": "other"}], None),
        ([ANSWER | {"role": "user"}], None),
        (["x", None], None),
        ({}, None),
        (None, None),
    ],
)
def test_the_answer_of_a_run(messages: Any, answer: tuple[str, str] | None) -> None:
    assert answer_of("r", {"messages": messages}) == answer
    assert answer_of("r", messages) is None


UNAVAILABLE = ModelError("m", code="MODEL_UNAVAILABLE")


def test_pauses_before_a_restore() -> None:
    restore = Restore()
    for attempt, longest in ((1, DELAY), (2, 2 * DELAY)):
        for _ in range(100):
            assert longest / 2 <= (restore.pause(UNAVAILABLE, attempt) or 0) <= longest
    assert restore.pause(UNAVAILABLE, 3) is None
    assert Restore(0).pause(UNAVAILABLE, 1) is None
    assert restore.pause(None, 1) is None
    assert restore.pause(ModelError("m"), 1) is None
    assert restore.pause(RunError("stopped", code="GATEWAY_STOPPED"), 1) is not None


@pytest.mark.parametrize(("milliseconds", "pause"), [(7_500, 7.5), (20_000.0, 20.0), (20_001, None), (2**52, None)])
def test_a_provider_that_asks_to_be_left_alone(milliseconds: float, pause: float | None) -> None:
    end = read_end("error", {"errorCode": "MODEL_UNAVAILABLE", "retryAfterMs": milliseconds})
    assert Restore().pause(end.error, 1) == pause


@pytest.mark.parametrize("nonsense", ["soon", None, True, -1, 2**53, 10**400, float("nan"), float("inf"), [1]])
def test_a_wait_that_is_none(nonsense: Any) -> None:
    end = read_end("error", {"errorCode": "MODEL_UNAVAILABLE", "retryAfterMs": nonsense})
    assert isinstance(end.error, ModelError)
    assert end.error.retry_after == 0


def test_where_it_stands() -> None:
    for streaming in (True, False):
        flight = new_flight(streaming=streaming)
        assert flight.cursor() == RunCursor()
        flight.take(Delta(0, "aé", 1))
        flight.take(Delta(2, "b", 5))
        assert flight.cursor() == RunCursor(3, 5, {}, "aéb")


def test_the_session_it_ended_in() -> None:
    flight = Flight(Run("r"), {"sessionKey": "agent:main:main"}, streaming=True, timeout=None)
    assert not flight.beside
    beside = Flight(Run("r"), {}, streaming=True, timeout=None, session={"busy": "branch"})
    assert beside.beside
    beside.went_to("main-2")
    assert (beside.run.session, beside.run.branch_of) == ("main-2", "main")


@pytest.mark.parametrize(
    "session", ["other", "main", "main-2\x1b[31m", "main-x", "main-" + "2" * 1_000, "", None, 5, ["main-2"]]
)
def test_a_session_that_is_no_branch_of_it(session: object) -> None:
    flight = Flight(Run("r"), {"sessionKey": "agent:main:main"}, streaming=True, timeout=None)
    flight.went_to(session)
    assert (flight.run.session, flight.run.branch_of) == ("main", "")
