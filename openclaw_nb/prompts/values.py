"""How a value of the notebook is shown to a model: as digits where it is a number, else as bounded text."""

from __future__ import annotations

import heapq
import inspect
import pprint
import re
from contextlib import suppress
from itertools import islice
from typing import Any

from ..redaction import redact
from .kinds import is_a, scalar, shape_of
from .tabular import array, frame

__all__ = ["REPR_LIMIT", "cut", "inline", "render_value"]

TEXT_LIMIT = 20_000  # characters of one string, which is often a document to work on

REPR_LIMIT = 4_000
"""Characters of any other value's repr."""

ITEM_LIMIT = 60  # items of one container
DEPTH_LIMIT = 5  # containers in containers
INLINE_BITS = 100  # larger integers are fenced like any other data

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def inline(value: Any) -> str | None:
    """Numbers, booleans and None as digits and words; None for all that has to be fenced."""
    value = scalar(value)
    if type(value) is int:
        return str(value) if value.bit_length() <= INLINE_BITS else None
    return repr(value) if type(value) in (float, bool, type(None)) else None


def render_value(value: Any) -> tuple[str, str]:
    """A value as bounded text: its shape, as `Data` has it, and its body, with the names of secrets in their place."""
    shape, body = _render(value)
    return shape, redact(body)


def _render(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return str(len(value)), cut(value, TEXT_LIMIT)
    if is_a(value, "pandas", "DataFrame", "Series") or is_a(value, "polars", "DataFrame", "Series"):
        return shape_of(value), frame(value)
    if is_a(value, "numpy", "ndarray"):
        return shape_of(value), array(value)
    if is_a(value, "os", "_Environ"):
        return str(len(value)), "names only, the values stay here:\n" + cut("\n".join(sorted(value)), REPR_LIMIT)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return "", cut(_source(value), REPR_LIMIT)
    if isinstance(value, (bytes, bytearray)):
        more = f"\n… {len(value) - 1_000:,} more bytes" if len(value) > 1_000 else ""
        return str(len(value)), repr(bytes(value[:1_000])) + more
    size = str(len(value)) if isinstance(value, (list, tuple, dict, set, frozenset)) else shape_of(value)
    shown = _trim(value, 0)
    text = repr(shown) if isinstance(shown, _Leaf) else pprint.pformat(shown, width=100, compact=True, sort_dicts=False)
    return size, cut(text, REPR_LIMIT)


def cut(text: str, limit: int) -> str:
    text = redact(text)  # first, or half a secret would have no name
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit:,} more characters"


def _source(value: Any) -> str:
    """The source of what was written in Python; signature and documentation of what was not."""
    with suppress(Exception):
        return inspect.getsource(value).rstrip("\n")
    signature = ""
    with suppress(Exception):
        signature = str(inspect.signature(value))
    return _ADDRESS.sub("", f"{value.__name__}{signature}\n\n{inspect.getdoc(value) or ''}").rstrip()


class _Leaf:
    """A value inside a container, by its own bounded repr."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _trim(value: Any, depth: int) -> Any:
    """A small copy of nested containers, so that showing a million items costs what showing sixty does."""
    if isinstance(value, (dict, list, set, frozenset)) or type(value) is tuple:
        if depth == DEPTH_LIMIT:
            return _Leaf("…")
        return _trim_container(value, depth + 1)
    limit = 300 if depth else REPR_LIMIT
    if any(is_a(value, module, "DataFrame", "Series", "ndarray") for module in ("pandas", "polars", "numpy")):
        return _Leaf(f"<{type(value).__name__} {shape_of(value)}>")
    if isinstance(value, str):
        value = redact(value)
        more = f" … {len(value) - limit:,} more characters" if len(value) > limit else ""
        return _Leaf(repr(value[:limit]) + more)
    if isinstance(value, int) and value.bit_length() > 4_000:
        return _Leaf(f"<an integer of about {int(value.bit_length() * 0.30103):,} digits>")
    text = redact(_ADDRESS.sub("", repr(scalar(value))))
    return _Leaf(text if depth == 0 or len(text) <= limit else f"{text[:limit]}…")


def _trim_container(value: Any, depth: int) -> Any:
    rest = len(value) - ITEM_LIMIT
    more = [_Leaf(f"… {rest:,} more")] if rest > 0 else []
    if isinstance(value, dict):
        items = {_trim_key(key): _trim(item, depth) for key, item in islice(value.items(), ITEM_LIMIT)}
        return items | {leaf: _Leaf("…") for leaf in more}
    if isinstance(value, (set, frozenset)):
        # Sets have no order that lasts from one process to the next.
        return [_trim(item, depth) for item in heapq.nsmallest(ITEM_LIMIT, value, key=repr)] + more
    shown = [_trim(item, depth) for item in islice(value, ITEM_LIMIT)] + more
    return tuple(shown) if isinstance(value, tuple) else shown


def _trim_key(key: Any) -> Any:
    return key if isinstance(key, (bool, type(None))) else _Leaf(repr(_trim(key, DEPTH_LIMIT - 1)))
