"""Prompts: what the user wrote, with values of the notebook in it as data and as images."""

from .filling import Data, Prompt, fence_for, fill, parse

__all__ = ["Data", "Prompt", "fence_for", "fill", "parse"]
