"""The kernel as a node of a real gateway: functions of the notebook that its assistant may call."""

from .offers import offer

__all__ = ["offer"]
