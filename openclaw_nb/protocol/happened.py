"""Happened, what a client learns from its gateway, and RunCursor, how much of a run it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import OpenClawError
from .handshake import Hello

__all__ = [
    "Asked",
    "Gap",
    "Happened",
    "Invoked",
    "Paired",
    "Reply",
    "RunCursor",
    "RunEnded",
    "RunPhase",
    "RunStep",
    "RunText",
    "Settled",
    "Shutdown",
    "Withdrawn",
]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request ``id``: a payload, or the error it was refused with."""

    id: str
    payload: Any = None
    error: OpenClawError | None = None

    @property
    def is_first(self) -> bool:
        """Whether another one follows it: `agent` is answered when it is accepted, and when it has ended."""
        return isinstance(self.payload, dict) and self.payload.get("status") == "accepted"


@dataclass(frozen=True, slots=True)
class RunText:
    run_id: str
    offset: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class RunStep:
    run_id: str
    key: str
    title: str
    offset: int
    text: str
    tokens: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """``state`` is final, aborted or error; ``facts`` is the payload, and ``cursor`` what there was of the run."""

    run_id: str
    state: str
    facts: dict[str, Any]
    cursor: RunCursor


@dataclass(frozen=True, slots=True)
class RunPhase:
    """What a real gateway does before the model answers, in its words."""

    run_id: str
    words: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Something waits for a person's leave. ``kind`` is exec or plugin; ``run_id`` "" where that is not told.

    It ``expires`` in so many seconds, None where nobody says.
    """

    id: str
    kind: str
    run_id: str
    session_key: str
    command: str
    details: str
    expires: float | None


@dataclass(frozen=True, slots=True)
class Settled:
    """It was decided: allow-once, allow-always or deny, or "expired"."""

    id: str
    decision: str
    by: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The gateway is ahead of us: text from ``have`` on is missing and must be asked for."""

    run_id: str
    have: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The gateway is going away; it says why, and for how many ``seconds``: None where it does not."""

    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Invoked:
    """The assistant calls a function of this node: ``name`` with ``arguments``, "" and {} where they cannot be read.

    The gateway waits ``seconds`` for the answer; ``session_key`` is whose assistant it is, "" where that is not told.
    """

    id: str
    node_id: str
    command: str
    name: str
    arguments: dict[str, Any] | str
    seconds: float
    session_key: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The gateway no longer waits for the answer to the call ``id``."""

    id: str


@dataclass(frozen=True, slots=True)
class Paired:
    """The gateway's owner has decided about what the node ``node_id`` may do: "approved", "rejected", "removed"."""

    node_id: str
    decision: str


Happened = (
    Hello
    | Reply
    | RunText
    | RunStep
    | RunPhase
    | RunEnded
    | Asked
    | Settled
    | Gap
    | Shutdown
    | Invoked
    | Withdrawn
    | Paired
)


@dataclass(slots=True)
class RunCursor:
    """How much of one run is here, in code points. What follows ``text`` is for gateways that tell no offsets.

    ``part`` is where in the text the part begins that they are telling: they begin anew behind a tool's call. After a
    ``cut`` nobody knows whether one was missed; a text that does not go on from here is left to the end then. Tools
    ``began`` in milliseconds; ``results`` are their titles, outputs and seconds. Thoughts that come ``late`` stand in
    the history only.
    """

    have: int = 0
    tokens: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    text: str = ""
    part: int = 0
    cut: bool = False
    held: bool = False
    model: str = ""
    stopped: bool = False
    thoughts: str = ""
    began: dict[str, int] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    results: dict[str, tuple[str, str, float | None]] = field(default_factory=dict)
    late: bool = False
