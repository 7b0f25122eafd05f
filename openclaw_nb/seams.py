"""The two places where a lower floor asks a higher one, bound by name at the moment of the call."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["local_runtime", "show_run"]


def _late(target: str) -> Callable[..., Any]:
    """A callable that looks up ``"module:attribute"`` each time it is called, so importing it costs nothing."""
    module, _, attribute = target.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), attribute)(*args, **kwargs)

    return call


#: The runtime of this process; the agent and the client ask for it where no address was given.
local_runtime = _late("openclaw_nb.runtime:local_runtime")

#: Shows a run as its live view; a Run asks for it when it is the last value of a cell.
show_run = _late("openclaw_nb.widgets.stream:show_run")
