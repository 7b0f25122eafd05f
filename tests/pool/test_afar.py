"""A pool without an executor imports no Dask; with one its agents work there (see tests/distributed)."""

from __future__ import annotations

import subprocess
import sys

from openclaw_nb.pool.afar import executor_of


def test_none() -> None:
    assert executor_of(None, 4) is None


def test_dask_is_left_alone() -> None:
    code = (
        "import sys; from openclaw_nb import Runtime, ThreadPool\n"
        "with ThreadPool() as pool: pool.execute(['coder'], 'go', timeout=100).result(100)\n"
        "Runtime.shared().close(); print('distributed' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"
