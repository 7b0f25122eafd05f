"""Trains and judges the predictor of levels: the weights in openclaw_nb/reasoning/weights.json, and a table of scores.

python -m tests.tools.levels table [--data FILE] [--corrections FILE]
python -m tests.tools.levels train --data FILE [--corrections FILE]

FILE has a JSON object a line: text, level 1-4, source and, where known, depth. Corrections are what `corrections.py`
keeps of the user's own. In the table each source is predicted by a model that has seen none of it, but all the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openclaw_nb.reasoning.features import GROUPS, NAMES, extract
from openclaw_nb.reasoning.predictor import HARD, WEIGHTS, ReasoningLevelPredictor, short_of

__all__ = ["Rows", "macro_f1", "pairs", "rank_correlation", "read", "table"]

HERE = Path(__file__).parents[1] / "reasoning"
OWN = HERE / "own.jsonl"
PAIRS = HERE / "pairs.jsonl"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OWN_WEIGHT = 6.0
"""What the hand-written tasks, that are of every kind, count beside each of the other sources."""

ULTRA_WEIGHT = 0.8
"""What a task of level 4 counts beside others: a 4 too many costs money, one too few a second question."""

RANK_WEIGHT = 3.0
"""What the order of two tasks of one source counts beside the levels: no offset between sources can learn it."""

SHRINK, SHRINK_TOPICS = 3e-4, 3e-2
"""Ridge penalties. What a task is about gives away its source, and says little of its depth."""

STEPS, RATE = 600, 0.05
RESAMPLES = 1_000

RAISES = frozenset(
    {name for name in GROUPS["task_complexity"] if name not in {
        "translation", "conversion", "arithmetic", "edit", "definition", "fact", "small talk", "brevity", "quantity",
        "questions", "quotation", "summary", "writing", "recommendation", "story",
    }} | {"words", "sentences"}
)  # fmt: skip
"""Features that may only raise a level, whatever the data say: more to do is not less to think about."""

AT_LEAST = dict.fromkeys(("code", "conditions", "constraints", "data", "depth", "items", "requests", "steps"), 0.1)
"""The least weight of features that the labelled tasks say too little of."""

LOWERS = frozenset({"small talk", "brevity", "edit", "fact", "definition"})
"""Features that may only lower one."""


@dataclass(frozen=True)
class Rows:
    """Tasks: features, length in characters, level, depth (the level where none is stated) and source of each."""

    features: list[dict[str, int]]
    length: Floats
    level: Ints
    depth: Floats
    source: NDArray[np.str_]

    def take(self, which: NDArray[Any]) -> Rows:
        at = np.flatnonzero(which)
        few = [self.features[i] for i in at]
        return Rows(few, self.length[at], self.level[at], self.depth[at], self.source[at])

    def matrix(self, names: Sequence[str]) -> Floats:
        """log(1 + count) of the named features, a row for each task."""
        place = {name: i for i, name in enumerate(names)}
        made = np.zeros((len(self.features), len(names)))
        for row, features in enumerate(self.features):
            for name, count in features.items():
                if name in place:
                    made[row, place[name]] = np.log1p(count)
        return made


def read(*files: Path) -> Rows:
    """Rows of files with a text, or with the features of one, whose length is then that of its words."""
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
    return Rows(
        [line["features"] if "features" in line else extract(line["text"]) for line in lines],
        np.array([len(x["text"]) if "text" in x else 6 * x["features"].get("words", 1) for x in lines], float),
        np.array([line["level"] for line in lines]),
        np.array([line.get("depth", line["level"]) for line in lines], float),
        np.array([line.get("source", "yours") for line in lines]),
    )


# -- the model: ordinal regression, with the order within each source -----------------------------------------------


class Model(NamedTuple):
    """Weights of columns, and the thresholds between levels 1|2, 2|3 and 3|4."""

    weights: Floats
    thresholds: Floats

    def sums(self, columns: Floats, hard: NDArray[np.bool_]) -> Floats:
        """The weighted features; of tasks that are not hard, short of level 4."""
        sums = columns @ self.weights
        return np.array([x if h else short_of(x, self.thresholds[2]) for x, h in zip(sums, hard, strict=True)])

    def levels(self, sums: Floats) -> Ints:
        return np.asarray(1 + (sums[:, None] > self.thresholds).sum(1))


class Bounds(NamedTuple):
    """How small and how big each weight may be, and how much it is shrunk."""

    low: Floats
    high: Floats
    shrink: Floats

    @classmethod
    def of(cls, names: Sequence[str]) -> Bounds:
        return cls(
            np.array([AT_LEAST.get(name, 0.0) if name in RAISES else -np.inf for name in names]),
            np.array([0.0 if name in LOWERS else np.inf for name in names]),
            np.array([SHRINK_TOPICS if name in GROUPS["domain"] else SHRINK for name in names]),
        )


def fit(columns: Floats, rows: Rows, bounds: Bounds) -> Model:
    """Adam on the log-likelihood of the levels and of the order within sources; every source and level weighs alike."""
    means = columns.mean(0)
    centred = columns - means
    weight = _weights(rows)
    more, less = _ordered(rows)
    apart = centred[more] - centred[less]
    steps = _Adam(len(means) + 3)
    weights, thresholds = np.zeros(len(means)), np.array([-1.0, 0.5, 2.0])
    for step in range(STEPS):
        to_sums, to_thresholds = _likelihood(centred @ weights, thresholds, rows.level, weight)
        to_order = -_sigmoid(-(apart @ weights)) / max(1, len(apart))
        gradient = centred.T @ to_sums + RANK_WEIGHT * (apart.T @ to_order) + 2 * bounds.shrink * weights
        moved = RATE * (1 - 0.9 * step / STEPS) * steps.direction(np.concatenate([gradient, to_thresholds]))
        weights = np.clip(weights - moved[:-3], bounds.low, bounds.high)
        thresholds = np.sort(thresholds - moved[-3:])
    return Model(weights, thresholds + means @ weights)


class _Adam:
    """The step of Adam (Kingma and Ba, 2015)."""

    def __init__(self, size: int) -> None:
        self.first, self.second, self.count = np.zeros(size), np.zeros(size), 0

    def direction(self, gradient: Floats) -> Floats:
        self.count += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.99 * self.second + 0.01 * gradient**2
        first, second = self.first / (1 - 0.9**self.count), self.second / (1 - 0.99**self.count)
        return np.asarray(first / (np.sqrt(second) + 1e-8))


def _likelihood(sums: Floats, thresholds: Floats, level: Ints, weight: Floats) -> tuple[Floats, Floats]:
    """Gradients of the cumulative logit's negative log-likelihood, by the sums and by the thresholds."""
    above = _sigmoid(sums[:, None] - thresholds)
    edges = np.concatenate([np.ones((len(sums), 1)), above, np.zeros((len(sums), 1))], 1)
    slopes = edges * (1 - edges)
    at, below = np.arange(len(sums)), level - 1
    share = weight / np.maximum(edges[at, below] - edges[at, below + 1], 1e-9)
    to_sums = -share * (slopes[at, below] - slopes[at, below + 1])
    signs = (below[:, None] == np.arange(1, 4)).astype(float) - (below[:, None] == np.arange(3))
    return to_sums, (share[:, None] * slopes[:, 1:4] * signs).sum(0)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def _weights(rows: Rows) -> Floats:
    weight = np.zeros(len(rows.level))
    for source in np.unique(rows.source):
        here = rows.source == source
        levels = np.unique(rows.level[here])
        for level in levels:
            cell = here & (rows.level == level)
            share = (OWN_WEIGHT if source == "own" else 1.0) * (ULTRA_WEIGHT if level == 4 else 1.0)
            weight[cell] = share / len(levels) / cell.sum()
    return np.asarray(weight / weight.sum())


