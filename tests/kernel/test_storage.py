"""storage: a real kernel keeps to a file of its notebook, and what it starts does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
WHERE = "from openclaw_nb.sessions.storage import place; print(place().path)"
CELLS = f"""{WHERE}
import subprocess, sys; print(subprocess.run([sys.executable, "-c", {WHERE!r}], capture_output=True, text=True).stdout)
__vsc_ipynb_file__ = "/home/me/in code.ipynb"; print(place().path)
"""


def environment(folder: Path) -> dict[str, str]:
    """That of a user who has set nothing, with ``folder`` for all data."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    return env | {"XDG_DATA_HOME": str(folder), "IPYTHONDIR": str(folder / "ipython")}


@pytest.mark.leaks("jupyter_client keeps a loop's pipe")
def test_a_kernel_keeps_to_the_file_of_its_notebook(tmp_path: Path) -> None:
    env = environment(tmp_path) | {"JPY_SESSION_NAME": "/x/a b.ipynb", "JUPYTER_PREFER_ENV_PATH": "1"}
    said: list[str] = []
    manager, client = start_new_kernel(env=env, cwd=str(tmp_path))
    try:
        client.execute_interactive(CELLS, timeout=60, output_hook=lambda m: said.append(m["content"].get("text", "")))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    notebook, script, code = "".join(said).split()
    folder = tmp_path / "openclaw_nb" / "snapshots"
    assert Path(notebook).parent == Path(code).parent == folder
    assert Path(notebook).name.startswith("a-b-")
    assert Path(code).name.startswith("in-code-")
    assert script == "None"


def test_ipython_in_a_terminal_is_no_kernel(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--quick", "--no-banner", "-c", f"{WHERE.replace('place()', 'place({})')}"],
        capture_output=True, text=True, timeout=60, check=True,
        env=environment(tmp_path),
    )  # fmt: skip
    assert done.stdout.split() == ["None"]
