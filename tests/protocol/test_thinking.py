"""How deep a model is told to think: never deeper than it was asked for, where the model has anything less deep."""

from __future__ import annotations

import pytest

from openclaw_nb.protocol.thinking import ORDER, nearest


@pytest.mark.parametrize(
    ("wanted", "allowed", "told"),
    [
        ("medium", ORDER, "medium"),
        ("medium", ("off",), "off"),
        ("medium", ("high", "low", "off"), "low"),
        ("off", ("low", "high"), "low"),
        ("high", ("adaptive", "low"), "low"),
        ("medium", (), "medium"),
        ("medium", ("adaptive",), "medium"),
        ("deeper", ("off",), "deeper"),
    ],
)
def test_nearest(wanted: str, allowed: tuple[str, ...], told: str) -> None:
    assert nearest(wanted, allowed) == told
