"""Variables come back as they were, or are refused by name with everything else; nothing kept can run anything."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from openclaw_nb.errors import SnapshotError
from openclaw_nb.run import Result
from openclaw_nb.secret import Secret
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.snapshots.variables import LARGEST, changes, pack, unpack

ROOT = Path(__file__).parents[2]
KEY = 'sk-0123"456\\789-abcdef'


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_TEST_KEY", KEY)


def back(values: dict[str, Any]) -> dict[str, Any]:
    """Through a store, as they go."""
    with SnapshotStore() as store:
        return unpack(store.get(store.put({"vars": pack(values)}).id).state["vars"])


def same(one: Any, other: Any) -> bool:
    """Equal and of the same type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other) and repr(one) == repr(other)


TEXT = st.text(st.characters())  # surrogates too
LEAVES = st.none() | st.booleans() | st.integers(-(2**2047), 2**2047) | st.floats() | TEXT
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_data_comes_back(value: Any) -> None:
    assert same(value, unpack(json.loads(json.dumps(pack({"v": value}))))["v"])


def test_everything_at_once_comes_back() -> None:
    values = {
        "params": {"rate": 0.1, "shape": (3, 4, (5,)), "loss": [math.nan, -math.inf], "token": Secret("env:K")},
        "array": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "scalar": np.float32(1.5), "text": np.str_("é"),
        "frame": pd.DataFrame({"a": [1, None], "b": ["x", None]}, index=["p", "q"]),
        "column": pd.Series([1, 2], name="n"),
        "polars": pl.DataFrame({"a": [1, None]}), "table": pa.table({"a": [1]}),
        "secret": Secret("keyring:a/b"),
        "inside": {"frames": [pd.DataFrame({"a": [1]})], "arrays": (np.array([1, 2]),)}, "": None,
        "surrogate": "\ud800",
    }  # fmt: skip
    found = back(values)
    assert list(found) == list(values)
    assert same(found["params"], values["params"])
    assert type(found["params"]["token"]) is type(found["secret"]) is Secret
    assert found["array"].flags.f_contiguous
    np.testing.assert_array_equal(found["array"], values["array"])
    assert same(found["scalar"], values["scalar"])
    assert same(found["text"], values["text"])
    pd.testing.assert_frame_equal(found["frame"], values["frame"])
    pd.testing.assert_series_equal(found["column"], values["column"])
    pd.testing.assert_frame_equal(found["inside"]["frames"][0], values["inside"]["frames"][0])
    np.testing.assert_array_equal(found["inside"]["arrays"][0], [1, 2])
    assert found["polars"].equals(values["polars"])
    assert found["table"].equals(values["table"])
    assert same(found["surrogate"], "\ud800")


def test_what_comes_back_is_its_own() -> None:
    packed = pack({"v": {"a": [1]}})
    first = unpack(packed)["v"]
    first["a"].append(2)
    assert unpack(packed) == {"v": {"a": [1]}}


def test_a_result_is_kept_as_its_text() -> None:
    result = Result("the answer")
    assert same(back({"answer": result})["answer"], "the answer")


class Custom:
    pass


def test_what_cannot_be_kept_is_named(key: None) -> None:
    looped: list[Any] = []
    looped.append(looped)
    with socket.socket() as wire, open(os.devnull) as file:
        bad = {
            "wire": wire, "file": file, "module": json, "function": len, "lambda": lambda: 0, "custom": Custom(),
            "type": Custom, "keys": {1: 2}, "set": {1}, "data": b"x", "long": 10**1000, "looped": looped,
            "lock": threading.Lock(), "objects": np.array([Custom()]), "cells": pd.DataFrame({"a": [Custom()]}),
            "masked": SecretStr("x"), "large": "x" * (LARGEST + 1), "wide": np.zeros(LARGEST), "run": iter([]),
            "deep": {"a": [{"b": len}]}, "moment": pd.Timestamp("2026"),
        }  # fmt: skip
        with pytest.raises(SnapshotError) as refusal:
            pack({"good": 1, **bad})
    sentence = str(refusal.value)
    assert sentence.startswith("no variable was kept: wire (a socket cannot be kept; ")
    assert [name for name in bad if f"{name} (" not in sentence] == []
    assert "good" not in sentence
    assert 'masked (a secret cannot be kept; keep Secret("env:NAME") in its place)' in sentence


