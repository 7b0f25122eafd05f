"""Succession, whether an instance can go on with a run of one that is gone, and how the run ends where it cannot."""

from __future__ import annotations

from ..engine import Engine
from ..protocol.runlog import Ending
from ..sharing import records
from .runs import ABORTED, TOO_LONG
from .shared_run import SharedRun

__all__ = ["refusal"]

_ANEW = "ask anew if it may be done again"

CALLED = Ending("error", {
    "errorMessage": f"the gateway that had this run at work is gone, and what its tools did is not known here; {_ANEW}",
    "errorCode": "RUN_LOST",
})  # fmt: skip

FOREIGN = Ending("error", {
    "errorMessage": "the gateway that had this run at work is gone, and this one cannot go on with its answer",
    "errorCode": "RUN_LOST",
})  # fmt: skip


def refusal(run: SharedRun, engine: Engine | None, abort: str, left: float | None) -> Ending | None:
    """How a run ends that is not gone on with; None where ``engine`` does. None for that is a handler, which cannot.

    ``abort`` says that it was to be stopped, ``left`` how many milliseconds it has. A run that has called tools is
    gone on with only where the store has its ledger, as a file that instances have in common: no call is made twice.
    """
    if abort:
        return ABORTED
    if left is not None and left <= 0:
        return TOO_LONG
    if engine is None and run.log.text.length:
        return FOREIGN
    if calls := records.calls_in(run.log):
        cut = engine.memory.cut(run.turn.session, run.turn.run_id, run.turn.partial) if engine else None
        if cut is None or not calls <= {call["key"] for call in cut.calls}:
            return CALLED
    return None
