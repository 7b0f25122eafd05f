"""Plain data: what is kept comes back exactly, anything else is refused with its path."""

from __future__ import annotations

import enum
import pickle
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.run import Result
from openclaw_nb.snapshots.plain import MAX_BITS, MAX_DEPTH, decode, encode, plain, same


class Number(enum.IntEnum):
    ONE = 1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"vars": [{1}]}, "state.vars[0]: a set cannot be kept"),
        ({"a b": {"c": b"x"}}, "state['a b'].c: a bytes cannot be kept"),
        ({"a": (1,)}, "state.a: a tuple cannot be kept"),
        ({"a": {1: 2}}, "state.a: an int cannot be kept as a key"),
        ({None: 2}, "state: a NoneType cannot be kept as a key"),
        ({"a": float("nan")}, "state.a: nan cannot be kept (only finite numbers can)"),
        ({"a": float("-inf")}, "state.a: -inf cannot be kept"),
        ({"a": 10**5000}, f"state.a: an int of more than {MAX_BITS} bits cannot be kept"),
        ({"a": Number.ONE}, "state.a: a Number cannot be kept"),
        ({"a": OrderedDict()}, "state.a: an OrderedDict cannot be kept"),
        ({"a": object()}, "state.a: an object cannot be kept"),
        ({"a": PurePosixPath()}, "state.a: a PurePosixPath cannot be kept"),
        ({"a": print}, "state.a: a builtin_function_or_method cannot be kept"),
        (nested(MAX_DEPTH + 1), f"what is nested more than {MAX_DEPTH} deep cannot be kept"),
        (nested(200_000), f"what is nested more than {MAX_DEPTH} deep cannot be kept"),
    ],
)
def test_refuses_with_the_path(value: Any, sentence: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        plain(value, "state")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 260


def test_refuses_what_holds_itself() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    with pytest.raises(SnapshotError, match="nested"):
        plain(loop, "state")


def test_nothing_of_it_is_asked_to_turn_itself_into_data() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            pytest.fail("asked how to be pickled")

        def __eq__(self, other: object) -> bool:
            pytest.fail("compared")

        __str__ = __repr__ = __iter__ = __len__ = __bool__ = __reduce__

        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(SnapshotError, match="a Trap cannot be kept"):
        plain({"a": [Trap()]}, "state")
    with pytest.raises(pytest.fail.Exception):
        pickle.dumps(Trap())


@pytest.mark.parametrize(
    "value",
    ["\ud83d\ude00", "\ud800", "\x00", "👩\u200d💻", "\u202eabc", "\U0010ffff", "\u2028", "", -0.0, 5e-324,
     2**MAX_BITS - 1, -(2**63), True, None, [], {}, {"": [{}]}, nested(MAX_DEPTH)],
)  # fmt: skip
def test_comes_back_exactly(value: Any) -> None:
    back = decode(encode(plain(value, "state")))
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_a_result_is_kept_as_its_text() -> None:
    kept = plain({Result("key"): [Result("text")]}, "state")
    assert kept == {"key": ["text"]}
    assert {type(text) for text in (*kept, *kept["key"])} == {str}


def test_copies_every_container() -> None:
    value = {"a": [{"b": [1]}]}
    kept = plain(value, "state")
    value["a"][0]["b"].append(2)
    assert kept == {"a": [{"b": [1]}]}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(1, True), (1, 1.0), (0, False), (0.0, -0.0), ("1", 1), ({"a": 1}, {"b": 1}), ({"a": 1}, {"a": 1, "b": 2}),
     ([1], [1, 2]), ([], {}), (None, False), ({"a": [1]}, {"a": [True]}), ("\ud83d\ude00", "😀")],
)  # fmt: skip
def test_tells_apart(ours: Any, theirs: Any) -> None:
    assert same(ours, ours)
    assert not same(ours, theirs)
    assert not same(theirs, ours)