def test_the_limit_is_that_of_all_together_too() -> None:
    half = "x" * (LARGEST * 3 // 4)
    assert len(pack({str(n): half for n in range(5)})) == 5
    with pytest.raises(SnapshotError, match=r"5 \(with it all together would be above 64 MiB\)"):
        pack({str(n): half for n in range(6)})
    with pytest.raises(SnapshotError, match="1,001 are more than 1,000"):
        pack({str(n): n for n in range(1001)})


HOLDERS: dict[str, Callable[[str], Any]] = {
    "text": lambda s: f"it is {s}!",
    "key": lambda s: {s: 1},
    "deep": lambda s: [({"a": s},)],
    "array": lambda s: np.array(["", s]),
    "bytes": lambda s: np.frombuffer(f"..{s}..".encode(), dtype="u1"),
    "struct": lambda s: np.array([(1, s)], dtype=[("a", "i4"), ("b", "U40")]),
    "frame": lambda s: pd.DataFrame({"a": [None, s]}),
    "category": lambda s: pd.Series(pd.Categorical(["x", s])),
    "label": lambda s: pd.DataFrame({s: [1]}),
    "index": lambda s: pd.Series([1], index=[s]),
    "attrs": lambda s: _with_attrs(s),
    "polars": lambda s: pl.DataFrame({"a": [s]}),
    "table": lambda s: pa.table({"a": [1]}).replace_schema_metadata({"k": s}),
    "inside": lambda s: {"a": [pd.DataFrame({"a": [s]})]},
}


def _with_attrs(text: str) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["k"] = text
    return frame


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_secret_is_refused_wherever_it_is(holder: str, key: None) -> None:
    value = HOLDERS[holder](KEY)
    with pytest.raises(SnapshotError) as refusal:
        pack({"v": value})
    assert str(refusal.value) == (
        "no variable was kept: v (it holds the value of env:OPENCLAW_NB_TEST_KEY;"
        ' keep Secret("env:OPENCLAW_NB_TEST_KEY") in its place)'
    )
    pack({"v": HOLDERS[holder]("sk-0123")})


def test_what_has_no_name_is_refused_in_words() -> None:
    for value in ("postgres://ada:pa55@h/db", {"Authorization": "Bearer abcdefgh12345678"}):
        with pytest.raises(SnapshotError, match="it holds a password or token in an address or header; keep Secret"):
            pack({"v": value})


def test_no_library_is_imported_for_what_is_not_its_own() -> None:
    code = (
        "import sys; from openclaw_nb.snapshots.variables import pack, unpack;"
        "assert unpack(pack({'v': ['a', 1.5, (None,)]})) == {'v': ['a', 1.5, (None,)]};"
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'polars', 'keyring') if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[]\n"


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SnapshotError) as refusal:
        pack({"df": pd.DataFrame({"a": [1]})})
    assert str(refusal.value) == (
        "no variable was kept: df (a DataFrame takes the package pyarrow (pip install pyarrow))"
    )


CHANGES: list[tuple[Any, Any, list[str]]] = [
    (1, 1, []), (1, 2, ["v: changed"]), ([1], [1, 2, 3], ["v: 2 items more"]), ("ab", "b", ["v: 1 item fewer"]),
    ([1], {"a": 1}, ["v: now a dict, was a list"]), (Secret("env:A"), Secret("env:B"), ["v: now env:B, was env:A"]),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2, 3, 4]}), ["v: 3 rows more"]),
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1], "b": [1]}), ["v: 1 row fewer, 1 column more"]),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]}), ["v: changed"]),
    (np.zeros(3), np.zeros(5), ["v: 2 items more"]),
    (np.zeros((2, 3)), np.zeros((3, 2)), ["v: shape 3x2, was 2x3"]), (np.zeros(3), np.ones(3), ["v: changed"]),
    (np.float64(1), np.float64(2), ["v: changed"]), (1, 1.0, ["v: now a float, was an int"]),
    (0.0, math.nan, ["v: changed"]),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "words"), CHANGES)
def test_changes_in_words(a: Any, b: Any, words: list[str]) -> None:
    assert changes(pack({"v": a}), pack({"v": b})) == words


def test_names_that_come_and_go() -> None:
    assert changes(pack({"a": 1, "b": 2}), pack({"b": 2, "c": 3})) == ["a: gone", "c: new"]


def test_payloads(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    """In a process of its own, as one of them might end it."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.snapshots.payloads", str(tmp_path / "made")],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout)
    assert (found["taken"], found["ran"], found["made"]) == ([], [], False)
    assert found["refused"] == found["tried"] > 150
    assert found["MiB"] < 200
    figure(
        "reliability 26 (notebook variables)",
        f"{found['tried']} payloads (pickles, npy, Arrow extension types, forged tables, descriptions, paths, bombs) "
        f"and {found['flipped']:,} damaged files: 0 ran, all refused in a sentence, {found['MiB']} MiB of memory more",
    )
