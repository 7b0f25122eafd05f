"""Text of a run as it comes, printed: for terminals, for `--plain`, and wherever there are no widgets."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from textwrap import indent
from typing import TYPE_CHECKING

from .approval_words import WAITS, decided, left, one_line, visible
from .approvals import Approvals, Unsettled
from .errors import ConfigError
from .events import Approval, RunEvent, State, Status
from .render import counted, plain
from .run import Run

if TYPE_CHECKING:
    from .pool import PoolRun
    from .pool.lane import Lane

__all__ = ["SHORT_ID", "Asker", "print_lanes", "print_run", "printer"]


SHORT_ID = 8
"""Characters of the id of a run, a snapshot or an approval that are shown, and enough to name it."""


def printer(pause: float = 0.0) -> Callable[[str], None]:
    """A way to print what streams, flushed at most once in ``pause`` seconds; the rest is flushed by ipykernel."""
    flushed = -pause

    def write(text: str) -> None:
        nonlocal flushed
        sys.stdout.write(text)
        if (now := time.monotonic()) - flushed >= pause:
            flushed = now
            sys.stdout.flush()

    return write


def print_run(run: Run, write: Callable[[str], object]) -> threading.Event:
    """Write the run's text, what there is and what comes, and one line for each state that needs words.

    What is written lands in the cell, or wherever else, this was called from, whichever thread it comes from.
    The event that is returned is set when all of it was written.
    """
    context = contextvars.copy_context()
    writing = threading.Lock()
    ended = threading.Event()
    told: set[str] = set()
    seen = 0

    def show(event: RunEvent | None) -> None:
        nonlocal seen
        with writing:
            if ended.is_set():
                return
            over = run.done()  # asked first: if it is, the text is whole
            if isinstance(event, Approval) and event.decision is None:
                told.discard(event.id)  # where what was decided did not get through, it is asked again
            try:
                if fresh := run.text[seen:]:
                    seen += len(fresh)
                    write(plain(fresh))
                for asked in _news(run.approvals, told):
                    write(("\n" if seen else "") + _asked(asked))
                if over:
                    write("\n" if seen else "")
                    if run.status is Status.STOPPED:
                        write(f"[{run.words}; {counted(run.tokens, 'token')} kept]\n")
                elif isinstance(event, Approval) and event.decision is not None:
                    write(f"[{decided(event)}: {one_line(event.command)}]\n")
                elif isinstance(event, State) and event.words:
                    write(("\n" if seen else "") + f"[{event.words}]\n")
            finally:
                if over:
                    ended.set()

    run.subscribe(lambda event: context.copy().run(show, event))
    show(None)
    return ended


def print_lanes(run: PoolRun, write: Callable[[str], object]) -> threading.Event:
    """The same of several agents: one after the other in their order, each streaming when all before it are whole."""
    context = contextvars.copy_context()
    writing = threading.Lock()
    ended = threading.Event()
    told: set[str] = set()
    at = seen = 0
    titled = False

    def show(of: Lane | None = None, event: RunEvent | None = None) -> None:
        nonlocal at, seen, titled
        with writing:
            if ended.is_set():
                return
            over = run.done()  # asked first: if it is, all of it is whole
            try:
                for lane in run.lanes:  # at once, whoever's turn it is: it waits for it
                    for asked in _news(lane.approvals, told):
                        write(("\n" if seen else "") + _asked(asked, f"{plain(lane.name)}, "))
                if of is not None and isinstance(event, Approval) and event.decision is not None:
                    write(f"[{plain(of.name)}, {decided(event)}: {one_line(event.command)}]\n")
                while at < len(run.lanes):
                    lane = run.lanes[at]
                    done = lane.done()
                    if not titled and (done or lane.text):
                        write(f"## {plain(lane.name)}\n\n")
                        titled = True
                    if fresh := lane.text[seen:]:
                        seen += len(fresh)
                        write(plain(fresh))
                    if not done:
                        return
                    words = "" if lane.status is Status.DONE else f"[{plain(lane.words)}]\n"
                    write(("\n" if seen else "") + words + "\n")
                    at, seen, titled = at + 1, 0, False
                if over:
                    write(f"[{run.words}]\n")
            finally:
                if over:
                    ended.set()

    run.subscribe(lambda of, event: context.copy().run(show, of, event))
    show()
    return ended


# -- what waits for a person -------------------------------------------------------------------------


def _news(approvals: Approvals, told: set[str]) -> Iterator[Unsettled]:
    """What waits and has not been told yet."""
    for asked in approvals.unsettled:
        if asked.chosen is None and asked.approval.id not in told:
            told.add(asked.approval.id)
            yield asked


def _asked(asked: Unsettled, who: str = "") -> str:
    """All of what is to be run, and how it is decided."""
    approval = asked.approval
    facts = filter(None, (visible(approval.details), "" if asked.left is None else left(asked.left)))
    id = plain(approval.id[:SHORT_ID])
    return (
        f"[{who}{WAITS}: {', '.join([visible(approval.title), *facts])}]\n{indent(visible(approval.command), '    ')}\n"
        f"[%openclaw allow {id} runs it once, %openclaw deny {id} does not]\n"
    )


class Asker:
    """Asks on the thread that waits for a run, as no other cell can decide meanwhile. Only yes allows.

    Where nobody can be asked, in a script or in a notebook that is run by a program, nothing is decided.
    """

    def __init__(self, run: Run | PoolRun, read: Callable[[str], str] = input) -> None:
        self._run = run
        self._read = read
        self._alone = False

    def ask(self) -> None:
        """Ask for all that waits."""
        for part in [self._run] if isinstance(self._run, Run) else self._run.lanes:
            for approval in part.approvals.pending:
                if not self._alone:
                    self._put(part.approvals, approval)

    def _put(self, approvals: Approvals, approval: Approval) -> None:
        try:
            _forget_typed()
            said = self._read(f"{visible(approval.title)}:\n{visible(approval.command)}\nallow it once? [y/N] ")
        except (EOFError, NotImplementedError):
            self._alone = True
            return
        with suppress(ConfigError):  # it was decided elsewhere meanwhile
            approvals.decide(approval.id, said.strip().lower() in ("y", "yes"))


def _forget_typed() -> None:
    """What was typed before the question was seen is no answer to it."""
    if sys.stdin is not None and sys.stdin.isatty():
        with suppress(ImportError, OSError):
            import termios

            termios.tcflush(sys.stdin, termios.TCIFLUSH)
