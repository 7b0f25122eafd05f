"""All that is measured: names as the document has them, and labels that take a few known values only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import openclaw_nb
from openclaw_nb.metrics.instruments import CODES, INSTRUMENTS, LATENCY, OTHER, REQUEST

ROOT = Path(openclaw_nb.__file__).parent
DOCUMENT = (
    "openclaw_latency_seconds", "openclaw_tokens_per_second", "openclaw_thread_pool_active", "openclaw_reasoning_level",
)  # fmt: skip


def _codes() -> set[str]:
    """Each ``code="…"`` and ``code = "…"`` in the package."""
    sources = (path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    return {code for source in sources for code in re.findall(r'\bcode ?= ?"([A-Z_]+)"', source)}


def test_every_error_of_ours_has_its_own_code() -> None:
    ours = _codes()
    assert len(ours) > 20
    assert not ours - set(CODES)


@pytest.mark.parametrize("name", DOCUMENT)
def test_the_documents_are_there(name: str) -> None:
    assert name in INSTRUMENTS


def test_labels_are_bounded() -> None:
    for instrument in INSTRUMENTS.values():
        series = 1
        for values in instrument.labels.values():
            series *= len(values)
        assert series <= 40, instrument.name
    assert OTHER in CODES


def test_buckets_hold_the_documents_limit() -> None:
    assert 0.5 in LATENCY
    assert (LATENCY[0], LATENCY[-1]) == (0.005, 30.0)
    assert list(LATENCY) == sorted(set(LATENCY))
    assert list(REQUEST) == sorted(set(REQUEST))
