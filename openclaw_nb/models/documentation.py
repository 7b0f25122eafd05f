"""Signature and documentation of an object of the notebook, found by its dotted name and never called."""

from __future__ import annotations

import builtins
import difflib
import inspect
import re
import sys
import types
from contextlib import suppress
from typing import Any

from ..prompts import fence_for
from .question import Question

__all__ = ["answer", "document", "find"]

LONGEST_SIGNATURE = 600  # characters
DOC_LINES = 40
DOC_CHARACTERS = 3_000

_NOWHERE = object()


def answer(match: re.Match[str], question: Question) -> str | None:
    """The documentation of the object that a sentence names; None where it names none that is at hand."""
    path = match["name"].strip("`")
    root, _, rest = path.partition(".")
    if any(data.name.partition(".")[0].partition("[")[0] == root for data in question.data):
        return None
    value = _root(root, question)
    if value is _NOWHERE:
        return None
    try:
        return document(path, find(value, rest))
    except LookupError as error:
        owner, name, known = error.args
        near = difflib.get_close_matches(name, known, 1, 0.75)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        return f"`{path}` leads nowhere that can be seen without running it: `{owner}` has no `{name}`.{hint}"


def _root(name: str, question: Question) -> Any:
    if question.workspace is not None:
        with suppress(KeyError):
            return question.workspace.lookup(name)
    with suppress(KeyError):
        return vars(builtins)[name]
    return sys.modules.get(name, _NOWHERE)


def find(value: Any, path: str) -> Any:
    """The attribute at ``path`` ("" is the value itself), read without running a property or any other code.

    Raises LookupError(name of the owner, name of what it lacks, names it has).
    """
    owner = getattr(type(value), "__name__", "it")
    for name in path.split(".") if path else ():
        found = inspect.getattr_static(value, name, _NOWHERE)
        # The accessors of pandas (.str, .dt, .plot) keep their class here and build it when they are read.
        accessor = inspect.getattr_static(value, "_accessor", None)
        if found is _NOWHERE and isinstance(accessor, type):
            found = inspect.getattr_static(accessor, name, _NOWHERE)
        if found is _NOWHERE:
            names = list(vars(value)) if isinstance(value, (types.ModuleType, type)) else dir(type(value))
            raise LookupError(owner, name, [known for known in names if not known.startswith("_")])
        value, owner = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found, name
    return value


def document(path: str, value: Any) -> str:
    """Markdown about one object: what it is, its signature, the first part of its documentation."""
    text = _doc(value)
    if isinstance(value, types.ModuleType):
        return f"**`{path}`** is a module." + _quoted(text)
    if isinstance(value, property) or inspect.isdatadescriptor(value):
        return f"**`{path}`** is a property." + _quoted(text)
    if not isinstance(value, type) and not callable(value):
        kind = type(value).__name__
        return f"**`{path}`** is a `{kind}`. Write `{{{path}}}` in the prompt and its content is described."
    what = "class" if isinstance(value, type) else "function"
    shown = f"{path}{_signature(value)}"
    fence = fence_for(shown)
    return f"**`{path}`** is a {what}.\n\n{fence}python\n{shown}\n{fence}" + _quoted(text)


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
        names = list(signature.parameters)
        if names[:1] == ["self"]:
            signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        return str(signature)[:LONGEST_SIGNATURE]
    except Exception:
        return "(…)"


def _doc(value: Any) -> str:
    try:
        return inspect.getdoc(value) or ""
    except Exception:
        return ""


def _quoted(text: str) -> str:
    """The first paragraph as prose, what follows as it was laid out, within bounds."""
    if not text.strip():
        return "\n\nIt has no documentation."
    first, _, rest = text[:DOC_CHARACTERS].partition("\n\n")
    lines = rest.strip("\n").split("\n")[:DOC_LINES]
    rest = "\n".join(lines).rstrip()
    fence = fence_for(rest)
    cut = "\n…" if len(rest) + len(first) + 4 < len(text) else ""
    return f"\n\n{' '.join(first.split())}" + (f"\n\n{fence}text\n{rest}{cut}\n{fence}" if rest else "")
