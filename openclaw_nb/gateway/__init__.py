"""The gateway: `Gateway` listens, its connections speak the OpenClaw protocol, its runs are what clients ask for."""

from __future__ import annotations

from .gateway import PING, Gateway

__all__ = ["PING", "Gateway"]
