"""What tokens cost: prices by model name, from genai-prices, and the Budget that a run has to stay within."""

from __future__ import annotations

from ..errors import ConfigError

__all__ = ["Budget", "is_priced", "price"]

FREE = frozenset({"ollama", "offline", "tape"})
"""Providers whose tokens cost nothing: they run here."""

CHARACTERS_PER_TOKEN = 4
"""Rough length of a token, where a model has not counted yet."""


def is_priced(model: str) -> bool:
    """Whether a name is a provider's (``provider:model``) whose tokens cost money."""
    provider, colon, _ = model.partition(":")
    return bool(colon) and provider not in FREE


def price(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """USD for these tokens; 0 for models that run here, None where the price is not known.

    The first call imports the price table (about 0.3 s): not on the loop's thread.
    """
    if not is_priced(model):
        return 0.0
    from genai_prices import Usage, calc_price

    provider, _, name = model.partition(":")
    tokens = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return float(calc_price(tokens, name, provider_id=provider.partition("-")[0]).total_price)
    except LookupError:
        return None


class Budget:
    """At most ``limit`` USD for one answer of ``model`` to ``prompt``, while only its tokens so far are known.

    ConfigError where the limit is no sum, or the price of the model is not known.
    """

    def __init__(self, limit: float, model: str, prompt: str) -> None:
        if not limit > 0:
            raise ConfigError(f"a budget is a sum in USD above 0, not {limit!r}")
        self.limit = limit
        self._model = model
        self._input_tokens = len(prompt) // CHARACTERS_PER_TOKEN
        if self.cost(0) is None:
            raise ConfigError(f"the price of {model} is not known, so a budget cannot be kept")

    def __repr__(self) -> str:
        return f"Budget({self.limit}, {self._model!r})"

    def cost(self, output_tokens: int) -> float | None:
        """USD for the prompt and this much of an answer."""
        return price(self._model, self._input_tokens, output_tokens)

    def exceeded(self, output_tokens: int) -> bool:
        """Whether this much of an answer costs more than the limit."""
        return (self.cost(output_tokens) or 0.0) > self.limit
