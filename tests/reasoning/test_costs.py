"""Tokens by a text's look, prices by a model's name or its own word, and the table they are read from."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import ConfigError
from openclaw_nb.reasoning import costs
from openclaw_nb.reasoning.costs import Tariff, count_tokens, is_priced, load, price, tariff_of

PRICED = "openai-chat:gpt-4o"

PUBLISHED = {
    "The quick brown fox jumps over the lazy dog.": 10,
    "Hello, how are you doing today?": 8,
    "Hello, world! How are you today?": 9,
    "You miss 100% of the shots you don't take": 11,
    "antidisestablishmentarianism": 6,
    "2 + 2 = 4": 7,
    "お誕生日おめでとう": 9,
    "你好世界": 5,
    "tiktoken is great!": 6,
}
"""Texts and how many tokens of cl100k_base they are, from the documentation of OpenAI's tokenizer and its examples."""


def test_a_text_is_rather_too_many_tokens_than_too_few(figure: Callable[[str, str], None]) -> None:
    counts = {text: count_tokens(text) for text in PUBLISHED}
    assert all(PUBLISHED[text] <= count <= 1.6 * PUBLISHED[text] for text, count in counts.items()), counts
    times = sum(counts.values()) / sum(PUBLISHED.values())
    figure("rough tokens", f"{times:.2f} x cl100k_base over {len(PUBLISHED)} published counts, never fewer")


def test_code_is_denser_than_prose() -> None:
    code = Path(costs.__file__).read_text(encoding="utf-8")
    prose = "It was a bright cold day in spring, and all the clocks of the town were striking at the same time. " * 9
    assert 2.2 < len(code) / count_tokens(code) < 3 < len(prose) / count_tokens(prose) < 4


@given(st.text(), st.text())
def test_two_texts_are_about_as_long_as_both_of_them(one: str, other: str) -> None:
    assert -2 <= count_tokens(one + other) - count_tokens(one) - count_tokens(other) <= 0


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a", 1), ("\ud800", 2), ("7" * 9, 9)])
def test_small_and_odd_texts(text: str, count: int) -> None:
    assert count_tokens(text) == count


@pytest.mark.parametrize("model", ["offline", "offline:50", "tape:a.jsonl", "ollama:llama3", "vllm:x", "mine", ""])
def test_what_runs_here_is_free(model: str) -> None:
    assert not is_priced(model)
    assert price(model, 10**9, 10**9) == 0.0
    assert tariff_of(model).free


def test_providers_cost_by_the_token() -> None:
    one, two = price(PRICED, 1_000, 1_000), price(PRICED, 2_000, 2_000)
    assert one is not None
    assert one > 0
    assert two == pytest.approx(2 * one)
    assert price(PRICED, 0, 0) == 0.0


def test_what_was_cached_is_cheaper() -> None:
    whole, cached = price(PRICED, 1_000, 0), price(PRICED, 1_000, 0, 1_000)
    assert whole is not None
    assert cached is not None
    assert 0 < cached < whole
    assert price(PRICED, 1_000, 0, 5_000) == cached


def test_a_long_request_may_cost_more_by_the_token() -> None:
    short, long = price("anthropic:claude-sonnet-4-5", 100_000, 0), price("anthropic:claude-sonnet-4-5", 300_000, 0)
    assert short is not None
    assert long is not None
    assert long > 3.5 * short


@pytest.mark.parametrize("model", ["openai:no-such-model-ever", "nobody:nothing", "openai:", ":x"])
def test_a_price_that_is_not_known(model: str) -> None:
    assert price(model, 1, 1) is None
    assert Tariff(model).cost(1, 1) is None
    assert not Tariff(model).free


class Own:
    name = "own"

    def __init__(self, prices: object) -> None:
        self.prices = prices


def test_a_model_states_its_own_prices() -> None:
    tariff = tariff_of(Own((1, 2.5)))
    assert tariff == Tariff("own", (1.0, 2.5))
    assert tariff.at_hand
    assert not tariff.free
    assert tariff.cost(1_000_000, 2_000_000, 5) == 6.0
    assert tariff_of(Own((0, 0))).free


def test_a_function_may_do_so_too() -> None:
    def mine(prompt: str) -> None: ...

    assert tariff_of(mine, "mine").free
    mine.prices = (0.5, 1.5)  # type: ignore[attr-defined]
    assert tariff_of(mine, "mine") == Tariff("mine", (0.5, 1.5))


@pytest.mark.parametrize("prices", [None, 1.0, (1,), (1, 2, 3), (-1, 2), (1, math.nan), (1, math.inf), ("1", 2)])
def test_what_are_no_prices(prices: object) -> None:
    with pytest.raises(ConfigError, match="the prices of own are USD per million tokens"):
        tariff_of(Own(prices))


def test_the_table_is_loaded_when_it_is_needed_and_said_to_be() -> None:
    """In a process of its own: here others may have loaded it."""
    script = """
from openclaw_nb.reasoning.costs import Tariff, is_loaded, load
assert not is_loaded() and Tariff("offline").at_hand and Tariff("x:y", (1, 1)).at_hand
assert Tariff("offline").cost(1, 1) == 0 and not is_loaded() and not Tariff("openai:gpt-4o").at_hand
load()
assert is_loaded() and Tariff("openai:gpt-4o").at_hand
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    load()
    assert Tariff(PRICED).at_hand
