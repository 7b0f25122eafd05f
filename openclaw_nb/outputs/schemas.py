"""JSON schemas that came from elsewhere: which are taken, and whether a text fits one, at a bounded cost.

A schema is checked with the keywords that pydantic writes; others bind nobody. Nothing is fetched, patterns match in
linear time, and where a check takes more than STEPS it says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache, partial
from itertools import islice
from typing import Any

from msgspec.json import encode

from ..errors import one_line
from .answers import bare

__all__ = ["SCHEMA_BYTES", "fits", "refused"]

SCHEMA_BYTES = 65_536
"""Bytes of a schema as JSON."""

DEEPEST = 40  # containers in containers of a schema

STEPS = 50_000
"""Keywords that are applied to the parts of one answer at most: about a second of work, and some 2,000 records."""

_KEYWORDS = (
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "items",
    "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "multipleOf", "oneOf", "prefixItems",
    "properties", "required", "type",
)  # fmt: skip

_NAMING = ("$ref", "$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$vocabulary")
"""By a ``$schema`` the library takes its own checks of that dialect, by an ``$id`` a reference means another place."""

_LIMITS = {
    "const": "must be {}", "exclusiveMaximum": "must be below {}", "exclusiveMinimum": "must be above {}",
    "maxItems": "must have at most {} items", "maxLength": "must have at most {} characters",
    "maximum": "must be at most {}", "minItems": "must have at least {} items", "minimum": "must be at least {}",
    "minLength": "must have at least {} characters", "multipleOf": "must be a multiple of {}",
    "pattern": "must match {}",
}  # fmt: skip

_KINDS = {
    "array": "a list", "boolean": "true or false", "integer": "an integer", "null": "null", "number": "a number",
    "object": "an object", "string": "a text",
}  # fmt: skip


class _Exhausted(Exception):
    """The check took too many steps."""


def refused(schema: object) -> str:
    """Why a schema is not taken, or "": it has to be one of an object, of its size, and to refer to its own parts."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "a schema of an answer has the type object"
    if _depth(schema) > DEEPEST:
        return f"a schema is nested at most {DEEPEST} deep"
    if len(encode(schema)) > SCHEMA_BYTES:
        return f"a schema has at most {SCHEMA_BYTES:,} bytes"
    definitions = schema.get("$defs")
    own = {"#", *(f"#/$defs/{name}" for name in definitions)} if isinstance(definitions, dict) else {"#"}
    for keyword, value in _names(schema):
        if keyword != "$ref":
            return f"a schema does not use {keyword}"
        if value not in own:
            return f"a schema refers to its own $defs only, not to {one_line(value, 80)}"
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped, unused-ignore]

    try:
        Draft202012Validator.check_schema(schema, format_checker=None)
    except SchemaError as error:
        return f"that is no schema: {one_line(error.message, 120)}"
    return ""


def fits(text: str, schema: dict[str, Any]) -> str:
    """What is wrong with an answer that is to be JSON of ``schema``, in one line; "" where it fits."""
    try:
        answer = json.loads(bare(text), parse_constant=_refuse)
    except RecursionError:
        return "it is nested too deep"
    except ValueError as error:
        return f"it is no JSON: {one_line(error, 100)}"
    from jsonschema.exceptions import best_match

    spent = _left.set([STEPS])
    try:
        wrong = best_match(islice(_validator()(schema).iter_errors(answer), 100))
        return "" if wrong is None else _words(wrong)
    except (_Exhausted, RecursionError):
        return "it is too large or too deep to be checked"
    finally:
        _left.reset(spent)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    """How many containers are in one another, up to a few more than are taken."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        level = [item for one in level for item in _inside(one) if isinstance(item, (dict, list))]
        depth += 1
    return depth


def _inside(value: object) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _names(schema: object) -> Iterator[tuple[str, str]]:
    """The keywords by which schemas are named and referred to, with their values."""
    if isinstance(schema, dict):
        yield from ((key, value) for key, value in schema.items() if key in _NAMING and isinstance(value, str))
    for item in _inside(schema):
        yield from _names(item)


# -- the validator -------------------------------------------------------------------------------

_left: ContextVar[list[int]] = ContextVar("left")

Check = Callable[[Any, Any, Any, Any], Any]


@cache
def _validator() -> Callable[[Any], Any]:
    """A validator of those keywords; it has no other schema at hand, and no way to get one."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import create  # type: ignore[import-untyped, unused-ignore]
    from referencing import Registry

    known = Draft202012Validator.VALIDATORS
    checks = {name: _counted(known[name]) for name in _KEYWORDS} | {"pattern": _counted(_pattern)}
    made = create(Draft202012Validator.META_SCHEMA, checks, type_checker=Draft202012Validator.TYPE_CHECKER)
    return partial(made, registry=Registry())


def _counted(check: Check) -> Check:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise _Exhausted
        return check(validator, value, instance, schema)

    return counted


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    """By pydantic's engine, which takes time in proportion to the text: a pattern of Python's may take for ever."""
    from jsonschema import ValidationError

    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(pattern)


def _matches(pattern: str, text: str) -> bool:
    """Whether it does, or the pattern is none of that engine's."""
    from pydantic_core import SchemaError, SchemaValidator, ValidationError
    from pydantic_core.core_schema import str_schema

    try:
        SchemaValidator(str_schema(pattern=pattern)).validate_python(text)
    except ValidationError:
        return False
    except SchemaError:
        return True
    return True


# -- what is wrong, in words ---------------------------------------------------------------------


def _words(error: Any) -> str:
    return one_line(f"{_where(error.absolute_path)} {_what(error)}", 200)


def _where(path: Any) -> str:
    """A place as one would write it in Python: ``cities[0].population``."""
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{one_line(step, 60)}" for step in path)
    return where.removeprefix(".") or "it"


def _what(error: Any) -> str:
    value = error.validator_value
    match error.validator:
        case "type":
            kinds = [value] if isinstance(value, str) else value
            return f"must be {' or '.join(_KINDS.get(kind, kind) for kind in kinds)}"
        case "required":
            return f"lacks {next(one_line(name, 60) for name in value if name not in error.instance)}"
        case "anyOf" | "oneOf" if error.context:
            return " or ".join(dict.fromkeys(map(_what, error.context)))
        case "enum":
            return f"must be one of {', '.join(map(json.dumps, value))}"
        case "additionalProperties" if value is False:
            asked = error.schema.get("properties", {})
            return (
                f"has {next(one_line(name, 60) for name in error.instance if name not in asked)} besides what is asked"
            )
        case str() as keyword if keyword in _LIMITS:
            return _LIMITS[keyword].format(json.dumps(value))
    return f"is wrong: {one_line(error.message, 150)}"
