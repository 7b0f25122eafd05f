"""Deployment: what runs gateways and stands before them, written from a configuration as text, without a secret."""

from __future__ import annotations

from . import container, haproxy, kubernetes, nginx, systemd
from .plan import Made, Plan

__all__ = ["Made", "Plan", "container", "haproxy", "kubernetes", "nginx", "systemd"]
