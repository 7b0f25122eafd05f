"""offer, the decorator for functions of the notebook that the assistant of a real gateway may call."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from ..errors import ConfigError
from ..tools import Tool

__all__ = ["Offered", "Offers", "offer"]

TIMEOUT = 30.0
"""Seconds that a function may take, where nothing else is said."""

MOST = 128
"""Functions at most: of more, a gateway leaves some out without a word."""

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # gateways take no other


@dataclass(frozen=True)
class Offered:
    """A function on offer: it may take ``timeout`` seconds, and each call is asked for unless ``approve`` is False.

    ``context`` is that of the cell that offers it, where it is said how that went.
    """

    tool: Tool
    timeout: float
    approve: bool
    context: Context = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.tool.name


class Offers:
    """What this notebook offers, by name.

    ``@offer``, or ``@offer(timeout=30, name="", approve=True)``, over a function with typed parameters and a docstring
    lets the assistant of the real gateways that this kernel is connected to call it; each call waits for a click in the
    cell first, unless ``approve`` is False. A function offered again under a name takes the place of that before.
    ConfigError for what cannot be called with JSON, as with `Tool`. ``offer.withdraw(f)`` ends it, ``offer.withdraw()``
    that of all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offered: dict[str, Offered] = {}
        self._listeners: list[Callable[[], None]] = []

    @overload
    def __call__(self, function: F, /) -> F: ...
    @overload
    def __call__(self, /, *, timeout: float = ..., name: str = ..., approve: bool = ...) -> Callable[[F], F]: ...
    def __call__(
        self, function: F | None = None, /, *, timeout: float = TIMEOUT, name: str = "", approve: bool = True
    ) -> F | Callable[[F], F]:
        """Offer a function. ``timeout`` in seconds; ``name`` is the one that the assistant knows it by."""
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise ConfigError(f"a timeout is a number of seconds above 0, not {timeout!r}")
        if not isinstance(approve, bool):
            raise ConfigError(f"approve is True or False, not {approve!r}")

        def add(function: F) -> F:
            self._add(Offered(Tool(function, name=name), float(timeout), approve, copy_context()))
            return function

        return add if function is None else add(function)

    def __repr__(self) -> str:
        return f"<offer: {', '.join(one.name for one in self.all) or 'nothing'}>"

    @property
    def all(self) -> Sequence[Offered]:
        """What is on offer, in the order it was offered in."""
        with self._lock:
            return tuple(self._offered.values())

    def find(self, name: str) -> Offered | None:
        return self._offered.get(name)

    def withdraw(self, function: Callable[..., Any] | str | None = None) -> None:
        """Offer it no longer: a function or its name; None is all of them. ConfigError for what is not on offer."""
        with self._lock:
            names = [
                name for name, one in self._offered.items() if function is None or function in (name, one.tool.function)
            ]
            if not names and function is not None:
                there = ", ".join(self._offered) or "nothing"
                raise ConfigError(f"{getattr(function, '__name__', function)!r} is not on offer; what is: {there}")
            for name in names:
                del self._offered[name]
        self._tell()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever something is offered or withdrawn, on the thread of who does that."""
        with self._lock:
            self._listeners.append(listener)

    def _add(self, offered: Offered) -> None:
        if not _NAME.fullmatch(offered.name):
            raise ConfigError(
                f"{offered.name!r} cannot be offered: gateways take names that begin with a letter; name= it"
            )
        with self._lock:
            if len(self._offered) >= MOST and offered.name not in self._offered:
                raise ConfigError(f"{MOST} functions are on offer already; offer.withdraw(f) makes room")
            self._offered[offered.name] = offered
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


offer = Offers()
