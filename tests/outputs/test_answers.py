"""The JSON in the text of an answer, alone and indented."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.outputs.answers import bare, pretty

FENCED = ['```json\n{"a": 1}\n```', '\n```\n{"a": 1}\n```\n', ' {"a": 1} ', '````JSON \n{"a": 1}````']


@pytest.mark.parametrize("text", FENCED)
def test_a_code_block_around_it(text: str) -> None:
    assert bare(text) == '{"a": 1}'
    assert pretty(text) == '{\n  "a": 1\n}'


@pytest.mark.parametrize("text", ['{"a": "```json\\n5\\n```"}', "```\n1", "```1```", "", "```json\n1\n```\nand more"])
def test_a_code_block_that_is_not_around_it_stays(text: str) -> None:
    assert bare(text) == text


def test_each_value_stays_as_it_was_written() -> None:
    text = '{"a":1.10,"b":1e999,"c":123456789012345678901234567890,"a":[],"d":"\\u00fc\\n"}'
    shown = pretty(text)
    assert "".join(line.strip() for line in shown.split("\n")).replace(": ", ":") == text
    assert shown.count("\n") == 6


@pytest.mark.parametrize("text", ["", "hello", '{"a": 1', '{"a": 1} x', "[" * 100_000, '{"a": "\ud800"}'])
def test_what_is_no_whole_json_stays(text: str) -> None:
    assert pretty(text) == text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    )
)
def test_it_says_the_same(value: object) -> None:
    assert json.loads(pretty(json.dumps(value))) == value
