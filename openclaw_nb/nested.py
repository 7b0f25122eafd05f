"""`asyncio.run()` inside a cell, on the user's word: a patch of asyncio, so never applied on import."""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.metadata import version

from .errors import ConfigError

__all__ = ["set_nested"]


def set_nested(on: bool) -> str:
    """Patch the running loop, or say why not. ConfigError where no patch is safe.

    nest-asyncio 1.6 loses queued cells on ipykernel 7; nest-asyncio2 does not.
    """
    if not on:
        raise ConfigError("asyncio cannot be un-patched; restart the kernel to switch nesting off")
    safe = "nest_asyncio2" if int(version("ipykernel").partition(".")[0]) >= 7 else "nest_asyncio"
    try:
        patch = import_module(safe)
    except ImportError:
        raise ConfigError(f"nesting is safe on this ipykernel only with {safe}; pip install {safe}") from None
    patch.apply(asyncio.get_event_loop())
    return f"on, by {safe}: asyncio.run() works in cells until the kernel restarts"
