"""The error tree: stable codes, one sentence each, and which of them trying again can help."""

from __future__ import annotations

import copy
import pickle

import pytest

from openclaw_nb import errors
from openclaw_nb.errors import (
    AuthError,
    BudgetReached,
    ConfigError,
    ConnectionLost,
    DeadlockError,
    ModelError,
    OpenClawError,
    ProtocolError,
    RequestError,
    RunError,
    RunTimeout,
    SnapshotError,
    TaskTimeout,
    is_retryable,
    nearest,
    one_line,
)
from openclaw_nb.run import Result

TREE = [
    (ConfigError, "CONFIG", ValueError),
    (ConnectionLost, "STREAM_DISCONNECTED", ConnectionError),
    (AuthError, "UNAUTHORIZED", OpenClawError),
    (ProtocolError, "PROTOCOL", OpenClawError),
    (RequestError, "INVALID_REQUEST", OpenClawError),
    (RunError, "RUN_FAILED", OpenClawError),
    (BudgetReached, "BUDGET", RunError),
    (DeadlockError, "DEADLOCK", RunError),
    (ModelError, "MODEL", RunError),
    (RunTimeout, "TIMEOUT", TimeoutError),
    (TaskTimeout, "TIMEOUT", RunTimeout),
    (SnapshotError, "SNAPSHOT", OpenClawError),
]


@pytest.mark.parametrize(("type", "code", "base"), TREE)
def test_each_has_a_code_and_a_sentence(type: type[OpenClawError], code: str, base: type[BaseException]) -> None:
    error = type("it did not work")
    assert isinstance(error, OpenClawError)
    assert isinstance(error, base)
    assert (error.code, str(error)) == (code, "it did not work")
    assert type("x", code="OTHER").code == "OTHER"
    assert error._render_traceback_() == [f"{type.__name__}: it did not work"]
    for again in (copy.copy(error), pickle.loads(pickle.dumps(type("x", code="OTHER")))):
        assert isinstance(again, type)
    assert again.code == "OTHER"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    named = {line.split()[-1] for line in (part.split("  ")[0] for part in errors.__doc__.split("─ ")) if line.split()}
    assert {type.__name__ for type, _, _ in TREE} <= named | set(errors.__doc__.split())
    others = {"OpenClawError", "is_retryable", "nearest", "one_line"}
    assert set(errors.__all__) == {type.__name__ for type, _, _ in TREE} | others


def test_a_failed_run_keeps_what_came() -> None:
    error = ModelError("it broke")
    assert error.partial is None
    error.partial = Result("half", run_id="r")
    assert pickle.loads(pickle.dumps(error)).partial.run_id == "r"


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (ConnectionLost("x"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (EOFError(), True),
        (OSError(), True),
        (RunTimeout("x"), False),
        (AuthError("x"), False),
        (ProtocolError("x"), False),
        (RequestError("x"), False),
        (ConfigError("x"), False),
        (ModelError("x"), False),
        (ModelError("x", code="MODEL_UNAVAILABLE"), True),
        (RunError("x", code="GATEWAY_STOPPED"), True),
        (RunError("x", code="STREAM_DISCONNECTED"), True),
        (RunError("x", code="RUN_LOST"), False),
        (RequestError("x", code="GATEWAY_STOPPED"), False),
        (AuthError("x", code="MODEL_UNAVAILABLE"), False),
        (ValueError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_what_trying_again_can_help(error: BaseException, helps: bool) -> None:
    assert is_retryable(error) is helps


def test_nearest() -> None:
    known = {"maxThreads": 1, "timeout": 2}
    assert nearest("maxThread", known) == "; did you mean maxThreads?"
    assert nearest("zzz", known) == nearest("", known) == nearest("x", ()) == ""


def test_one_line() -> None:
    assert one_line("\x1b]0;owned\x07 a\n\tb\u202e \ud800") == "]0;owned a b"
    assert one_line("x" * 1_000_000) == "x" * 299 + "…"
    assert one_line(None) == "None"
