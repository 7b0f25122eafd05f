"""Text of a run as it comes, printed: for terminals, for `--plain`, and wherever there are no widgets."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

from .render import plain
from .run import End, Run, RunEvent, State, Status

__all__ = ["print_run"]


def print_run(run: Run, write: Callable[[str], object]) -> None:
    """Write the run's text, what there is and what comes, and one line for each state that needs words.

    What is written lands in the cell, or wherever else, this was called from, whichever thread it comes from.
    """
    context = contextvars.copy_context()
    writing = threading.Lock()
    seen = 0

    def show(event: RunEvent | None) -> None:
        nonlocal seen
        with writing:
            if fresh := run.text[seen:]:
                seen += len(fresh)
                write(plain(fresh))
            if isinstance(event, State) and event.status is Status.RECONNECTING:
                write(("\n" if seen else "") + f"[{event.words}]\n")
            elif isinstance(event, End):
                write("\n" if seen else "")
                if event.status is Status.STOPPED:
                    write(f"[{run.words}; {run.tokens} tokens kept]\n")

    run.subscribe(lambda event: context.copy().run(show, event))
    show(None)
