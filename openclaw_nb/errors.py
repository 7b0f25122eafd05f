"""The error tree: every failure a user can meet, each with a stable code and one clear sentence.

OpenClawError
├── ConfigError           an address, option or setting that cannot be taken (also a ValueError)
├── ConnectionLost        no gateway there, or the link to it is gone (code STREAM_DISCONNECTED)
├── AuthError             the gateway does not let this client in; fatal, never retried
├── ProtocolError         the other side broke the protocol, or speaks another one
├── RequestError          the gateway refused one request; the connection is fine
├── RunError              a run failed; ``partial`` holds what came before
│   ├── BudgetReached     the money that was set aside is spent
│   ├── DeadlockError     it would wait for itself
│   ├── ModelError        the model, or the way to it, failed
│   └── RunTimeout        the run's time limit was reached (also a TimeoutError)
│       └── TaskTimeout   an agent of a pool was given up; ``stack`` is where it was
└── SnapshotError         a snapshot cannot be written, found or trusted
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Result

__all__ = [
    "AuthError",
    "BudgetReached",
    "ConfigError",
    "ConnectionLost",
    "DeadlockError",
    "ModelError",
    "OpenClawError",
    "ProtocolError",
    "RequestError",
    "RunError",
    "RunTimeout",
    "SnapshotError",
    "TaskTimeout",
    "is_retryable",
    "nearest",
    "one_line",
]

_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\s]+")


class OpenClawError(Exception):
    """Base of all errors of this package.

    ``code`` is stable and for programs; ``str(error)`` is one sentence for people.
    """

    code = "ERROR"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the sentence alone."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(OpenClawError, ValueError):
    code = "CONFIG"


class ConnectionLost(OpenClawError, ConnectionError):
    """No link. ``retry_after`` is how many seconds the gateway asked to be left alone for, as a starting one does."""

    code = "STREAM_DISCONNECTED"
    retry_after = 0.0
    is_starting = False


class AuthError(OpenClawError):
    """Not let in. ``details`` are what the gateway says of it beside its sentence, such as a pairing's requestId."""

    code = "UNAUTHORIZED"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.details: dict[str, str] = {}


class ProtocolError(OpenClawError):
    code = "PROTOCOL"


class RequestError(OpenClawError):
    code = "INVALID_REQUEST"


class RunError(OpenClawError):
    """A run that failed. ``partial`` is the Result with what came before the failure, or None."""

    code = "RUN_FAILED"
    partial: Result | None = None


class ModelError(RunError):
    """The model, or the way to it, failed; code MODEL_UNAVAILABLE where that may pass.

    ``retry_after`` is how many seconds its provider asked to be left alone for.
    """

    code = "MODEL"
    retry_after = 0.0


class BudgetReached(RunError):
    """A run was stopped at its budget, or there is none left to send it; code BUDGET."""

    code = "BUDGET"


class DeadlockError(RunError):
    """Work that would wait for itself; the sentence names who waits for whom."""

    code = "DEADLOCK"


class RunTimeout(RunError, TimeoutError):
    code = "TIMEOUT"


class TaskTimeout(RunTimeout):
    """An agent of a pool reached its time limit; ``stack`` is where its tool was, "" where none was at work."""

    stack = ""


class SnapshotError(OpenClawError):
    code = "SNAPSHOT"


def one_line(words: object, longest: int = 300) -> str:
    """Somebody else's words as an error may say them: one line of ``longest`` characters, without controls."""
    line = _UNSHOWN.sub(" ", str(words)[: 2 * longest]).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for a word that is almost a known one, or nothing."""
    from difflib import get_close_matches  # where a word was right it is not needed

    near = get_close_matches(word, [*known], 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


PASSING = frozenset({"GATEWAY_STOPPED", "MODEL_UNAVAILABLE", ConnectionLost.code})
"""Codes of runs that failed by what may pass."""


def is_retryable(error: BaseException) -> bool:
    """Whether trying again can help: True for lost links and time-outs of the network, False for refusals.

    Of runs that failed it is True for a lost link, a gateway that was stopped, and a model that is overloaded or broke
    off. This is the only place that decides it. A wrong token, a foreign protocol or a bad address stays wrong
    however often it is sent.
    """
    if isinstance(error, RunError):
        return error.code in PASSING
    if isinstance(error, OpenClawError):
        return isinstance(error, ConnectionLost)
    return isinstance(error, (ConnectionError, TimeoutError, EOFError, OSError))
