"""The subcommand of `%openclaw` for functions that the assistant may call: which they are, and who can."""

from __future__ import annotations

from ..config import AgentURI
from ..errors import ConfigError, one_line
from ..node import offer
from ..node.node import nodes
from ..notebook import Notebook
from ..tables import show_rows

__all__ = ["offers"]

_NONE = "nothing is on offer; @offer over a function with typed parameters lets the assistant call it"
_HERE = "models in this kernel call the functions of their agent: OpenClawAgent(tools=[f])"
_APART = "not connected yet"


def offers(notebook: Notebook, words: list[str]) -> None:
    """What is on offer, and how it stands with the gateways."""
    if words:
        raise ConfigError("%openclaw offers takes nothing; offer.withdraw(f) ends an offer")
    for node in nodes.values():
        node.changed()  # its owner may have allowed something meanwhile
    there = [
        (one.name, f"{_first_line(one.tool.description)} · up to {one.timeout:g} s, {_leave(one.approve)}")
        for one in offer.all
    ]
    uri = notebook.uri or notebook.runtime.uri
    known = {node.uri: node.state for node in nodes.values()}
    if AgentURI.parse(uri).is_local:
        known[uri] = _HERE
    show_rows("Functions on offer", [*(there or [("offers", _NONE)]), *(known or {uri: _APART}).items()])


def _first_line(description: str) -> str:
    return one_line(description.strip().partition("\n")[0], 120)


def _leave(approve: bool) -> str:
    return "each call waits for your approval" if approve else "never asked for"
