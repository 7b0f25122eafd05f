"""document: texts become nodes with their places, values by what all YAMLs agree on, and nothing is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from openclaw_nb.config.document import Items, Mark, Reading, Scalar, Table, compose, find


def read(text: str) -> tuple[Any, list[str]]:
    reading = Reading("c.yaml", Path())
    return compose(text, reading), reading.mistakes


def test_nodes_know_their_places() -> None:
    node, mistakes = read("a:\n  - 1\n  - b: 'x'\n# end\n")
    assert not mistakes
    assert node == Table(
        Mark(1, 1),
        (
            (
                Scalar(Mark(1, 1), "a", True),
                Items(
                    Mark(2, 3),
                    (
                        Scalar(Mark(2, 5), "1", True),
                        Table(Mark(3, 5), ((Scalar(Mark(3, 5), "b", True), Scalar(Mark(3, 8), "x", False)),)),
                    ),
                ),
            ),
        ),
    )
    assert find(node, "a", 1, "b") == Scalar(Mark(3, 8), "x", False)
    assert find(node, "a", "b") is None
    assert find(node, "b") is None
    assert find(node, 0) is None
    assert read("") == (None, [])


@pytest.mark.parametrize("text", ["null", "~", "true", "False", "0", "-5", "12", "1.5", "-0.25", "a", "5 s", "50%"])
def test_plain_values_are_those_of_every_yaml(text: str) -> None:
    node, _ = read(text)
    value = node.value
    assert value == yaml.safe_load(text)
    assert type(value) is type(yaml.safe_load(text))
    assert read(f"'{text}'")[0].value == text


@pytest.mark.parametrize(
    "text", ["on", "no", "y", "010", "0o10", "0x10", "1_000", "12:30", "1e3", ".5", "5.", ".inf", "nan", "2026-03-01"]
)
def test_what_yamls_read_in_two_ways_is_text(text: str) -> None:
    assert read(text)[0].value == text


@pytest.mark.parametrize("loader", ["libyaml", "pure"])
def test_both_parsers_say_where_and_nothing_of_the_text(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if loader == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for text in ("s3cret: b: c", "s3cret: [1", "a: 's3cret", "\ts3cret", "a: 1\ns3cret", "- 1\ns3cret: 1", "@s3cret",
                 "%s3cret 1", "%YAML s3cret", '"\\s3cret"', "a: !s3cret x", "a: !s3!cret x", "a: *s3cret",
                 "a: &s3cret 1", "? s3cret\n:b", "{s3cret", "a: |x s3cret", "--- s3cret\n--- s3cret", "[" * 20_000,
                 "a: '" + "x" * 60_000, 'a: "\\U99999999"', "%YAML " + "9" * 5_000 + ".1"):  # fmt: skip
        _, mistakes = read(text)
        assert mistakes, text
        assert all(one.startswith("c.yaml, line ") and "s3cret" not in one for one in mistakes)


def test_tags_and_anchors_leave_the_rest_to_be_read() -> None:
    node, mistakes = read("a: !!python/name:os.system\nb: &x [1]\nc: *x\nd: 4\n")
    assert [one.partition(": ")[2][:4] for one in mistakes] == ["tags", "anch", "alia"]
    assert find(node, "d") == Scalar(Mark(4, 4), "4", True)
