"""Structured answers: what a type of the notebook is as a JSON schema, and an answer as a value of it."""

from .expected import Expected, check

__all__ = ["Expected", "check"]
