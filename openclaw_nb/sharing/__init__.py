"""Sharing: what gateway instances have in common, in a Redis: which runs there are, what they said, who is at work."""

from __future__ import annotations

from .link import AWAY, Op
from .sharing import Sharing, SharingUser

__all__ = ["AWAY", "Op", "Sharing", "SharingUser"]
