"""offer, the decorator: what can be offered, under which name, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.node.offers import Offers


def analyse(x: int) -> int:
    """The analysis of x."""
    return x


def test_a_function_stays_what_it_is() -> None:
    offer = Offers()
    assert offer(analyse) is analyse
    (one,) = offer.all
    assert (one.name, one.timeout, one.approve) == ("analyse", 30.0, True)
    assert repr(offer) == "<offer: analyse>"


def test_with_options() -> None:
    offer = Offers()

    @offer(timeout=5, name="look", approve=False)
    def analyse(x: int) -> int:
        return x

    one = offer.find("look")
    assert one is not None
    assert (one.timeout, one.approve, one.tool.function) == (5.0, False, analyse)
    assert offer.find("analyse") is None


def test_offered_again_it_takes_the_place_of_the_one_before() -> None:
    offer = Offers()

    def other(x: str) -> str:
        return x

    offer(analyse)
    offer(name="analyse")(other)
    assert [one.tool.function for one in offer.all] == [other]


def test_withdrawn() -> None:
    offer = Offers()
    offer(analyse)
    offer(name="second")(analyse)
    offer.withdraw("second")
    assert [one.name for one in offer.all] == ["analyse"]
    offer.withdraw(analyse)
    assert not offer.all
    with pytest.raises(ConfigError, match=r"^'analyse' is not on offer; what is: nothing$"):
        offer.withdraw(analyse)
    offer(analyse)
    offer.withdraw()
    assert not offer.all


def test_who_listens_is_told() -> None:
    offer, told = Offers(), []
    offer.subscribe(lambda: told.append(len(offer.all)))
    offer(analyse)
    offer.withdraw(analyse)
    assert told == [1, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "a timeout is a number of seconds above 0, not 0"),
        ({"timeout": True}, "a timeout is a number of seconds above 0, not True"),
        ({"timeout": float("inf")}, "a timeout is a number of seconds above 0, not inf"),
        ({"approve": None}, "approve is True or False, not None"),
        ({"name": "_hidden"}, "'_hidden' cannot be offered"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], words: str) -> None:
    offer = Offers()
    with pytest.raises(ConfigError, match=words):
        offer(**options)(analyse)
    assert not offer.all


def test_no_more_than_gateways_take() -> None:
    offer = Offers()
    for number in range(128):
        offer(name=f"f{number}")(analyse)
    offer(name="f3")(analyse)
    with pytest.raises(ConfigError, match="128 functions are on offer already"):
        offer(analyse)
