"""The card's rows about a cluster: how each of its endpoints stands, and of those it falls back to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ..client.balancer import EndpointState
from ..notebook import Notebook
from ..render import counted, static_output

__all__ = ["standing"]

LISTED = 8
"""Endpoints of a cluster that are listed."""


def standing(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """A row for each cluster, where runs go to one of several endpoints. Nobody is asked for it."""
    if static_output():  # it is another one each time
        return
    client = notebook.runtime.dialled(notebook.uri)
    states = client.endpoints if client is not None else ()
    if len(states) < 2:
        return
    for cluster, there in groupby(states, key=lambda state: state.cluster):
        told = list(there)
        more = [f"and {len(told) - LISTED} more"] if len(told) > LISTED else []
        yield cluster, " · ".join([*map(_words, told[:LISTED]), *more])


def _words(state: EndpointState) -> str:
    runs = f", {counted(state.runs, 'run')} at work" if state.runs else ""
    return f"{state.url} {state.state}{runs}"
