"""namespace: which variables are taken, and what becomes of those that are there already."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openclaw_nb.errors import ConfigError, SnapshotError
from openclaw_nb.namespace import bring_back, described, read_back, take
from openclaw_nb.secret import Secret


def brought_back(packed: dict[str, Any], namespace: dict[str, Any], *replace: str) -> tuple[list[str], list[str]]:
    return bring_back(read_back(packed, replace), packed, namespace, replace)


def test_what_is_not_there_is_set_and_what_is_equal_is_not_touched() -> None:
    here = {"rate": 7, "grid": np.zeros(3), "other": 1}
    packed = take(["rate", "grid"], here)
    assert set(packed) == {"rate", "grid"}
    grid = here["grid"]
    del here["rate"]
    assert brought_back(packed, here) == (["rate"], [])
    assert here["rate"] == 7
    assert here["grid"] is grid


@pytest.mark.parametrize("now", [8, 7.0, True, "7", None, np.int64(7), lambda: 7, [7]])
def test_what_differs_is_left_unless_it_is_asked_for(now: object) -> None:
    packed = take(["rate"], {"rate": 7})
    here: dict[str, Any] = {"rate": now}
    assert brought_back(packed, here) == ([], ["rate"])
    assert here["rate"] is now
    assert brought_back(packed, here, "rate") == (["rate"], [])
    assert here == {"rate": 7}
    here["rate"] = now
    assert brought_back(packed, here, "all") == (["rate"], [])
    assert here == {"rate": 7}


def test_a_builtin_is_there_too() -> None:
    packed = take(["print"], {"print": "it"})
    here: dict[str, Any] = {}
    assert brought_back(packed, here) == ([], ["print"])
    assert here == {}


def test_no_name_is_set_that_no_cell_could_have_kept() -> None:
    packed = {name: take(["it"], {"it": 1})["it"] for name in ("_x", "a.b", "class", "fine")}
    here: dict[str, Any] = {}
    assert brought_back(packed, here, "all") == (["fine"], [])
    assert here == {"fine": 1}


def test_refusals_say_the_name_and_set_nothing() -> None:
    with pytest.raises(ConfigError, match="there is no variable 'ratte' to keep; did you mean rate"):
        take(["ratte"], {"rate": 7, "ratt": len, "_ratte": 1})
    with pytest.raises(SnapshotError, match=r"f \(a function cannot be kept"):
        take(["rate", "f"], {"rate": 7, "f": lambda: 0})
    with pytest.raises(ConfigError, match=r"no variable 'b' in that snapshot; it has a$"):
        read_back(take(["a"], {"a": 1}), ["a", "b"])
    with pytest.raises(ConfigError, match="it has none"):
        read_back({}, ["b"])
    with pytest.raises(SnapshotError, match="no known format"):
        read_back({"a": {"format": "pickle", "data": "gA=="}})


def test_in_words_a_secret_is_its_reference() -> None:
    packed = take(["key", "rate"], {"key": Secret("env:MY_KEY"), "rate": 7})
    assert described(packed) == "key (env:MY_KEY), rate (json, 1 B)"
