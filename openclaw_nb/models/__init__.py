"""Models by name: `resolve` makes a Model of what a user wrote, importing only what that one needs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .base import Model

if TYPE_CHECKING:
    from .question import Workspace

__all__ = ["resolve"]


def resolve(spec: object, *, workspace: Workspace | None = None, namespace: Mapping[str, Any] | None = None) -> Model:
    """The Model that ``spec`` means; ConfigError says in one sentence what is wrong with it.

    ``spec`` is a Model, a function ``(prompt) -> AsyncIterator[str]`` or a name: ``offline``, ``offline:RATE``,
    ``tape:FILE``, ``provider:model`` of pydantic-ai, or what a model or such a function is called in ``namespace``.
    ``workspace`` is what the offline model may look at.
    Nothing is asked over the network, and no key in the environment chooses a model by itself.
    """
    if isinstance(spec, str):
        return _by_name(spec.strip(), workspace, namespace or {})
    if isinstance(spec, type):
        raise ConfigError(f"{spec.__name__} is a class; give one of its objects as a model: {spec.__name__}(…)")
    if isinstance(spec, Model):
        return spec
    if callable(spec):
        from .function import FunctionModel

        return FunctionModel(spec)
    from .catalog import EXAMPLES

    raise ConfigError(
        f"a model is a name, a Model or an async generator function, not {type(spec).__name__}; names are {EXAMPLES}"
    )


def _by_name(name: str, workspace: Workspace | None, namespace: Mapping[str, Any]) -> Model:
    kind, colon, rest = name.partition(":")
    if kind == "offline":
        from .offline import OfflineModel

        return OfflineModel.parse(name, workspace)
    if kind == "tape" and colon:
        return _tape(rest)
    from .catalog import PROVIDERS

    if colon and kind in PROVIDERS:
        from .providers import ProviderModel

        return ProviderModel(name)
    if name in namespace:
        return _in_notebook(name, namespace[name])
    raise ConfigError(_unknown(name, namespace))


def _tape(path: str) -> Model:
    from .tape import TapeModel

    if not path:
        raise ConfigError("tape: needs the file it plays, as in tape:answers.jsonl")
    return TapeModel(path)


def _in_notebook(name: str, value: Any) -> Model:
    if isinstance(value, Model) and not isinstance(value, type):
        return value
    if inspect.isasyncgenfunction(value):
        from .function import FunctionModel

        return FunctionModel(value)
    raise ConfigError(
        f"{name} in this notebook is {type(value).__name__} and no model; "
        f"write it as `async def {name}(prompt): … yield text`"
    )


def _unknown(name: str, namespace: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    from .catalog import EXAMPLES, nearest_name

    shown = repr(name if len(name) <= 60 else name[:59] + "…")
    own = [known for known, value in namespace.items() if inspect.isasyncgenfunction(value)]
    near = next(iter(get_close_matches(name, own, 1)), None) or nearest_name(name)
    meant = f" (did you mean {near}?)" if near else ""
    return f"there is no model {shown}{meant}; names are {EXAMPLES}, or a function of your notebook"
