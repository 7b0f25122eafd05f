"""The client of a gateway: what it says and hears, its link, and the runs that it has in flight."""

from __future__ import annotations

from .client import OpenClawClient

__all__ = ["OpenClawClient"]