def _ordered(rows: Rows) -> tuple[Ints, Ints]:
    """Pairs of tasks of one source of which the first is deeper, 2,500 of each source."""
    random = np.random.default_rng(0)
    more, less = [np.zeros(0, int)], [np.zeros(0, int)]
    for source in np.unique(rows.source):
        here = np.flatnonzero(rows.source == source)
        one, other = random.choice(here, 6_000), random.choice(here, 6_000)
        deeper = np.flatnonzero(rows.depth[one] > rows.depth[other])[:2_500]
        more.append(one[deeper])
        less.append(other[deeper])
    return np.concatenate(more), np.concatenate(less)


# -- the scores ----------------------------------------------------------------------------------------------------


def macro_f1(level: Ints, predicted: Ints) -> float:
    """The mean F1 of the levels that occur. Where only one does it is that one's F1: others predicted cost recall."""
    scores = []
    for each in np.unique(level):
        hits = int(((predicted == each) & (level == each)).sum())
        scores.append(2 * hits / int((predicted == each).sum() + (level == each).sum()))
    return float(np.mean(scores))


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, ties by their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


class Line(NamedTuple):
    """A line of the table: a score of the predictor, of length alone and their difference, each with low and high."""

    name: str
    ours: tuple[float, float, float]
    length: tuple[float, float, float]
    difference: tuple[float, float, float]
    n: int

    def __str__(self) -> str:
        cells = (
            f"{mid:6.3f} [{low:6.3f}, {high:6.3f}]" for mid, low, high in (self.ours, self.length, self.difference)
        )
        return f"{self.name:44} {self.n:5}  {'  '.join(cells)}"


