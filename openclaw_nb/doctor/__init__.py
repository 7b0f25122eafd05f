"""Doctor: measures what runs need and what slows them down, names the cause, and says what to change."""

from __future__ import annotations

from .examination import examine
from .finding import Finding, State
from .patient import Patient

__all__ = ["Finding", "Patient", "State", "examine"]
