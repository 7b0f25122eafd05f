"""FunctionModel: bring your own model, an async generator function from a prompt to pieces of text."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from functools import partial
from typing import Any

from ..errors import ConfigError, ModelError, OpenClawError
from ..events import Usage
from ..reasoning.costs import Priced, read_prices
from ..redaction import redact
from .base import ModelEvent, ModelRequest, TextDelta

__all__ = ["FunctionModel"]

RIGHT = "write `async def mine(prompt): … yield text`"
LONGEST_REASON = 200
"""Characters of the function's own error that are passed on."""


class FunctionModel:
    """A function ``(prompt: str) -> AsyncIterator[str]`` as a Model; it is given the last message's text.

    Raises ConfigError for what cannot be such a function. Whatever ends the stream closes the function's
    iterator, so its ``finally`` runs; its own errors become a ModelError with the error as ``__cause__``. Where the
    function has ``prices``, USD per million tokens asked and made, runs of it cost so much (see `Priced`).
    """

    def __init__(self, function: Callable[[str], AsyncIterator[str]]) -> None:
        self.name = _name(function)
        if reason := _unfit(function):
            raise ConfigError(f"{self.name} cannot be a model: it is {reason}; {RIGHT}")
        self.function = function
        stated: object = function
        if isinstance(stated, Priced):
            self.prices = read_prices(stated.prices, self.name)

    def __repr__(self) -> str:
        return f"FunctionModel({self.name})"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """One TextDelta for each piece that is not empty and, last, the count of them as an estimated Usage."""
        count = 0
        try:
            pieces = self._call(request.prompt)
            try:
                async for piece in pieces:
                    if not isinstance(piece, str):
                        raise ModelError(f"{self.name}() yielded {_kind(piece)}, and a model yields text (str)")
                    if piece:
                        count += 1
                        yield TextDelta(piece)
            finally:
                # One that is left in mid-loop is closed some day by the garbage collector; its `finally` must run now.
                if (close := getattr(pieces, "aclose", None)) is not None:
                    await close()
        except OpenClawError:
            raise
        except Exception as error:
            raise ModelError(f"{self.name}() raised {_said(error)}") from error
        yield Usage(len(request.prompt) // 4, count, estimated=True)

    def _call(self, prompt: str) -> AsyncIterator[str]:
        pieces: Any = self.function(prompt)
        if isinstance(pieces, AsyncIterable):
            return aiter(pieces)
        if inspect.iscoroutine(pieces):
            pieces.close()
        raise ModelError(f"{self.name}() returned {_kind(pieces)} and not an async iterator; {RIGHT}")


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _unfit(function: Any) -> str:
    """Why this is no function to wrap, or "" where only calling it can tell."""
    if not callable(function):
        return f"{_kind(function)}, which cannot be called"
    if inspect.isclass(function):
        return "a class"
    call = function if inspect.isroutine(function) or isinstance(function, partial) else type(function).__call__
    if inspect.iscoroutinefunction(call):
        return "a coroutine function, which gives one value at its end"
    if inspect.isgeneratorfunction(call):
        return "a plain generator, which would hold up the event loop"
    return ""


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _said(error: Exception) -> str:
    try:
        words: str = redact(" ".join(f"{type(error).__name__}: {error}".split())).removesuffix(":")
    except Exception:  # its own words are broken as well
        words = type(error).__name__
    return words if len(words) <= LONGEST_REASON else words[: LONGEST_REASON - 1] + "…"
