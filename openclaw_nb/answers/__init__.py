"""How a turn gets its answer from a model: at once, with tools, gone on with, or by deliberation."""

__all__: list[str] = []
