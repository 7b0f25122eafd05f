"""The public names, each imported when first asked for, and the hooks of `%load_ext openclaw_nb`."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .agent import OpenClawAgent
    from .client import OpenClawClient
    from .config import ClusterConfig
    from .errors import (
        AuthError,
        BudgetReached,
        ConfigError,
        ConnectionLost,
        DeadlockError,
        ModelError,
        OpenClawError,
        ProtocolError,
        RequestError,
        RunError,
        RunTimeout,
        SnapshotError,
        TaskTimeout,
    )
    from .gateway import Gateway
    from .node import offer
    from .outlook import AdaptiveCostEstimator
    from .pool import PoolResult, PoolRun, Role, ThreadPool, role
    from .reasoning.budgets import Budget
    from .reasoning.levels import ReasoningLevel
    from .reasoning.predictor import ReasoningLevelPredictor
    from .run import Result, Run
    from .runtime import Runtime
    from .secret import Secret
    from .snapshots import SnapshotStore
    from .tools import Tool
    from .widgets.lanes import LanesView
    from .widgets.level import LevelPicker
    from .widgets.pool import PoolPicker
    from .widgets.stream import StreamView
    from .widgets.timeline import SnapshotTimeline

__all__ = [
    "AdaptiveCostEstimator",
    "AuthError",
    "Budget",
    "BudgetReached",
    "ClusterConfig",
    "ConfigError",
    "ConnectionLost",
    "DeadlockError",
    "Gateway",
    "LanesView",
    "LevelPicker",
    "ModelError",
    "OpenClawAgent",
    "OpenClawClient",
    "OpenClawError",
    "PoolPicker",
    "PoolResult",
    "PoolRun",
    "ProtocolError",
    "ReasoningLevel",
    "ReasoningLevelPredictor",
    "RequestError",
    "Result",
    "Role",
    "Run",
    "RunError",
    "RunTimeout",
    "Runtime",
    "Secret",
    "SnapshotError",
    "SnapshotStore",
    "SnapshotTimeline",
    "StreamView",
    "TaskTimeout",
    "ThreadPool",
    "Tool",
    "__version__",
    "load_ipython_extension",
    "offer",
    "role",
    "unload_ipython_extension",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # what to show of the log is the user's choice

_HOMES = {
    "AdaptiveCostEstimator": "outlook",
    "AuthError": "errors",
    "Budget": "reasoning.budgets",
    "BudgetReached": "errors",
    "ClusterConfig": "config",
    "ConfigError": "errors",
    "ConnectionLost": "errors",
    "DeadlockError": "errors",
    "Gateway": "gateway",
    "LanesView": "widgets.lanes",
    "LevelPicker": "widgets.level",
    "ModelError": "errors",
    "OpenClawAgent": "agent",
    "OpenClawClient": "client",
    "OpenClawError": "errors",
    "PoolPicker": "widgets.pool",
    "PoolResult": "pool",
    "PoolRun": "pool",
    "ProtocolError": "errors",
    "ReasoningLevel": "reasoning.levels",
    "ReasoningLevelPredictor": "reasoning.predictor",
    "RequestError": "errors",
    "Result": "run",
    "Role": "pool",
    "Run": "run",
    "RunError": "errors",
    "RunTimeout": "errors",
    "Runtime": "runtime",
    "Secret": "secret",
    "SnapshotError": "errors",
    "SnapshotStore": "snapshots",
    "SnapshotTimeline": "widgets.timeline",
    "StreamView": "widgets.stream",
    "TaskTimeout": "errors",
    "ThreadPool": "pool",
    "Tool": "tools",
    "offer": "node",
    "role": "pool",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext openclaw_nb` calls."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext openclaw_nb` calls."""
    from .magics import unload

    unload(shell)
