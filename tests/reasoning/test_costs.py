"""Prices by name, and the Budget that is exceeded by the first token above it."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.reasoning.costs import Budget, is_priced, price

PRICED = "openai-chat:gpt-4o"


@pytest.mark.parametrize("model", ["offline", "offline:50", "tape:answers.jsonl", "ollama:llama3", "my_function", ""])
def test_what_runs_here_is_free(model: str) -> None:
    assert not is_priced(model)
    assert price(model, 10**9, 10**9) == 0.0


def test_providers_cost_by_the_token() -> None:
    one, two = price(PRICED, 1_000, 1_000), price(PRICED, 2_000, 2_000)
    assert one is not None
    assert one > 0
    assert two == pytest.approx(2 * one)
    assert price(PRICED, 0, 0) == 0.0


@pytest.mark.parametrize("model", ["openai:no-such-model-ever", "nobody:nothing", "openai:", ":x"])
def test_a_price_that_is_not_known(model: str) -> None:
    assert price(model, 1, 1) is None


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_what_is_no_budget(limit: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Budget(limit, "offline", "")


def test_it_is_exceeded_by_the_first_token_above() -> None:
    one = price(PRICED, 0, 1)
    assert one is not None
    budget = Budget(one * 10.5, PRICED, "")
    assert [budget.exceeded(tokens) for tokens in (0, 10, 11, 10**9)] == [False, False, True, True]
    assert budget.cost(2) == pytest.approx(2 * one)


def test_the_question_counts() -> None:
    assert Budget(0.000_1, PRICED, "long " * 100_000).exceeded(0)


def test_what_is_free_never_exceeds() -> None:
    assert not Budget(0.01, "offline", "x").exceeded(10**12)


def test_no_budget_is_kept_where_no_price_is_known() -> None:
    with pytest.raises(ConfigError, match="the price of nobody:nothing is not known"):
        Budget(1.0, "nobody:nothing", "")


def test_a_budget_shows_its_sum() -> None:
    assert repr(Budget(0.25, "offline", "secret")) == "Budget(0.25, 'offline')"
