"""Instances of a gateway on one machine: workers at one port or at many, kept alive, drained and replaced."""

from __future__ import annotations

from .instance import collect_seldom, serve_until_told
from .reservation import Reservation, can_share
from .supervisor import Supervisor

__all__ = ["Reservation", "Supervisor", "can_share", "collect_seldom", "serve_until_told"]
