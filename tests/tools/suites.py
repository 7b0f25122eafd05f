"""Runs make targets one after the other, whatever each comes to, and ends with what they said and what was not run.

python tests/tools/suites.py lint types unit
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

NOT_RUN = Path("build/not-run.txt")
SUMMARY = re.compile(r"\b(passed|failed|formatted|no issues|Found \d+)\b")


def run(suite: str) -> tuple[int, str]:
    """Run one target with its output passed through; its exit code and the last line in which its runner sums up."""
    print(f"\n== {suite}", flush=True)
    last = ""
    make = subprocess.Popen(
        [os.environ.get("MAKE", "make"), "--no-print-directory", suite],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"OPENCLAW_NB_NOT_RUN": str(NOT_RUN.resolve()), "NO_COLOR": "1"},
        text=True,
        errors="replace",
    )
    assert make.stdout is not None
    for line in make.stdout:
        print(line, end="", flush=True)
        if SUMMARY.search(line):
            last = line.strip().strip("= ")
    return make.wait(), last


def main(suites: list[str]) -> int:
    NOT_RUN.parent.mkdir(exist_ok=True)
    NOT_RUN.unlink(missing_ok=True)
    rows, failed = [], []
    for suite in suites:
        start = time.monotonic()
        code, last = run(suite)
        failed += [suite] * bool(code)
        rows.append(f"{suite:8} {'failed' if code else 'ok':6} {time.monotonic() - start:4.0f} s  {last}")
    print("\n== all", *rows, sep="\n")
    if NOT_RUN.exists():
        print(NOT_RUN.read_text(encoding="utf-8"), end="")
    print(f"failed: {', '.join(failed)}" if failed else "all that ran passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
