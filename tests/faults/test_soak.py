"""Soak: a short one, and that it would notice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.faults.soak import Tally, speech, spoken


def test_a_few_hundred_random_faults(figure: Callable[[str, str], None]) -> None:
    # Where a machine stands still for long, who lost the reply to a request may come back after two seconds.
    command = [sys.executable, "-m", "tests.faults.soak", "--faults", "500", "--seed", "3", "--retain", "60"]
    soak = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert soak.stderr == ""
    rows = dict(line.strip().rsplit(maxsplit=1) for line in soak.stdout.splitlines() if line.startswith("  "))
    counts = {name: int(count.replace(",", "")) for name, count in rows.items() if count.replace(",", "").isdigit()}
    assert counts["faults in all"] >= 500
    assert counts["gateway killed"] >= 1
    assert counts["runs"] > 100
    assert [counts[name] for name in ("text lost", "text twice", "model calls beyond one")] == [0, 0, 0]
    figure("soak", f"{counts['faults in all']:,} random faults, {counts['runs']:,} runs: 0 lost, 0 twice")


def test_what_is_not_well() -> None:
    assert Tally(runs=1, stopped=1, gaps=1, again=1).clean
    for wrong in (Tally(lost=1), Tally(twice=1), Tally(beyond=1)):
        assert not wrong.clean
    wrong = Tally()
    wrong.errors["a run hung"] += 1
    assert not wrong.clean


def test_what_the_model_says_is_the_same_each_time() -> None:
    assert speech("1") == speech("1") != speech("2")
    assert spoken("1").encode(errors="surrogatepass")
