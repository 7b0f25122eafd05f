"""How the predictor's weights are trained and scored: the measures by hand, and a fit on the hand-written tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from openclaw_nb.corrections import Corrections
from openclaw_nb.reasoning.features import NAMES
from openclaw_nb.reasoning.predictor import Correction
from tests.tools import levels
from tests.tools.levels import AT_LEAST, LOWERS, OWN, RAISES, Bounds, fit, macro_f1, rank_correlation, read, table


def test_macro_f1_is_over_the_levels_that_occur() -> None:
    level = np.array([1, 1, 2, 2])
    assert macro_f1(level, level) == 1
    assert macro_f1(level, np.array([1, 1, 1, 1])) == pytest.approx((2 * 2 / 6 + 0) / 2)
    assert macro_f1(np.array([1, 1, 1, 1]), np.array([1, 2, 2, 4])) == pytest.approx(2 * 1 / 5)


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation(np.array([1.0, 5, 9]), np.array([10.0, 100, 1000])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4])) == pytest.approx(0.9487, abs=1e-4)


def test_a_fit_learns_the_hand_written_tasks_and_keeps_to_its_bounds() -> None:
    rows = read(OWN)
    columns = rows.matrix(NAMES)
    model = fit(columns, rows, Bounds.of(NAMES))
    assert macro_f1(rows.level, model.levels(columns @ model.weights)) > 0.8
    of = dict(zip(NAMES, model.weights, strict=True))
    assert [name for name in RAISES if of[name] < AT_LEAST.get(name, 0) - 1e-9] == []
    assert [name for name in LOWERS if of[name] > 1e-9] == []
    assert (np.diff(model.thresholds) > 0.5).all()


def test_a_source_is_predicted_by_what_the_others_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose labels are the wrong way round spoils the others, and not itself."""
    monkeypatch.setattr(levels, "STEPS", 150)
    monkeypatch.setattr(levels, "RESAMPLES", 20)
    texts = [(f"What is {n}?", 4) for n in range(20)] + [
        (f"Prove that {n} is prime, and derive it.", 1) for n in range(20)
    ]
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(json.dumps({"text": t, "level": n, "source": "odd"}) + "\n" for t, n in texts))
    lines = {line.name: line for line in table(read(OWN, file))}
    assert lines["rank correlation with level, odd"].ours[0] < -0.5
    assert lines["macro-F1, odd"].ours[0] < 0.1


def test_corrections_are_rows_too(tmp_path: Path) -> None:
    kept = Corrections(tmp_path / "corrections.jsonl")
    kept.add(Correction({"translation": 1, "words": 6}, 3))
    rows = read(tmp_path / "corrections.jsonl")
    assert (rows.level.tolist(), rows.source.tolist(), rows.length.tolist()) == ([3], ["yours"], [36.0])
    assert rows.matrix(["translation", "words"]).tolist() == [pytest.approx([np.log(2), np.log(7)])]
