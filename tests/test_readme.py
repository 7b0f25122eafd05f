"""README.md says what is: its script runs, and its tables are those of the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from openclaw_nb.commands import COMMANDS
from openclaw_nb.options import OPTIONS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="this test needs the source tree")


def text() -> str:
    return README.read_text(encoding="utf-8")


def row(left: str, right: str) -> str:
    """A line of a Markdown table, in which a bar has to be escaped."""
    left, right = (cell.replace("|", "\\|") for cell in (left, right))
    return f"| `{left}` | {right} |"


def rows(beginning: str) -> list[str]:
    """The lines of a table that begin like this."""
    return [line for line in text().splitlines() if line.startswith(f"| `{beginning}")]


def test_the_scripts_run_as_printed(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    printed = []
    for script in re.findall(r"```python\n(.*?)```", text(), re.DOTALL):
        file.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(done.stdout)
    assert "12" in printed[0]


def test_the_table_of_options() -> None:
    wanted = [row(f"{option.name} {option.value}".strip(), option.help) for option in OPTIONS.values()]
    assert rows("--") == wanted


def test_the_table_of_commands() -> None:
    wanted = [row(f"%openclaw {name} {command.takes}".strip(), command.help) for name, command in COMMANDS.items()]
    assert rows("%openclaw ") == wanted


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = text().split("| what it needs | why |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in line.split("|")[1].strip().split(", ")}
    assert named == {re.split(r"[>=;\s]", wanted)[0] for wanted in project["dependencies"]}


def test_every_room_is_on_its_floor() -> None:
    rooms = {
        path.stem
        for path in (ROOT / "openclaw_nb").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    floors = [line for line in text().splitlines() if re.match(r"\| \d \| ", line)]
    named = {name.rstrip("/") for line in floors for name in re.findall(r"`(\w+/?)`", line)}
    assert named == rooms - {"__init__", "version"}


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)|(?:src|srcset)=\"(?!http)([^\"]+)", text())
    missing = [name for pair in targets for name in pair if name and not (ROOT / name).exists()]
    assert missing == []
