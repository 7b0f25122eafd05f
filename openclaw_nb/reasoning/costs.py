"""What tokens cost: how many a text is, roughly, and prices, from genai-prices or as a model states its own."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..errors import ConfigError

__all__ = [
    "COUNTED",
    "PER_MESSAGE",
    "Priced",
    "Tariff",
    "count_tokens",
    "is_free",
    "is_loaded",
    "is_priced",
    "load",
    "price",
    "read_prices",
    "tariff_of",
]

FREE = frozenset({"ollama", "offline", "tape", "vllm"})
"""Providers whose tokens cost nothing: one runs them oneself. An address on loopback says nothing: proxies have one."""

LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SPACE = b" "
BEYOND_ASCII = bytes(range(128, 256))

LETTERS_PER_TOKEN = 3.5
SPACES_PER_TOKEN = 3.0
BYTES_PER_TOKEN = 2.5
"""Of UTF-8 beyond ASCII: a Chinese character has three, and takes 1.0 to 1.3 tokens of cl100k_base."""

PER_MESSAGE = 4
"""Tokens of the frame around a message."""

COUNTED = 0.8
"""Of the tokens that `count_tokens` finds in a text, those that there are."""


def count_tokens(text: str) -> int:
    """How many tokens a text is, for no tokenizer in particular, and rather too many than too few: 2 ms for a megabyte.

    Of English prose it finds one in 3.2 characters, where OpenAI gives 4 as the rule and Anthropic 3.5; of code one in
    2.6, where cl100k_base has about 3.3; each digit is one, as with Gemini, where OpenAI takes up to three together.
    """
    data = text.encode("utf-8", "surrogatepass")
    others = data.translate(None, LETTERS)
    marks = others.translate(None, SPACE)
    ascii_marks = marks.translate(None, BEYOND_ASCII)
    letters, spaces, beyond = len(data) - len(others), len(others) - len(marks), len(marks) - len(ascii_marks)
    rough = letters / LETTERS_PER_TOKEN + spaces / SPACES_PER_TOKEN + beyond / BYTES_PER_TOKEN + len(ascii_marks)
    return math.ceil(rough)


def is_priced(model: str) -> bool:
    """Whether a name is a provider's (``provider:model``) whose tokens cost money."""
    provider, colon, _ = model.partition(":")
    return bool(colon) and provider not in FREE


def is_free(model: str) -> bool:
    """Whether a name says that the model runs here, or on a machine of one's own, so that nobody bills its tokens."""
    return model.partition(":")[0] in FREE


def is_loaded() -> bool:
    """Whether the price table has been imported, so that a price takes 0.1 ms."""
    return "genai_prices.data" in sys.modules


def load() -> None:
    """Import the price table: about 0.3 s, not on the loop's thread."""
    price("openai:gpt-4o", 1, 1)


def price(model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    """USD for these tokens of one request; 0 for models that run here, None where the price is not known.

    ``cached_tokens`` are those of the input that the provider read from its cache. Some prices rise with the length of
    a request's input, so those of two requests are not that of their sum. The first call imports the price table.
    """
    if not is_priced(model):
        return 0.0
    from genai_prices import Usage, calc_price

    provider, _, name = model.partition(":")
    cached = {"cache_read_tokens": min(cached_tokens, input_tokens)} if cached_tokens else {}
    tokens = Usage(input_tokens=input_tokens, output_tokens=output_tokens, **cached)
    try:
        return float(calc_price(tokens, name, provider_id=provider.partition("-")[0]).total_price)
    except LookupError:
        return None


@runtime_checkable
class Priced(Protocol):
    """A Model, or a function that is one, that states its own prices: USD per million tokens asked, and made."""

    prices: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one model's tokens cost: ``own`` prices in USD per million asked and made, or those that its name has."""

    model: str
    own: tuple[float, float] | None = None

    @property
    def free(self) -> bool:
        """Whether no number of tokens costs anything; asked of the name alone, it takes no price table."""
        return not any(self.own) if self.own is not None else not is_priced(self.model)

    @property
    def at_hand(self) -> bool:
        """Whether `cost` needs no import."""
        return self.own is not None or self.free or is_loaded()

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """USD for one request, as `price`; own prices make no difference of what was cached."""
        if self.own is None:
            return price(self.model, input_tokens, output_tokens, cached_tokens)
        asked, made = self.own
        return (input_tokens * asked + output_tokens * made) / 1_000_000


def tariff_of(model: object, name: str = "") -> Tariff:
    """The tariff of a Model, or of a name. ConfigError where the prices that it states are none."""
    known = model if isinstance(model, str) else str(getattr(model, "name", "") or name)
    if isinstance(model, str) or not hasattr(model, "prices"):  # as Priced, which takes longer to ask than all else
        return Tariff(known)
    return Tariff(known, read_prices(model.prices, known))


def read_prices(prices: object, whose: str) -> tuple[float, float]:
    """Two sums in USD, of a million tokens asked and made; ConfigError for anything else."""
    match prices:
        case (int() | float() as asked, int() | float() as made) if min(asked, made) >= 0 and asked + made < math.inf:
            return float(asked), float(made)
    raise ConfigError(f"the prices of {whose} are USD per million tokens asked and made, (0.25, 2.0), not {prices!r}")
