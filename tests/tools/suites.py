"""Runs make targets side by side, whatever each comes to, and ends with what they said and what was not run.

python tests/tools/suites.py unit browser kernel lint

ABREAST at once, in the order given: what the first says is shown as it comes, the others' when they end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ABREAST = 4  # on two cores: each waits for half of its time
NOT_RUN = Path("build/not-run.txt")
SUMMARY = re.compile(r"\b(passed|failed|formatted|no issues|Found \d+)\b")


def run(suite: str, live: bool) -> tuple[bool, str]:
    """Run one target and show what it says; whether it failed, and its row in the recap, with its runner's summary."""
    said = [f"\n== {suite}\n"]
    last, start = "", time.monotonic()
    if live:
        print(*said, end="", flush=True)
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
        said.append(line)
        if live:
            print(line, end="", flush=True)
        if SUMMARY.search(line):
            last = line.strip().strip("= ")
    failed = make.wait() != 0
    if not live:
        print("".join(said), end="", flush=True)
    return failed, f"{suite:13} {'failed' if failed else 'ok':6} {time.monotonic() - start:4.0f} s  {last}"


def main(suites: list[str]) -> int:
    NOT_RUN.parent.mkdir(exist_ok=True)
    NOT_RUN.unlink(missing_ok=True)
    with ThreadPoolExecutor(ABREAST) as pool:
        ended = list(pool.map(run, suites, [suite == suites[0] for suite in suites]))
    failed = [suite for suite, (bad, _) in zip(suites, ended, strict=True) if bad]
    print("\n== all", *(row for _, row in ended), sep="\n")
    if NOT_RUN.exists():
        print(NOT_RUN.read_text(encoding="utf-8"), end="")
    print(f"failed: {', '.join(failed)}" if failed else "all that ran passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
