"""Which store a command takes, and what it says of that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openclaw_nb.cli import main
from openclaw_nb.sessions.storage import locate
from openclaw_nb.snapshots import SnapshotStore


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; the user's data are elsewhere."""
    monkeypatch.delenv("OPENCLAW_NB_SNAPSHOTS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def keep(path: Path, label: str, age: float = 0) -> Path:
    with SnapshotStore(path) as store:
        store.append("main", [], label=label)
    os.utime(path, (0, 2_000_000_000 - age))
    return path


def test_the_one_that_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keep(project / "own.db", "mine")
    assert main(["snapshots", "list", "--store", "own.db"]) == 0
    printed, said = capfd.readouterr()
    assert "mine" in printed
    assert said == ""


def test_that_of_a_notebook(project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    beside = keep(locate("beside", Path("a.ipynb")), "beside")
    data = keep(locate("data", Path("a.ipynb")), "data")
    for choice, path, label in (("", data, "data"), ("beside", beside, "beside"), ("memory", beside, "beside")):
        monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", choice)
        assert main(["snapshots", "list", "--notebook", "a.ipynb"]) == 0
        printed, said = capfd.readouterr()
        assert label in printed
        assert said == f"[snapshots in {path}]\n"
    data.unlink()
    monkeypatch.delenv("OPENCLAW_NB_SNAPSHOTS")
    assert main(["snapshots", "list", "--notebook", str(project / "a.ipynb")]) == 0
    assert "beside" in capfd.readouterr().out


def test_the_one_used_last(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def taken() -> str:
        assert main(["snapshots", "list"]) == 0
        return capfd.readouterr().err

    keep(locate("data", Path("/x/old.ipynb")), "old", age=100)
    newest = keep(locate("data", Path("/x/new.ipynb")), "new", age=50)
    assert taken() == f"[snapshots in {newest}]\n"
    here = keep(locate("data"), "the working directory's", age=1000)
    assert taken() == f"[snapshots in {here}]\n"
    beside = keep(locate("beside", project / "a.ipynb"), "beside", age=500)
    assert taken() == f"[snapshots in {beside}]\n"


def test_none_is_made(project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "empty.db").touch()
    for arguments, words in (
        ([], "no snapshots are kept here yet; name their file with --store, or its --notebook"),
        (["--store", "no.db"], "there is no snapshot store at no.db"),
        (["--store", "empty.db"], "there is no snapshot store at empty.db"),
        (["--store", "."], "there is no snapshot store at ."),
        (["--notebook", "b.ipynb"], "nothing is kept of b.ipynb; looked for "),
    ):
        assert main(["snapshots", "verify", *arguments]) == 1
        printed, said = capfd.readouterr()
        assert printed == ""
        assert said.startswith(f"openclaw-nb: {words}")
        assert said.count("\n") == 1
    assert (project / "empty.db").stat().st_size == 0
    assert [path.name for path in project.iterdir()] == ["empty.db"]
    assert not (tmp_path / "data").exists()


def test_a_setting_that_cannot_be_taken(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "nearby")
    assert main(["snapshots", "list"]) == 1
    assert capfd.readouterr().err.startswith("openclaw-nb: OPENCLAW_NB_SNAPSHOTS: 'nearby' is none of ")


def test_not_both(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["snapshots", "list", "--store", "a", "--notebook", "b"])
    assert "not allowed with" in capfd.readouterr().err
