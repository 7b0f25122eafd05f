"""Order, what travels to a worker: the request, the tools, and the model, pickled.

A model of this package goes by its name, which is resolved at the worker, with the keys of its environment; the user's
own goes by value. No key, token or other secret that this process knows of goes along.
"""

from __future__ import annotations

import pickle
import platform
from dataclasses import dataclass
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from ..errors import ConfigError, one_line
from ..models.base import Model, ModelRequest
from ..models.function import FunctionModel
from ..pool.parcels import what_stops
from ..reasoning.costs import Tariff
from ..redaction import redact, secret_in
from ..tools import Tool

__all__ = ["PYTHON", "Order", "pack", "travels", "unpack"]

PYTHON = ".".join(platform.python_version_tuple()[:2])
"""What both sides need in common, as functions travel in the code of one version."""


@dataclass(frozen=True)
class Order:
    """A turn to be answered: ``budget`` in USD, ``process`` where its tools run in a process of their own."""

    run_id: str
    model: Model | str
    request: ModelRequest
    tools: tuple[Tool, ...]
    tariff: Tariff
    budget: float | None
    process: bool


def pack(order: Order) -> bytes:
    """The order, pickled. ConfigError, naming it, for what cannot travel, and for what has a secret in it."""
    parts = {"its model": order.model, **{tool.name: tool.function for tool in order.tools}}
    try:
        data: bytes = cloudpickle.dumps(order)
    except Exception as error:  # whatever the objects of a notebook raise
        raise ConfigError(_why(parts, error)) from None
    if name := secret_in(data):
        whose = next((part for part, value in parts.items() if secret_in(cloudpickle.dumps(value))), "what it is told")
        raise ConfigError(f"{whose} has the value of {name} in it, which stays here; have it looked up at the worker")
    return data


def unpack(data: bytes) -> Order:
    """The order, at a worker. Raises whatever its loading does, such as ModuleNotFoundError."""
    order: Order = pickle.loads(data)  # noqa: S301 - of the client whose task this is
    return order


def travels(model: Model) -> Model | str:
    """How a model does: by its name where that means the same to every process, or else by value."""
    ours = type(model).__module__.startswith(f"{__package__.partition('.')[0]}.models.")
    return model.name if ours and not isinstance(model, FunctionModel) else model


def _why(parts: dict[str, Any], error: Exception) -> str:
    functions = (value.function if isinstance(value, FunctionModel) else value for value in parts.values())
    what = next(filter(None, map(what_stops, functions)), "") or " or ".join(parts)
    return f"{what} cannot be sent to a worker: {redact(one_line(error, 150))}; make it inside the function"
