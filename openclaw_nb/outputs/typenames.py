"""Type names: the type that a text such as ``list[City]`` names in the notebook, without running any of it."""

from __future__ import annotations

import ast
import operator
import typing
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import EnumMeta
from types import ModuleType
from typing import Any

from ..errors import ConfigError, one_line

__all__ = ["fitting", "type_of"]

LONGEST = 200
"""Characters of such a text."""

BUILTINS = {kind.__name__: kind for kind in (bool, dict, float, frozenset, int, list, set, str, tuple)}

_TYPING = ("Any", "Dict", "List", "Literal", "Optional", "Tuple", "Union")
_MADE_IN = ("types", "typing", "typing_extensions")
"""Where the types of ``list[int]``, ``int | None``, ``Literal["x"]`` and aliases are from, which are no classes."""


def type_of(text: str, namespace: Mapping[str, object]) -> Any:
    """The type: classes of ``namespace`` and built-in ones, ``A[B, C]``, ``A | B``, ``Literal["x", 1]``.

    ConfigError for anything else: names are looked up, and nothing is called or evaluated.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"a type is named in at most {LONGEST} characters, and this has {len(text):,}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{one_line(text, 80)!r} names no type; write City, list[City] or City | None") from None
    try:
        return _type(tree, namespace)
    except (TypeError, LookupError) as error:  # of list[int, int], or a class that is subscripted by something else
        raise ConfigError(f"{one_line(text, 80)} is no type: {one_line(error, 100)}") from None


def fitting(namespace: Mapping[str, object]) -> Iterator[str]:
    """The names of those classes of the notebook that say what fields or values they have."""
    for name, value in namespace.items():
        if isinstance(value, type) and not name.startswith("_") and _has_fields(value):
            yield name


def _has_fields(kind: type) -> bool:
    if isinstance(kind, EnumMeta):
        return bool(len(kind))
    known = ("__dataclass_fields__", "__pydantic_fields__", "__required_keys__", "__optional_keys__")
    return any(vars(kind).get(name) for name in known)


def _type(node: ast.expr, names: Mapping[str, object]) -> Any:
    match node:
        case ast.Name(name):
            return _named(name, names)
        case ast.Constant(None):
            return None
        case ast.Attribute(ast.Name(module), name) if not name.startswith("_"):
            return _member(module, name, names)
        case ast.BinOp(left, ast.BitOr(), right):
            return operator.or_(_type(left, names), _type(right, names))
        case ast.Subscript(kind, inside):
            return _subscripted(_type(kind, names), inside, names)
    raise ConfigError(f"{one_line(ast.unparse(node), 80)} names no type; write City, list[City] or City | None")


def _named(name: str, names: Mapping[str, object]) -> Any:
    if name in names:
        return _checked(name, names[name])
    if name in BUILTINS:
        return BUILTINS[name]
    if name in _TYPING:
        return getattr(typing, name)
    near = get_close_matches(name, [*fitting(names), *BUILTINS], 1)
    raise ConfigError(f"there is no type {name}{f'; did you mean {near[0]}?' if near else ''}")


def _member(module: str, name: str, names: Mapping[str, object]) -> Any:
    """What stands in a module; of anything else to read an attribute may run code."""
    owner = names.get(module)
    if not isinstance(owner, ModuleType):
        raise ConfigError(f"{module} is no module, so there is no type {module}.{name}")
    return _checked(f"{module}.{name}", vars(owner).get(name))


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, type) or type(value).__module__ in _MADE_IN:
        return value
    raise ConfigError(f"{name} is no type but {one_line(type(value).__name__, 80)}")


def _subscripted(kind: Any, inside: ast.expr, names: Mapping[str, object]) -> Any:
    parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if kind is typing.Literal:
        given = tuple(_literal(part, names) for part in parts)
    else:
        given = tuple(... if _is_ellipsis(part) else _type(part, names) for part in parts)
    return kind[given[0] if len(given) == 1 else given]


def _literal(node: ast.expr, names: Mapping[str, object]) -> Any:
    """One value of a Literal, the only place where a text is no type that would be evaluated."""
    match node:
        case ast.Constant(None | bool() | int() | str() as value):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() as value)):
            return -value
    raise ConfigError(
        f"a Literal holds texts, whole numbers, True, False or None, not {one_line(ast.unparse(node), 60)}"
    )


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
