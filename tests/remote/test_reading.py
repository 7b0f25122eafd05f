"""reading: what is not as expected is nothing, and never an error."""

from __future__ import annotations

import pytest

from openclaw_nb.remote.reading import amount, mapping, members, seconds, text


@pytest.mark.parametrize("value", [None, 1, "x", [1], True])
def test_what_is_no_object_is_an_empty_one(value: object) -> None:
    assert mapping(value) == {}
    assert list(members([value, {"a": 1}])) == [{"a": 1}]
    assert list(members(value if not isinstance(value, list) else {})) == []


def test_text_is_text_alone() -> None:
    assert (text("x"), text(None), text(3), text(["x"])) == ("x", "", "", "")


@pytest.mark.parametrize("value", [None, True, "7", -1, float("inf"), float("nan"), [3]])
def test_no_number_is_none(value: object) -> None:
    assert amount(value) is None
    assert seconds(value) is None


def test_numbers_and_times() -> None:
    assert amount(7) == 7
    assert seconds(1_795_391_520_500) == 1_795_391_520.5
