"""Structured answers: a type of the notebook as what a model is asked for, and its answer as a value of that type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RequestError, RunError, one_line
from .answers import bare
from .schemas import fits, refused

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Expected", "check"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # as OpenAI has it
_MODULES = re.compile(r"(?:[^\W\d]\w*\.|<locals>\.)+")


class Expected:
    """What an answer is to be: a value of ``kind``, which may be anything that pydantic can read from JSON.

    ``output`` is what a gateway is told, ``name`` and ``schema``: that of an object, so that any other kind is the one
    field ``result`` of it.
    ConfigError for what JSON cannot hold, and for a type whose schema is too large.
    """

    def __init__(self, kind: Any) -> None:
        self.name = _name(kind)
        adapter, schema = _schema(self.name, kind)
        self._wrapped = schema.get("type") != "object"
        if self._wrapped:
            adapter, schema = _schema(self.name, _wrapper(kind))
        if why := refused(schema):
            raise ConfigError(f"{self.name} cannot be asked for: {why}")
        self._adapter = adapter
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", self.name).strip("_")[:64] or "answer"
        self.output: dict[str, Any] = {"name": name, "schema": schema}

    def __repr__(self) -> str:
        return f"<Expected {self.name}>"

    @property
    def wishes(self) -> dict[str, Any]:
        """It as options of `OpenClawClient.send`."""
        return {"output": self.output, "read": self.read}

    def read(self, text: str) -> Any:
        """The value that an answer is; RunError, code OUTPUT, where it is none."""
        from pydantic import ValidationError

        try:
            value = self._adapter.validate_json(bare(text))
        except ValidationError as error:
            wrong = fits(text, self.output["schema"]) or _wrong(error)
        except BaseException as error:  # a class may check its fields as it likes, and must not end the thread
            wrong = f"{type(error).__name__}: {one_line(error, 150)}"
        else:
            return value["result"] if self._wrapped else value
        raise RunError(f"the answer does not fit {self.name}: {wrong}", code="OUTPUT")


def check(name: str, schema: dict[str, Any]) -> None:
    """RequestError for a name or a schema of a client that is not taken (see `schemas.refused`)."""
    if not _NAME.fullmatch(name):
        raise RequestError(f"output: a name has 1 to 64 letters, digits, _ and -, unlike {one_line(name, 80)!r}")
    if why := refused(schema):
        raise RequestError(f"output: {why}")


def _name(kind: Any) -> str:
    """A type as one writes it: City, list[City], City | None."""
    written = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return one_line(_MODULES.sub("", written), 80)


def _wrapper(kind: Any) -> Any:
    from pydantic import ConfigDict
    from typing_extensions import TypedDict

    make: Any = TypedDict  # type checkers take no types that are known at run time only
    wrapper = make("answer", {"result": kind})
    wrapper.__pydantic_config__ = ConfigDict(extra="forbid")
    return wrapper


def _schema(name: str, kind: Any) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    """How a type is read, and its schema, of which the root is written out."""
    from pydantic import TypeAdapter

    try:
        adapter = TypeAdapter(kind)
        schema = adapter.json_schema()
    except Exception as error:  # whatever a class of somebody's own raises
        raise ConfigError(f"{name} cannot be asked for, JSON cannot hold it: {_first(error)}") from None
    definitions = schema.get("$defs", {})
    root = definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"))
    return adapter, schema if root is None else {**root, "$defs": definitions}


def _first(error: Exception) -> str:
    return one_line(str(error).partition("\n")[0] or type(error).__name__, 160)


def _wrong(error: Any) -> str:
    """The first that is wrong, in one line that repeats none of the answer."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return one_line(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}", 200)
