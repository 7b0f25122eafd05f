"""Text of a run as it comes, printed: for terminals, for `--plain`, and wherever there are no widgets."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

from .events import RunEvent, State, Status
from .render import counted, plain
from .run import Run

__all__ = ["print_run"]


def print_run(run: Run, write: Callable[[str], object]) -> threading.Event:
    """Write the run's text, what there is and what comes, and one line for each state that needs words.

    What is written lands in the cell, or wherever else, this was called from, whichever thread it comes from.
    The event that is returned is set when all of it was written.
    """
    context = contextvars.copy_context()
    writing = threading.Lock()
    ended = threading.Event()
    seen = 0

    def show(event: RunEvent | None) -> None:
        nonlocal seen
        with writing:
            if ended.is_set():
                return
            over = run.done()  # asked first: if it is, the text is whole
            try:
                if fresh := run.text[seen:]:
                    seen += len(fresh)
                    write(plain(fresh))
                if over:
                    write("\n" if seen else "")
                    if run.status is Status.STOPPED:
                        write(f"[{run.words}; {counted(run.tokens, 'token')} kept]\n")
                elif isinstance(event, State) and event.words:
                    write(("\n" if seen else "") + f"[{event.words}]\n")
            finally:
                if over:
                    ended.set()

    run.subscribe(lambda event: context.copy().run(show, event))
    show(None)
    return ended
