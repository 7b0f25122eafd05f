"""Tools: plain Python functions that a model may call, described to it by their names, types and docstrings.

What a model wrote as arguments is checked before the function sees it, and what goes wrong is told to the model in one
sentence: a bad argument or a failing function ends no run.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import math
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, get_type_hints

from .errors import ConfigError, one_line
from .prompts.values import render_value
from .redaction import redact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from .models.base import ToolDefinition

__all__ = ["RESULT_LIMIT", "Place", "Tool", "ToolResult", "Toolbox", "in_thread"]

RESULT_LIMIT = 10_000
"""Characters of a result that a model is given; the rest is left out, and the last line says how much that was."""

LONGEST_DESCRIPTION = 4_000

RIGHT = "write `def name(place: str, days: int = 1) -> str:` with a docstring"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of programs that take a notebook for a terminal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what every provider takes


Place = Callable[[str, Callable[[], Any]], Awaitable["ToolResult"]]
"""Where tools are run: given a name and the work, a function or a coroutine function that gives a ToolResult."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a model is told of a call, at most RESULT_LIMIT characters; ``failed`` where the tool did not do it."""

    text: str
    failed: bool = False


class Tool:
    """``function`` as a tool; ``name`` and ``description`` are those of the function and its docstring, or given.

    A plain function is run in a thread of its own, a coroutine function on the event loop. Raises ConfigError, with the
    function and the parameter, for what cannot be a tool: each parameter has a name and a type that JSON can hold.
    """

    def __init__(self, function: Callable[..., Any], *, name: str = "", description: str = "") -> None:
        self.function = function
        self.name = name or _name(function)
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a tool cannot be called {self.name[:64]!r}: letters of a to z, digits and _ up to 64")
        self.description = description or inspect.getdoc(function) or f"{self.name}{_signature(self.name, function)}"
        _ = self.definition  # what cannot be a tool is told at once

    @cached_property
    def definition(self) -> ToolDefinition:
        from .models.base import ToolDefinition

        return ToolDefinition(self.name, self.description[:LONGEST_DESCRIPTION], _schema(self._adapter))

    @cached_property
    def _adapter(self) -> TypeAdapter[dict[str, Any]]:
        return _adapter(_fields(self.name, self.function, _signature(self.name, self.function)))

    def __getstate__(self) -> dict[str, Any]:
        """What it is made of. The process that runs it needs no more, and has no pydantic to import for it."""
        return {"function": self.function, "name": self.name, "description": self.description}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tool):
            return NotImplemented
        return (self.function, self.name, self.description) == (other.function, other.name, other.description)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    async def call(self, arguments: dict[str, Any] | str, place: Place | None = None) -> ToolResult:
        """Run it with what a model wrote as arguments, at ``place`` if one is given. A cancelled call is left alone:
        its thread cannot be stopped, and what it gives is dropped."""
        values = self.check(arguments)
        return values if isinstance(values, ToolResult) else await self.run(values, place)

    def check(self, arguments: dict[str, Any] | str) -> dict[str, Any] | ToolResult:
        """What the function takes, of what a model wrote as arguments; or why it was not called."""
        from pydantic import ValidationError

        if isinstance(arguments, str):
            return ToolResult(f"{self.name} was not called: its arguments have to be one JSON object", failed=True)
        try:
            return self._adapter.validate_python(arguments)
        except ValidationError as error:
            return ToolResult(f"{self.name} was not called: {_wrong(error)}", failed=True)

    async def run(self, values: dict[str, Any], place: Place | None = None) -> ToolResult:
        """The same with values that were checked."""
        if not inspect.iscoroutinefunction(_plain(self.function)):
            return await (place or in_thread)(self.name, partial(self._run, values))
        if place is not None:
            return await place(self.name, partial(self._run_and_show, values))
        value = await self._run_here(values)
        return value if isinstance(value, ToolResult) else await in_thread(self.name, partial(self._shown, value))

    async def _run_and_show(self, values: dict[str, Any]) -> ToolResult:
        value = await self._run_here(values)
        return value if isinstance(value, ToolResult) else self._shown(value)

    async def _run_here(self, values: dict[str, Any]) -> Any:
        """What the coroutine function gives, or how it failed."""
        try:
            return await self.function(**values)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return self._failure(error)
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # the loop it runs on must go on
            return self._failure(error)

    def _run(self, values: dict[str, Any]) -> ToolResult:
        try:
            value = self.function(**values)
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError("it gives a coroutine; write it with `async def`")
            return self._shown(value)
        except BaseException as error:
            return self._failure(error)

    def _shown(self, value: Any) -> ToolResult:
        try:
            return ToolResult(_text(value))
        except Exception as error:
            failure = self._failure(error)
            return ToolResult(f"{failure.text} (it ran, and what it gave cannot be shown)", failed=True)

    def _failure(self, error: BaseException) -> ToolResult:
        try:
            words = one_line(redact(str(error)))
        except Exception:  # its own words are broken as well
            words = ""
        return ToolResult(f"{self.name} failed: {type(error).__name__}{f': {words}' if words else ''}", failed=True)