def line(name: str, n: int, score: Callable[[Ints, int], float]) -> Line:
    """Both scores on all of ``n`` items, and on 1,000 bootstrap samples of them; ``score(items, which)``."""
    random = np.random.default_rng(1)
    samples = [np.arange(n), *(random.integers(0, n, n) for _ in range(RESAMPLES))]
    both = np.array([[score(sample, which) for which in (0, 1)] for sample in samples])
    columns = (both[:, 0], both[:, 1], both[:, 0] - both[:, 1])
    made = [(c[0], *np.percentile(c[1:], [2.5, 97.5])) for c in columns]
    ours, length, difference = ((float(a), float(b), float(c)) for a, b, c in made)
    return Line(name, ours, length, difference, n)


class _HeldOut(NamedTuple):
    """What was predicted for every row by the two models that had not seen its source: sums and levels of each."""

    sums: Floats
    levels: Ints


def _leave_one_source_out(rows: Rows) -> _HeldOut:
    free = Bounds(np.array([-np.inf]), np.array([np.inf]), np.array([SHRINK]))
    hard = np.array([bool(HARD & features.keys()) for features in rows.features])
    ours = (rows.matrix(NAMES), Bounds.of(NAMES), hard)
    both = (ours, (np.log1p(rows.length)[:, None], free, hard | True))
    sums, levels = np.zeros((2, len(rows.level))), np.zeros((2, len(rows.level)), int)
    for source in np.unique(rows.source):
        out = rows.source == source
        for which, (columns, bounds, able) in enumerate(both):
            model = fit(columns[~out], rows.take(~out), bounds)
            sums[which, out] = model.sums(columns[out], able[out])
            levels[which, out] = model.levels(sums[which, out])
    return _HeldOut(sums, levels)


def table(rows: Rows | None = None) -> list[Line]:
    """All lines: of the sources of ``rows``, where there are any, and of the pairs, with the shipped weights."""
    lines = []
    if rows is not None:
        held = _leave_one_source_out(rows)
        given = rows.source != "own"
        for name, which in (("all but own", given), *((str(s), rows.source == s) for s in np.unique(rows.source))):
            at = np.flatnonzero(which)
            score = _f1_of(rows, held, at)
            single = " (one level)" if len(np.unique(rows.level[at])) == 1 else ""
            lines.append(line(f"macro-F1, {name}{single}", len(at), score))
        for source in np.unique(rows.source):
            at = np.flatnonzero(rows.source == source)
            if len(np.unique(rows.depth[at])) > 1:
                by = "level" if (rows.depth[at] == rows.level[at]).all() else "depth"
                lines.append(line(f"rank correlation with {by}, {source}", len(at), _rank_of(rows, held, at)))
    return [*lines, *pairs()]


def _f1_of(rows: Rows, held: _HeldOut, at: Ints) -> Callable[[Ints, int], float]:
    return lambda sample, which: macro_f1(rows.level[at[sample]], held.levels[which, at[sample]])


