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
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, get_type_hints

from .errors import ConfigError, one_line
from .models.base import ToolDefinition
from .prompts.values import render_value
from .redaction import redact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["RESULT_LIMIT", "Tool", "ToolResult", "Toolbox"]

RESULT_LIMIT = 10_000
"""Characters of a result that a model is given; the rest is left out, and the last line says how much that was."""

LONGEST_DESCRIPTION = 4_000

RIGHT = "write `def name(place: str, days: int = 1) -> str:` with a docstring"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what every provider takes


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
        signature = _signature(self.name, function)
        self.description = description or inspect.getdoc(function) or f"{self.name}{signature}"
        self._adapter = _adapter(_fields(self.name, function, signature))
        told = self.description[:LONGEST_DESCRIPTION]
        self.definition = ToolDefinition(self.name, told, _schema(self._adapter))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tool):
            return NotImplemented
        return (self.function, self.name, self.description) == (other.function, other.name, other.description)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    async def call(self, arguments: dict[str, Any] | str) -> ToolResult:
        """Run it with what a model wrote as arguments. A cancelled call is left alone: its thread cannot be stopped,
        and what it gives is dropped."""
        from pydantic import ValidationError

        if isinstance(arguments, str):
            return ToolResult(f"{self.name} was not called: its arguments have to be one JSON object", failed=True)
        try:
            values = self._adapter.validate_python(arguments)
        except ValidationError as error:
            return ToolResult(f"{self.name} was not called: {_wrong(error)}", failed=True)
        if not inspect.iscoroutinefunction(_plain(self.function)):
            return await _in_thread(self.name, partial(self._run, values))
        try:
            value = await self.function(**values)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return self._failure(error)
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # the loop it runs on must go on
            return self._failure(error)
        return await _in_thread(self.name, partial(self._shown, value))

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

    async def call(self, name: str, arguments: dict[str, Any] | str) -> ToolResult:
        """Run the tool of this name, as `Tool.call` does."""
        if (tool := self._tools.get(name)) is not None:
            return await tool.call(arguments)
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


async def _in_thread(name: str, work: Callable[[], ToolResult]) -> ToolResult:
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
    text = redact(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
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
