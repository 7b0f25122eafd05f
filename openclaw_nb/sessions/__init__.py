"""Conversations: where each stands, what a run works on, one run at a time, and where all of it lies."""

__all__: list[str] = []
