"""The types that `--as` names, and that naming one runs nothing."""

from __future__ import annotations

import dataclasses
import enum
import typing
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from openclaw_nb.errors import ConfigError
from openclaw_nb.outputs.typenames import fitting, type_of


class City(BaseModel):
    name: str


@dataclasses.dataclass
class Town:
    name: str


class Land(TypedDict):
    name: str


class Colour(enum.Enum):
    RED = "red"


Shade = typing.Literal["light", "dark"]
module = ModuleType("module")
vars(module)["City"] = City

SPACE: dict[str, Any] = {
    "City": City, "Town": Town, "Land": Land, "Colour": Colour, "Shade": Shade, "Cities": list[City], "module": module,
    "n": 5, "_Private": City, "Plain": type("Plain", (), {}), "BaseModel": BaseModel,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("City", City),
        (" Town ", Town),
        ("Land", Land),
        ("Colour", Colour),
        ("Shade", Shade),
        ("Cities", list[City]),
        ("module.City", City),
        ("list[City]", list[City]),
        ("dict[str, list[City]]", dict[str, list[City]]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("City | None", City | None),
        ("City|Town|None", City | Town | None),
        ("Literal['a', 'b']", typing.Literal["a", "b"]),
        ("Literal[-1, True, None]", typing.Literal[-1, True, None]),
        ("Optional[City]", typing.Optional[City]),  # noqa: UP045
        ("List[int]", typing.List[int]),  # noqa: UP006
        ("float", float),
    ],
)
def test_named(text: str, kind: object) -> None:
    assert type_of(text, SPACE) == kind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Citi", "there is no type Citi; did you mean City?"),
        ("Xyz", "there is no type Xyz"),
        ("n", "n is no type but int"),
        ("", "'' names no type; write City, list[City] or City | None"),
        ("City City", "names no type"),
        ("City()", "City() names no type"),
        ("print('x')", "names no type"),
        ("[City]", "names no type"),
        ("'City'", "names no type"),
        ("list['City']", "'City' names no type"),
        ("list[int, int][str]", "is no type"),
        ("City & Town", "names no type"),
        ("lambda: 1", "names no type"),
        ("(x := City)", "names no type"),
        ("n.real", "n is no module, so there is no type n.real"),
        ("module.Nothing", "module.Nothing is no type but NoneType"),
        ("module.__dict__", "names no type"),
        ("City.__init__", "names no type"),
        ("a.b.c", "names no type"),
        ("City[int]", "is no type"),
        ("Colour[int]", "is no type"),
        ("Literal[1.5]", "a Literal holds"),
        ("Literal[City]", "a Literal holds"),
        ("list[" * 60 + "int" + "]" * 60, "at most 200 characters"),
        ("City\0", "names no type"),
    ],
)
def test_what_names_no_type(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        type_of(text, SPACE)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_naming_runs_nothing() -> None:
    ran: list[str] = []

    class Trap:
        def __getattr__(self, name: str) -> Any:
            ran.append(name)
            return City

        def __getitem__(self, name: object) -> Any:
            ran.append("item")
            return City

        def __or__(self, other: object) -> Any:
            ran.append("or")
            return City

        __ror__ = __call__ = __or__

    trap = Trap()
    space = {"trap": trap, "City": City, "simple": SimpleNamespace(City=City)}
    for text in (
        "trap",
        "trap.City",
        "trap[City]",
        "trap | City",
        "City | trap",
        "trap()",
        "list[trap]",
        "simple.City",
    ):
        with pytest.raises(ConfigError):
            type_of(text, space)
    for text in ("list['ran.append(1)']", "list[\"__import__('os').getcwd()\"]", "Optional['ran.append(1)']"):
        with pytest.raises(ConfigError):
            type_of(text, {"ran": ran})
    assert ran == []


def test_what_is_offered() -> None:
    assert list(fitting(SPACE)) == ["City", "Town", "Land", "Colour"]
