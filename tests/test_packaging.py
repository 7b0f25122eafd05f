"""The package as others get it: built where there is no Node, with what it needs inside and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from openclaw_nb.version import __version__

ROOT = Path(__file__).parents[1]
# Other suites run beside this one, and what they keep there comes and goes.
KEPT = (".git", ".venv", "build", ".*_cache", "__pycache__", ".hypothesis", ".vite*")
MADE = shutil.ignore_patterns(*KEPT, "dist", "node_modules", "static")
INFO = f"openclaw_nb-{__version__}.dist-info"
OFFLINE = ("No matching distribution found", "npm error code ENOTFOUND", "npm error network")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="these tests need the source tree")


def _build(source: Path, out: Path, path: str) -> Path:
    """What ``pip wheel`` makes of ``source`` on a machine whose PATH is ``path``."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path}, timeout=300)
    if done.returncode and any(sign in done.stdout + done.stderr for sign in OFFLINE):
        pytest.skip("no package index can be reached from here, so no wheel was built")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def no_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with a shell and nothing else, in particular no node."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("sh", "env"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    assert shutil.which("node", path=str(folder)) is None
    return str(folder)


@pytest.fixture(scope="module")
def wheel(no_node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT, folder / "source", ignore=MADE)
    with zipfile.ZipFile(_build(source, folder, no_node)) as archive:
        yield archive


def test_wheel_holds_the_package_and_what_it_shows(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "openclaw_nb").rglob("*.py")}
    assert sources <= names
    built = {f"openclaw_nb/static/{name}.js" for name in ("lanes", "level", "pool", "stream", "timeline")}
    config = {f"openclaw_nb/config/{name}" for name in ("cluster.schema.json", "example.yaml")}
    assert {"openclaw_nb/py.typed", "openclaw_nb/reasoning/weights.json", *config, *built} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"openclaw_nb", INFO}
    assert not [name for name in names if name.endswith((".ts", ".map", ".ipynb"))]


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(wheel.read(f"{INFO}/METADATA").decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "openclaw_nb"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == project["requires-python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert f"{INFO}/licenses/LICENSE" in wheel.namelist()
    assert "openclaw-nb = openclaw_nb.cli:main" in wheel.read(f"{INFO}/entry_points.txt").decode()
    assert not [r for r in metadata.get_all("Requires-Dist", []) if "node" in r and "extra ==" not in r]


def test_floors_are_given() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (r for group in project["optional-dependencies"].values() for r in group)
    assert not [r for r in [*project["dependencies"], *extras] if ">=" not in r and not r.startswith("openclaw_nb[")]


def _hatch(target: str, source: Path, out: Path, first: Path) -> Path:
    """What hatchling makes of ``source`` with the commands in the folder ``first`` before all others."""
    path = os.pathsep.join([str(first), os.environ["PATH"]])
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr[-3000:]
    return next(out.iterdir())


def test_sdist_builds_without_npm(tmp_path: Path) -> None:
    """An sdist carries the built files, so whoever installs from it downloads no JavaScript."""
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(*KEPT))
    own_node = Path(sys.executable).parent
    with tarfile.open(_hatch("sdist", source, tmp_path / "sdist", own_node)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert {"js/package.json", "js/package-lock.json", "js/src/stream.ts", "openclaw_nb/static/stream.js"} <= names
    assert {"notebooks/quickstart.ipynb", "README.md", "LICENSE", "tests/conftest.py"} <= names
    assert not [name for name in names if "node_modules" in name or name.startswith((".venv", "build"))]
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "npm").write_text("#!/bin/sh\nexit 1\n")
    (broken / "npm").chmod(0o755)
    _hatch("wheel", next((tmp_path / "unpacked").iterdir()), tmp_path / "wheel", broken)
