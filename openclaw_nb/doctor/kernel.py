"""How late this process is: a thread that is to wake up, and the loop of the runtime, and who holds them up."""

from __future__ import annotations

import asyncio
import selectors
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from .finding import Finding, State, seconds
from .patient import Patient

__all__ = ["innermost", "kernel", "percentile", "place"]

ROUNDS = 25
"""Times that lateness is measured."""

REST = 0.01
"""Seconds between two of them."""

LATE = 0.05
"""Seconds after which the loop is looked at, as something keeps it from its turn."""

STUCK = 1.0
"""Seconds after which its turn is not waited for any longer."""

SLOW = 0.003
"""Seconds of lateness in a quarter of all cases that are worth a look: who computes lets go of Python every 5 ms."""

LOADED = 0.02
"""Seconds of it from which on the machine has too much to do."""

BUSY = 0.25
"""The part of all that this process computes from which on a thread of it counts as busy; on a loaded machine it gets
little done, however busy it is."""

LEAST = 0.05
"""The part of the time that it computes at least."""

_ELSEWHERE = (
    "let it compute in a process of its own, as multiprocessing or ThreadPool(isolation='process') do, or in smaller "
    "pieces"
)
_ELSE = "see what else this machine does (top), and give it less or more processors"
_AWAIT = "what runs on that loop has to await: use `await asyncio.to_thread(…)` for what blocks"


def kernel(patient: Patient) -> Iterator[Finding]:
    """Whether text is held up in this very process."""
    before, began, all_before = _computed(), time.perf_counter(), time.process_time()
    own, turns, held = _lateness(patient)
    passed, all_spent = time.perf_counter() - began, time.process_time() - all_before
    busy = {
        ident: spent / passed
        for ident, now in _computed().items()
        if (spent := now - before.get(ident, now)) > max(LEAST * passed, BUSY * all_spent)
        and ident != threading.get_ident()
    }
    late, worst = max(percentile(turns, 0.75), percentile(own, 0.75)), max(turns)
    measured = f"a turn comes {seconds(late)} late, that of the loop at worst {seconds(worst)}"
    figures = {"late": late, "loop_max": worst, "busy_threads": float(len(busy))}
    if held and worst >= LATE:
        state = State.BROKEN if worst >= STUCK else State.LOOK
        yield Finding("kernel", state, f"the loop that feeds all runs is blocked {held}", measured, _AWAIT, figures)
    elif busy and late >= SLOW:
        ident, share = max(busy.items(), key=lambda item: item[1])
        words = f"a thread keeps the interpreter busy {place(ident)}"
        yield Finding("kernel", State.LOOK, words, f"{share:.0%} of the time; {measured}", _ELSEWHERE, figures)
    elif late >= LOADED or worst >= STUCK:
        yield Finding("kernel", State.LOOK, "it is late, and nothing in it shows why", measured, _ELSE, figures)
    else:
        yield Finding("kernel", State.OK, "nothing here holds up the text", measured, figures=figures)


def percentile(values: list[float], part: float) -> float:
    """The value that this part of all are not above."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def _lateness(patient: Patient) -> tuple[list[float], list[float], str]:
    """By how much a thread wakes up too late, and the loop has its turn; and where the loop was when it was late."""
    own, turns, held = [], [], ""
    for _ in range(ROUNDS):
        start = time.perf_counter()
        time.sleep(REST)
        own.append(time.perf_counter() - start - REST)
        turn = threading.Event()
        start = time.perf_counter()
        patient.runtime.loop.call_soon_threadsafe(turn.set)
        if not turn.wait(LATE):
            held = held or place(patient.runtime.thread)
            turn.wait(STUCK - LATE)
        turns.append(time.perf_counter() - start)
        if turns[-1] >= STUCK:
            break
    return own, turns, held


def _computed() -> dict[int, float]:
    """Seconds that each thread has computed so far, where the system tells it."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return {}
    found = {}
    for thread in threading.enumerate():
        if (ident := thread.ident) is not None and thread.is_alive():
            try:
                found[ident] = time.clock_gettime(time.pthread_getcpuclockid(ident))
            except OSError:  # it has ended meanwhile
                continue
    return found


def place(ident: int | None) -> str:
    """Where a thread is: the innermost line that is not of a library, in words; "" where it only waits."""
    frame = sys._current_frames().get(ident or 0)
    frames = traceback.extract_stack(frame) if frame is not None else []
    if all(one.filename.startswith(_IDLE) for one in frames):
        return ""
    name = next((thread.name for thread in threading.enumerate() if thread.ident == ident), "?")
    return f"{innermost([(one.filename, one.lineno or 0, one.name) for one in frames])} (thread {name!r})"


def innermost(calls: Sequence[tuple[str, int, str]]) -> str:
    """The innermost of some calls, by file, line and function, that is not of a library, in words."""
    own = [call for call in calls if not call[0].startswith(_LIBRARIES)]
    _, line, function = (own or calls)[-1]
    return f"in {function}, line {line}"


_IDLE = (threading.__file__, selectors.__file__, str(Path(asyncio.__file__).parent))
"""Files that alone are on the stack of a loop that waits for something to do."""

_LIBRARIES = tuple(str(Path(one)) for one in {*sysconfig.get_paths().values(), sys.base_prefix})
