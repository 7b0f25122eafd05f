"""Messages as a session keeps them, for tests that put states together by hand."""

from __future__ import annotations

from typing import Any


def asked(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def answered(content: str, **note: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "run": content[:5], "level": 2, "model": "offline"} | note
