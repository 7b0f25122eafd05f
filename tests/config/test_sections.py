"""sections: a dataclass says what a mapping may hold, and what a wrong key was meant to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from openclaw_nb.config.document import Reading, compose
from openclaw_nb.config.kinds import Whole
from openclaw_nb.config.sections import Listed, Named, Section, Setting, keyed, settings


@dataclass(frozen=True)
class Leg:
    how_long: Annotated[int, Setting(Whole(1, 9), "its length")] = 1
    joints: Annotated[int | None, Setting(Whole(1, 3), "how many", off=True)] = 2


@dataclass(frozen=True)
class Animal:
    name: str = ""
    legs: Annotated[tuple[Leg, ...], Setting(Listed(Section(Leg, "a leg", short="how_long"), "legs", 2), "all")] = ()
    tail: Annotated[Leg, Setting(Section(Leg, "tail"), "the tail")] = field(default_factory=Leg)


ZOO = Named(Section(Animal, "an animal", required=("legs",)), "[a-z]+", "a small name")
HOMES = {"howLong": "a leg", "legs": "an animal"}


def read(text: str) -> tuple[Any, list[str]]:
    reading = Reading("c", Path(), HOMES)
    node = compose(text, reading)
    assert node is not None
    return ZOO.read(node, reading), [one.partition(": ")[2] for one in reading.mistakes]


def test_keys_are_in_camel_case() -> None:
    assert [keyed(name) for name in ("a", "how_long", "latency_p99")] == ["a", "howLong", "latencyP99"]
    assert list(settings(Animal)) == ["legs", "tail"]


def test_defaults_short_forms_and_null() -> None:
    zoo, mistakes = read("ox: {legs: [5, {howLong: 2, joints: null}], tail: }")
    assert not mistakes
    assert zoo["ox"] == Animal("ox", (Leg(5), Leg(2, None)), Leg())
    assert read("null") == ({}, [])


def test_wrong_keys() -> None:
    def said(text: str) -> str:
        (mistake,) = read(text)[1]
        return mistake

    assert said("ox: {legs: [1], tial: }") == "an animal has no setting 'tial'; did you mean tail?"
    assert said("ox: {legs: [1], howLong: 1}") == "an animal has no setting 'howLong'; it belongs to a leg"
    assert said("ox: {legs: [1], zz: 1}") == "an animal has no setting 'zz'; there are legs, tail"
    assert said("ox: {tail: {}}") == "an animal needs legs: all"
    assert said("OX: {legs: [1]}") == "'OX' is not a small name"
    assert said("ox: {legs: [1, 1, 1]}") == "a list of 1 to 2 legs belongs here"
    assert said("ox: {legs: [1], tail: {joints: }}") == "joints has no value: how many"


def test_the_schema_has_the_same_keys() -> None:
    animal = ZOO.schema()["patternProperties"]["^(?:[a-z]+)$"]
    assert animal["required"] == ["legs"]
    assert list(animal["properties"]) == ["legs", "tail"]
    leg = animal["properties"]["tail"]
    assert leg["type"] == ["object", "null"]
    assert leg["properties"]["joints"]["anyOf"][1] == {"type": "null"}
    length = {"type": "integer", "minimum": 1, "maximum": 9, "default": 1, "description": "its length"}
    assert leg["properties"]["howLong"] == length
