"""The places where a lower floor asks a higher one, bound by name at the moment of the call."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["attend", "configured", "local_runtime", "show_pool", "show_run"]


def _late(target: str) -> Callable[..., Any]:
    """A callable that looks up ``"module:attribute"`` each time it is called, so importing it costs nothing."""
    module, _, attribute = target.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), attribute)(*args, **kwargs)

    return call


#: What is configured for this process; the client asks for it where a cluster is named.
configured = _late("openclaw_nb.runtime:configured")

#: The runtime of this process; the agent and the client ask for it where no address was given.
local_runtime = _late("openclaw_nb.runtime:local_runtime")

#: Shows a run as its live view; a Run asks for it when it is the last value of a cell.
show_run = _late("openclaw_nb.widgets.stream:show_run")

#: The same of a PoolRun.
show_pool = _late("openclaw_nb.widgets.lanes:show_pool")

#: Makes this kernel a node of a real gateway, where functions are on offer; a client tells its hello.
attend = _late("openclaw_nb.node.node:attend")
