"""Parcels: the call of a tool, pickled for the process that is to make it.

Functions of the notebook go by value, those of modules by name, as cloudpickle does it.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from ..errors import ConfigError, one_line
from ..redaction import redact
from ..tools import Tool

__all__ = ["LARGEST", "Packer", "what_stops"]

LARGEST = 256 * 1024 * 1024
"""Bytes of a parcel at most."""


class Packer:
    """The parcels for one process, which keeps the Tools it has been sent: each goes there once.

    What functions have as globals is one namespace there too. A name in it is set when the first function that uses it
    is sent, and again with a later one where the notebook has bound it anew by then.
    """

    def __init__(self) -> None:
        self._keeper = _Keeper()
        self._numbers: dict[Tool, int] = {}
        self._unsent: list[bytes] = []

    def pack(self, work: Callable[[], Any]) -> list[bytes]:
        """The Tools that the process does not have yet, and the call; ConfigError, naming it, for what cannot go."""
        try:
            call = _Call(self._number)
            call.dump(work)
        except Exception as error:  # whatever the objects of a notebook raise
            raise ConfigError(_why(work, error)) from None
        sent, self._unsent = [*self._unsent, call.file.getvalue()], []
        return sent

    def _number(self, tool: Tool) -> int:
        if tool not in self._numbers:
            self._unsent.append(self._keeper.pickled(tool))
            self._numbers[tool] = len(self._numbers)
        return self._numbers[tool]


class _File(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > LARGEST:
            raise ConfigError(f"it is more than {LARGEST >> 20} MiB")
        return super().write(data)


class _Call(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one call, with the numbers of Tools in their place."""

    def __init__(self, number: Callable[[Tool], int]) -> None:
        self.file = _File()
        super().__init__(self.file)
        self._number = number

    def persistent_id(self, value: object) -> int | None:
        return self._number(value) if isinstance(value, Tool) else None


class _Keeper(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one Tool after the other, and what two have in common once: whoever loads them remembers it as well."""

    def __init__(self) -> None:
        self._file = _File()
        super().__init__(self._file)
        self._names: dict[int, dict[str, Any]] = {}
        self._main: dict[str, Any] | None = None
        self.memo: Any

    def persistent_id(self, value: object) -> str | None:
        return "__main__" if value is self._main and self._main is not None else None

    def pickled(self, tool: Tool) -> bytes:
        memo = self.memo.copy()
        names = {space: dict(bound) for space, bound in self._names.items()}
        self._file.seek(0)
        self._file.truncate()
        try:
            self.dump(tool)
        except BaseException:  # what was pickled up to here never arrives
            self.memo, self._names = memo, names
            raise
        return self._file.getvalue()

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)
        match reduced:
            case (_, (_, dict(space), *_), (_, {"__globals__": used} as slots), *_) if isinstance(value, FunctionType):
                if value.__globals__ is vars(sys.modules["__main__"]):
                    self._main = space
                bound = self._names.setdefault(id(value.__globals__), {})
                slots["__globals__"] = {name: it for name, it in used.items() if bound.get(name, bound) is not it}
                bound |= used
        return reduced


# -- what cannot go ------------------------------------------------------------------------------


def _why(work: Callable[[], Any], error: Exception) -> str:
    tool = getattr(work.func if isinstance(work, partial) else work, "__self__", None)
    what = (what_stops(tool.function) if isinstance(tool, Tool) else "") or "what it uses"
    return f"{what} cannot be sent to its process: {redact(one_line(error, 150))}; make it inside the function"


def what_stops(function: Any) -> str:
    """The name, and the kind, of what a function uses and what cannot be pickled; "" where none is found."""
    name, value = _culprit(function, set())
    kind = type(value)
    return f"{name} ({kind.__module__}.{kind.__qualname__})".replace("(builtins.", "(") if name else ""


def _culprit(function: Any, seen: set[int]) -> tuple[str, Any]:
    """The name and the value of what a function uses and what cannot be pickled, "" where none is found."""
    while isinstance(function, partial | MethodType):
        if isinstance(function, MethodType) and not _goes(function.__self__):
            return "self", function.__self__
        function = function.func if isinstance(function, partial) else function.__func__
    if not isinstance(function, FunctionType) or id(function) in seen:
        return "", None
    seen.add(id(function))
    used = inspect.getclosurevars(function)
    for name, value in {**used.globals, **used.nonlocals}.items():
        if not _goes(value):
            inner = _culprit(value, seen)
            return inner if inner[0] else (name, value)
    return "", None


def _goes(value: Any) -> bool:
    try:
        cloudpickle.Pickler(_File()).dump(value)
    except Exception:
        return False
    return True