def _rank_of(rows: Rows, held: _HeldOut, at: Ints) -> Callable[[Ints, int], float]:
    return lambda sample, which: rank_correlation(rows.depth[at[sample]], held.sums[which, at[sample]])


def pairs() -> list[Line]:
    """How often the harder of two hand-written tasks is the one predicted to be; half a point where they tie."""
    told = [json.loads(text) for text in PAIRS.read_text(encoding="utf-8").splitlines()]
    look = ReasoningLevelPredictor().look
    ours = [look(pair["harder"]).score - look(pair["easier"]).score for pair in told]
    length = [len(pair["harder"]) - len(pair["easier"]) for pair in told]
    right = (np.sign(np.array([ours, length], float)) + 1) / 2
    held = np.array([pair["held"] for pair in told])
    short = np.array([pair["kind"] == "short-hard" for pair in told])
    return [
        line(f"pairs, {name}", int(which.sum()), lambda sample, row, of=right[:, which]: float(of[row, sample].mean()))  # type: ignore[misc]
        for name, which in (
            ("all", held | True), ("short but hard, long but easy", short), ("used to tune", ~held), ("held back", held)
        )
    ]  # fmt: skip


# -- the command ---------------------------------------------------------------------------------------------------


def train(rows: Rows) -> None:
    """Fit a model for every choice of feature groups, and write them; then their scores beside them."""
    models = {}
    for groups in (c for n in range(1, len(GROUPS) + 1) for c in combinations(GROUPS, n)):
        names = [name for group in groups for name in GROUPS[group]]
        model = fit(rows.matrix(names), rows, Bounds.of(names))
        models[" + ".join(groups)] = {
            "thresholds": [round(float(t), 3) for t in model.thresholds],
            "weights": {name: round(float(w), 3) + 0.0 for name, w in zip(names, model.weights, strict=True)},
        }
    sources, counts = np.unique(rows.source, return_counts=True)
    about = {
        "what": "sum of weight * log(1 + count) of the features; above a threshold the next level begins",
        "trained by": "python -m tests.tools.levels train",
        "rows": {str(source): int(count) for source, count in zip(sources, counts, strict=True)},
        "sources": "own: hand-written, tests/reasoning/own.jsonl; clinc: clinc/oos-eval (CC BY 3.0); nq: NQ-open"
        " (CC BY-SA 3.0); gsm8k: grade-school-math (MIT); math: AGIEval (MIT)",
    }
    write = {"about": about, "scores": {}, "models": dict(reversed(models.items()))}
    _write(write)
    lines = table(rows)
    write["scores"] = {x.name: {"predictor": _rounded(x.ours), "length alone": _rounded(x.length)} for x in lines}
    _write(write)
    show(lines)


def _rounded(numbers: Iterable[float]) -> str:
    middle, low, high = numbers
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def _write(data: dict[str, Any]) -> None:
    WEIGHTS.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


FOOT = """\
Each with its 95 % bootstrap interval. Macro-F1 is over the levels that occur in a source; where that is one level, it
is its F1, which only recall moves. Every source is predicted by a model trained on all others, and on own, which is
hand-written. Length alone is log(characters) in the same model, trained in the same way. The pairs train nothing."""


def show(lines: Iterable[Line]) -> None:
    head = ("predictor", "length alone", "difference")
    print(f"{'':44} {'n':>5}  {'  '.join(f'{name:23}' for name in head)}")
    print(*lines, sep="\n")
    print(FOOT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.levels", description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=["table", "train"])
    parser.add_argument("--data", type=Path, help="labelled tasks, a JSON object a line")
    parser.add_argument("--corrections", type=Path, help="what the user's own runs taught, a JSON object a line")
    given = parser.parse_args()
    files = [file for file in (given.data, given.corrections) if file is not None]
    if given.command == "train":
        if not files:
            parser.error("train needs --data FILE, --corrections FILE or both")
        train(read(OWN, *files))
    else:
        show(table(read(OWN, *files) if files else None))


if __name__ == "__main__":
    main()