class Toolbox:
    """The tools of one agent, by name. Takes Tools and functions; raises ConfigError as `Tool` does."""

    _place: Place | None = None

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for one in tools:
            tool = one if isinstance(one, Tool) else Tool(one)
            if self._tools.setdefault(tool.name, tool) != tool:
                raise ConfigError(f"two tools are called {tool.name}; give one another name with Tool(f, name=…)")
        self.definitions = tuple(tool.definition for tool in self._tools.values())

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Toolbox) and self._tools == other._tools

    def __hash__(self) -> int:
        return hash(tuple(self._tools))

    def __repr__(self) -> str:
        return f"<Toolbox {', '.join(self._tools)}>"

    def at(self, place: Place | None) -> Toolbox:
        """The same tools, run there; None leaves each call a thread of its own."""
        if place is self._place:
            return self
        there = copy(self)
        there._place = place
        return there

    async def call(self, name: str, arguments: dict[str, Any] | str) -> ToolResult:
        """Run the tool of this name, as `Tool.call` does."""
        if (tool := self._tools.get(name)) is not None:
            return await tool.call(arguments, self._place)
        there = ", ".join(self._tools) or "none"
        return ToolResult(f"there is no tool {one_line(name, 64)!r}; the tools are: {there}", failed=True)


# -- from a function to a definition -------------------------------------------------------------


def _name(function: Any) -> str:
    kind = type(function).__name__
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"a tool is a function, not {one_line(repr(function), 60)}; {RIGHT}")
    name = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        what = "a lambda" if name else f"an object of {kind}"
        raise ConfigError(f"{what} has no name that a model could call it by; {RIGHT}, or Tool(f, name=…)")
    return str(name)


def _signature(name: str, function: Callable[..., Any]) -> inspect.Signature:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"{name} cannot be a tool: it yields, and a tool returns one value")
    try:
        return inspect.signature(function)
    except NameError as error:  # from 3.14 on types are looked up here
        raise ConfigError(f"{name} cannot be a tool: its types cannot be read ({one_line(error, 100)})") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{name} cannot be a tool: Python knows no signature of it; {RIGHT}") from None


def _fields(name: str, function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    """The parameters by name, each with its type, and its default where JSON can hold it."""
    written = {word: one.annotation for word, one in signature.parameters.items() if one.annotation is not one.empty}
    parameters = SimpleNamespace(__annotations__=written)  # what a function returns may be of any type
    try:
        hints = get_type_hints(
            parameters, getattr(inspect.unwrap(_plain(function)), "__globals__", {}), include_extras=True
        )
    except Exception as error:
        raise ConfigError(f"{name} cannot be a tool: its types cannot be read ({one_line(error, 100)})") from None
    return {word: _field(name, parameter, hints) for word, parameter in signature.parameters.items()}


def _plain(function: Any) -> Any:
    """The function that Python runs where this is called."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _field(name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    from pydantic import Field, TypeAdapter

    what = f"{name} cannot be a tool: its parameter {parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ConfigError(f"{what} is {parameter.kind.description}, and a model gives each value by its name; {RIGHT}")
    if parameter.name not in hints:
        raise ConfigError(f"{what} has no type; write {parameter.name}: str, or what it is")
    hint = hints[parameter.name]
    try:
        TypeAdapter(hint).json_schema()
    except Exception:  # whatever a library's own types raise
        kind = getattr(hint, "__name__", hint)
        raise ConfigError(f"{what} is {kind}, which a model cannot write as JSON") from None
    if parameter.default is parameter.empty:
        return Required[hint]
    return NotRequired[Annotated[hint, Field(json_schema_extra=_default(parameter.default))]]


def _default(value: Any) -> dict[str, Any]:
    told = isinstance(value, str | int | bool | None) or (isinstance(value, float) and math.isfinite(value))
    return {"default": value} if told else {}


def _adapter(fields: dict[str, Any]) -> TypeAdapter[dict[str, Any]]:
    from pydantic import ConfigDict, TypeAdapter
    from typing_extensions import TypedDict

    make: Any = TypedDict  # type checkers take no names that are known at run time only
    arguments = make("arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(arguments)


def _schema(adapter: TypeAdapter[dict[str, Any]]) -> dict[str, Any]:
    schema = adapter.json_schema()
    schema.pop("title", None)
    for parameter in schema["properties"].values():
        parameter.pop("title", None)
    return schema


# -- a call --------------------------------------------------------------------------------------


def _wrong(error: Any) -> str:
    """What is wrong with arguments, in one line that repeats none of them."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return one_line("; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in found))


async def in_thread(name: str, work: Callable[[], ToolResult]) -> ToolResult:
    """What ``work``, which never raises, gives. A thread of its own: one that hangs holds up neither the threads that
    all share nor the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[ToolResult] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: ToolResult) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = context.run(work)
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name=f"openclaw tool {name}", daemon=True).start()
    return await done


def _text(value: Any) -> str:
    """A result as a model is given it: text as it is, plain data as JSON, all else as a prompt would show it."""
    text: str | None = value if isinstance(value, str) else _json(value)
    if text is None or (len(text) > RESULT_LIMIT and not isinstance(value, str)):
        text = render_value(value)[1]
    text = redact(_COLOUR.sub("", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))
    if len(text) <= RESULT_LIMIT:
        return text
    room = RESULT_LIMIT - 40
    return f"{text[:room]}\n… {len(text) - room:,} more characters"


def _json(value: Any) -> str | None:
    if not isinstance(value, dict | list | tuple | int | float | bool | None):
        return None
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None
