"""Prompts: what the user wrote, with values of the notebook in it as data and as images."""

from .filling import Data, Prompt, fence_for, fill, parse
from .parts import take_part, with_part

__all__ = ["Data", "Prompt", "fence_for", "fill", "parse", "take_part", "with_part"]
