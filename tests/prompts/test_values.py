"""How values of any kind are shown to a model, and how much of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from openclaw_nb.prompts.values import render_value


def body(value: object) -> str:
    return render_value(value)[1]


def test_containers_are_bounded() -> None:
    assert "… 999,940 more" in body(list(range(1_000_000)))
    assert "… 940 more" in body({at: at for at in range(1_000)})
    nested: list[Any] = [1]
    nested.append(nested)
    assert "…" in body(nested)
    assert len(body({"a": "x" * 10**6, "b": ["y" * 10**5] * 100})) < 5_000
    inner = {"sales": pd.DataFrame({"a": [1]}), ("k", 1): np.zeros(3)}
    assert body(inner) == "{'sales': <DataFrame 1x1>, ('k', 1): <ndarray 3>}"


def test_sets_are_in_order() -> None:
    words = [f"word {at}" for at in range(9)]
    assert body({f"word {at}" for at in range(8, -1, -1)}) == str(words)


def test_texts_and_bytes_are_bounded() -> None:
    assert body("x" * 30_000).endswith("\n… 10,000 more characters")
    assert body("two\nlines") == "two\nlines"
    assert body(b"\x00" * 2_000).endswith("\n… 1,000 more bytes")


def test_integers_too_long_to_write() -> None:
    assert body(10**5_000) == "<an integer of about 5,000 digits>"
    assert "digits" in body([10**5_000])


def test_functions_show_their_source() -> None:
    assert "def test_functions_show_their_source" in body(test_functions_show_their_source)
    assert body(len).startswith("len(obj, /)\n\nReturn the number of items")
    assert " at 0x" not in body(object()) + body([object()]) + body(functools.partial(len)) + body(np.sin)
