"""What happens to a run, as it is told to whoever listens: deltas, steps, states, and its end.

All of it is plain data; offsets count Unicode code points, durations are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import RunError

__all__ = ["Approval", "Delta", "End", "Level", "RunEvent", "State", "Status", "Step", "Usage"]


class Status(StrEnum):
    """Where a run stands. The first three are in flight, the last three are final."""

    WAITING = "waiting"
    STREAMING = "streaming"
    RECONNECTING = "reconnecting"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (Status.DONE, Status.STOPPED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model reported them (or as counted here where it reports none: ``estimated``).

    ``cached_tokens`` are those of the input that the provider had read before.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.estimated or other.estimated,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """More answer text. ``offset`` counts Unicode code points from the start; ``tokens`` is the total so far."""

    offset: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Step:
    """More of one reasoning step: ``text`` goes at ``offset`` (code points) of the step named ``key``."""

    key: str
    title: str
    offset: int = 0
    text: str = ""
    tokens: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A change of status that is not an end; ``words`` say it to a person ("reconnecting, attempt 2 of 5")."""

    status: Status
    words: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The last event of every run. ``error`` is set when, and only when, ``status`` is FAILED."""

    status: Status
    usage: Usage | None = None
    error: RunError | None = None
    words: str = ""
    cost: float | None = None
    model: str = ""
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Something that is done only if a person allows it: ``title`` says what kind, ``command`` what exactly.

    ``expires`` is seconds from when it was asked. It is told again when it is settled, with the ``decision``:
    "allow-once", "deny" or "expired", and ``by`` whom where it was not decided here.
    """

    id: str
    title: str
    command: str
    details: str = ""
    expires: float | None = None
    decision: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """From its next step on the run goes on at another level."""

    level: int
    reason: str = ""
    by_hand: bool = False


RunEvent = Delta | Step | State | Level | Approval | End
