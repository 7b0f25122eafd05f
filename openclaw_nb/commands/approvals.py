"""The subcommands of `%openclaw` that decide on what waits for a person: `allow` and `deny`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..approval_words import WAITS, one_line
from ..approvals import Approvals
from ..errors import ConfigError
from ..events import Approval
from ..notebook import SHORT_ID, Notebook
from ..run import Run
from ..tables import show_rows

if TYPE_CHECKING:
    from ..notebook import Work
    from ..pool.lane import Lane

__all__ = ["allow", "deny", "standing", "state", "waiting"]


def allow(notebook: Notebook, words: list[str]) -> None:
    """Allow once what waits, by the beginning of its id or as the only one."""
    approvals, approval = _chosen(notebook, "allow", words)
    approvals.decide(approval.id, True)
    show_rows("allow", [("allowed once", one_line(approval.command))])


def deny(notebook: Notebook, words: list[str]) -> None:
    """Deny it, likewise."""
    approvals, approval = _chosen(notebook, "deny", words)
    approvals.decide(approval.id, False)
    show_rows("deny", [("denied", one_line(approval.command))])


def standing(notebook: Notebook) -> list[tuple[str, str]]:
    """Rows that say what waits and how it is decided; none where nothing does."""
    return [
        (approval.id[:SHORT_ID], f"{approval.title}: {one_line(approval.command)}; %openclaw allow or %openclaw deny")
        for approval in waiting(notebook)
    ]


def waiting(notebook: Notebook) -> list[Approval]:
    """What waits for a person in the runs of this notebook, the oldest run first."""
    return [approval for _, approval in _all(notebook)]


def state(run: Work) -> str:
    """That it waits for a person, in words; "" where it does not."""
    return WAITS if any(part.approvals.pending for part in _parts(run)) else ""


def _parts(run: Work) -> Sequence[Run | Lane]:
    return [run] if isinstance(run, Run) else run.lanes


def _all(notebook: Notebook) -> Iterator[tuple[Approvals, Approval]]:
    runs = [part for run in notebook.runs.values() for part in _parts(run)]
    known = {id(part.approvals): part.approvals for part in [*runs, *notebook.front.active]}
    for approvals in known.values():
        for approval in approvals.pending:
            yield approvals, approval


def _chosen(notebook: Notebook, name: str, words: list[str]) -> tuple[Approvals, Approval]:
    if len(words) > 1:
        raise ConfigError(f"write %openclaw {name}, or %openclaw {name} ID")
    found = list(_all(notebook))
    if not found:
        raise ConfigError("nothing waits for your approval")
    fitting = [one for one in found if one[1].id.startswith("".join(words))]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{one.id[:SHORT_ID]} ({_clipped(one.command)})" for _, one in fitting or found)
    if not fitting:
        raise ConfigError(f"nothing that waits is called {words[0]!r}; there is {known}")
    raise ConfigError(f"{len(fitting)} wait for your approval: {known}; write %openclaw {name} ID")


def _clipped(command: str) -> str:
    line = one_line(command)
    return line if len(line) <= 40 else line[:39] + "…"
