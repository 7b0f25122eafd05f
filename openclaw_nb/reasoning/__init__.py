"""How deep an agent thinks: the four levels, and what they cost."""

__all__: list[str] = []
