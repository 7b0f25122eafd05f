"""storage: where snapshots lie, what of them stays, and what is done where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import ModelName, SessionManager

from openclaw_nb.errors import ConfigError
from openclaw_nb.sessions.storage import Retention, Storage, files_of, locate, name_of, place, recent_file
from openclaw_nb.snapshots import SnapshotStore


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder of this package; the working directory is a project."""
    for name in ("OPENCLAW_NB_SNAPSHOTS", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "data" / "openclaw_nb" / "snapshots"


def digest(path: str | Path) -> str:
    return blake2b(os.fsencode(path), digest_size=4).hexdigest()


# -- where ---------------------------------------------------------------------------------------------


def test_outside_a_kernel_it_is_memory(data: Path) -> None:
    assert place() == place({"x": 1}) == Storage()
    store, trouble = place().open()
    with store:
        assert (store.path, trouble) == (":memory:", "")
    assert not data.exists()


def test_a_notebook_has_a_file_of_its_own(data: Path, tmp_path: Path) -> None:
    notebook = tmp_path / "project" / "plan.ipynb"
    here = place(environ={"JPY_SESSION_NAME": str(notebook)}, kernel=True)
    assert here.path == data / f"plan-{digest(notebook)}.db"
    elsewhere = place(environ={"JPY_SESSION_NAME": str(tmp_path / "plan.ipynb")}, kernel=True)
    assert elsewhere.path is not None
    assert elsewhere.path.name.startswith("plan-")
    assert elsewhere != here
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert place(environ={"JPY_SESSION_NAME": str(tmp_path / "link" / "plan.ipynb")}, kernel=True) == here


def test_a_notebook_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By it a gateway elsewhere knows its conversation: the same tomorrow, and another one in the next folder."""
    names: dict[str, set[str]] = {}
    for folder in ("a", "b", "a"):
        monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / folder / "Sales 2026.ipynb"))
        names.setdefault(folder, set()).add(name_of({}))
    assert all(len(found) == 1 for found in names.values())
    assert names["a"] != names["b"]
    assert min(names["a"]).startswith("Sales-2026-")


def test_what_the_installed_jupyter_server_says_is_understood(data: Path, tmp_path: Path) -> None:
    kernels = AsyncMappingKernelManager(root_dir=str(tmp_path))  # type: ignore[no-untyped-call]
    sessions = SessionManager(kernel_manager=kernels)  # type: ignore[no-untyped-call]
    try:
        names = {"a.ipynb": ModelName("a.ipynb"), "": ModelName(""), None: None}
        said = {name: sessions.get_kernel_env("project/a.ipynb", given) for name, given in names.items()}
    finally:
        sessions.close()  # type: ignore[no-untyped-call]
    whole = locate("data", tmp_path / "project" / "a.ipynb")
    assert place(environ=said["a.ipynb"], kernel=True).path == whole
    assert place(environ=said[None], kernel=True).path == whole
    assert place(environ=said[""], kernel=True).path == locate("data") == data / f"project-{digest(Path.cwd())}.db"


def test_visual_studio_code_knows_better_than_its_server(data: Path) -> None:
    environ = {"JPY_SESSION_NAME": "/srv/a-jvsc-9cb2.ipynb"}
    found = place({"__vsc_ipynb_file__": "/home/me/a.ipynb"}, environ, kernel=True)
    assert found.path == data / f"a-{digest('/home/me/a.ipynb')}.db"
    for nonsense in (None, 7, "", "a\0b.ipynb"):
        found = place({"__vsc_ipynb_file__": nonsense}, environ, kernel=True)
        assert found.path == locate("data", Path(environ["JPY_SESSION_NAME"]))


def test_a_name_that_a_script_inherits_from_a_kernel_is_not_its_own(data: Path) -> None:
    environ = {"JPY_SESSION_NAME": "/home/me/a.ipynb", "OPENCLAW_NB_SNAPSHOTS": "data"}
    assert place(environ=environ, kernel=False).path == locate("data")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a b/c:d*e?.ipynb", "c-d-e"),
        ("../..", "notebook"),
        ("größe 数据.v2.ipynb", "größe-数据-v2"),
        ("CON.ipynb", "CON"),
        ("nul", "nul"),
        ("x" * 300 + ".ipynb", "x" * 40),
        ("\u202egnp.ipynb", "gnp"),
        ("a\nb\x1b[2J.ipynb", "a-b-2J"),
        ("\udcff.ipynb", "notebook"),
        ("'; DROP TABLE.ipynb", "DROP-TABLE"),
        ("数" * 300, "数" * 40),
    ],
)
def test_any_name_makes_a_file(data: Path, name: str, stem: str) -> None:
    if name == "../..":
        name = "/"  # what that would lead to
    path = locate("data", Path(name))
    assert path.parent == data
    assert path.stem.rpartition("-")[0] == stem
    assert len(os.fsencode(path.name)) < 200
    store, trouble = Storage(path).open()
    with store:
        assert (store.path, trouble) == (str(path), "")


def test_beside_the_notebook_and_never_in_a_commit(data: Path, tmp_path: Path) -> None:
    environ = {"JPY_SESSION_NAME": str(tmp_path / "project" / "a.ipynb"), "OPENCLAW_NB_SNAPSHOTS": "beside"}
    there = place(environ=environ, kernel=True)
    folder = tmp_path / "project" / ".openclaw_nb"
    assert there.path == folder / f"a-{digest('a.ipynb')}.db"
    store, trouble = there.open()
    with store:
        store.append("main", [{"role": "user", "content": "private"}])
        assert trouble == ""
        assert folder.stat().st_mode & 0o077 == 0
        git = ["git", "-c", "safe.directory=*", "-C", str(tmp_path / "project")]
        subprocess.run([*git, "init", "-q"], check=True)
        seen = subprocess.run([*git, "status", "--short", "-uall"], check=True, capture_output=True, text=True)
        assert seen.stdout == ""
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = place(environ=environ | {"JPY_SESSION_NAME": str(tmp_path / "moved" / "a.ipynb")}, kernel=True)
    again, trouble = moved.open()
    with again:
        assert [message["content"] for message in again.get().state["messages"]] == ["private"]
    (tmp_path / "moved" / ".openclaw_nb" / ".gitignore").write_text("*.log\n")
    moved.open()[0].close()
    assert (tmp_path / "moved" / ".openclaw_nb" / ".gitignore").read_text() == "*.log\n"


def test_a_folder_of_ones_own(data: Path, tmp_path: Path) -> None:
    environ = {"JPY_SESSION_NAME": "/x/a.ipynb", "OPENCLAW_NB_SNAPSHOTS": str(tmp_path / "own" / "deep")}
    there = place(environ=environ, kernel=True)
    assert there.path == tmp_path / "own" / "deep" / locate("data", Path("/x/a.ipynb")).name
    store, trouble = there.open()
    with store:
        assert trouble == ""
        assert str(there) == f"snapshots are kept in {there.path}, up to 256 MB, for 30 days"
    assert place(environ={"OPENCLAW_NB_SNAPSHOTS": "memory"}, kernel=True).path is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OPENCLAW_NB_SNAPSHOTS", "besides", "'besides' is none of data, beside, memory, and no absolute folder"),
        ("OPENCLAW_NB_SNAPSHOTS", "./here", "'./here' is none of"),
        ("OPENCLAW_NB_SNAPSHOTS", "~nobody-of-this-name/x", "'~nobody-of-this-name/x' is none of"),
        ("OPENCLAW_NB_SNAPSHOTS_MB", "much", "'much' is not a number above 0"),
        ("OPENCLAW_NB_SNAPSHOTS_MB", "0", "'0' is not a number above 0"),
        ("OPENCLAW_NB_SNAPSHOTS_DAYS", "-1", "'-1' is not a number above 0"),
        ("OPENCLAW_NB_SNAPSHOTS_DAYS", "nan", "'nan' is not a number above 0"),
    ],
)
def test_a_setting_that_cannot_be_taken_is_one_sentence(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        place(environ={name: value}, kernel=True)
    assert str(error.value).startswith(f"{name}: {words}")
    assert "\n" not in str(error.value)


def test_the_working_directory_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    store, trouble = place(environ={}, kernel=True).open()
    with store:
        assert trouble == ""


# -- where nothing can be written ----------------------------------------------------------------------


def in_memory(path: Path) -> str:
    """Why a store that was to lie at ``path`` is in memory, once it was seen to work there."""
    store, trouble = Storage(path).open()
    with store:
        assert store.path == ":memory:"
        store.append("main", [{"role": "user", "content": "x"}])
        assert store.sessions()
    assert trouble.startswith("snapshots are in memory only and end with this process: ")
    assert "\n" not in trouble
    return trouble


def test_a_place_that_is_not_there_or_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "s.db", Path("/proc/openclaw/s.db"), tmp_path / "gone" / ".openclaw_nb" / "s.db"):
        assert str(path) in in_memory(path)
    assert not (tmp_path / "gone").exists()


def test_a_home_that_cannot_be_found(data: Path) -> None:
    assert "no absolute path" in in_memory(Path("~/.local/share/s.db"))
    assert list(Path.cwd().iterdir()) == []


def test_a_file_that_is_something_else_or_damaged_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for content in (b"my notes" * 1000, b"SQLite format 3\0" + b"\1" * 5000):
        path.write_bytes(content)
        assert str(path) in in_memory(path)
        assert path.read_bytes() == content


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_read_only_file_or_folder(tmp_path: Path) -> None:
    for part in (tmp_path, *tmp_path.parents):
        if part != Path("/tmp") and part.is_relative_to("/tmp"):
            part.chmod(0o755)
    SnapshotStore(tmp_path / "mine.db").close()
    (tmp_path / "mine.db").chmod(0o666)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    SnapshotStore(tmp_path / "open" / "fixed.db").close()
    (tmp_path / "open" / "fixed.db").chmod(0o444)
    os.seteuid(65534)
    try:
        assert "Permission denied" in in_memory(tmp_path / "new.db") or "cannot be opened" in in_memory(
            tmp_path / "new.db"
        )
        in_memory(tmp_path / "mine.db")
    finally:
        os.seteuid(0)


FULL = """
import resource, signal, sys
from pathlib import Path
from openclaw_nb.sessions.storage import Storage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
store, trouble = Storage(Path(sys.argv[1])).open()
store.append("main", [{"role": "user", "content": "x"}])
print(store.path, trouble)
"""


@pytest.mark.parametrize("room", [0, 33_000])  # as much as SQLite needs to read, or to begin, but not to go on
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk(tmp_path: Path, there: bool, room: int) -> None:
    path = tmp_path / "s.db"
    if there:
        SnapshotStore(path).close()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(room)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith(":memory: snapshots are in memory only"), done.stderr


# -- what stays ----------------------------------------------------------------------------------------


def grown(path: Path) -> SnapshotStore:
    """A store whose session went another way each time, half of it taken in the middle of runs."""
    store = SnapshotStore(path)
    named = store.append("main", [{"role": "user", "content": "n" * 20_000}], label="kept by hand")
    store.point("main", None)
    store.append("other", [{"role": "user", "content": "o" * 20_000}])
    for n in range(100):
        store.point("main", None)
        message = {"role": "user", "content": f"{n} " * 8000}
        store.append("main", [message], kind="checkpoint" if n % 2 else "turn", n=n)
    assert named.id in {snapshot.id for snapshot in store.list()}
    return store


def test_too_much_goes_oldest_first_and_the_middle_of_runs_before_all(tmp_path: Path) -> None:
    grown(tmp_path / "s.db").close()
    size = (tmp_path / "s.db").stat().st_size
    with SnapshotStore(tmp_path / "s.db") as store:
        assert Retention(max_bytes=size).apply(store) == 0
        gone = Retention(max_bytes=size * 0.7).apply(store)
        left = store.list()
        assert 20 <= gone < 60
        assert len(left) == 102 - gone
        turns = [one.facts["n"] for one in left if one.facts.get("kind") == "turn"]
        middles = [one.facts["n"] for one in left if one.facts.get("kind") == "checkpoint"]
        assert turns == list(range(0, 100, 2)), "a turn went while there was the middle of a run"
        assert middles == list(range(101 - 2 * len(middles), 101, 2))
        assert store.verify() == []
    assert (tmp_path / "s.db").stat().st_size <= size * 0.7


def test_what_was_named_and_where_a_session_stands_stays_however_big(tmp_path: Path) -> None:
    with grown(tmp_path / "s.db") as store:
        later = store.list()[30]
        store.name(later.id, "afterwards")
        heads = {head.id for head in store.sessions().values()}
        assert Retention(max_bytes=1).apply(store) == 98
        left = store.list()
        assert {one.label for one in left} == {"kept by hand", "afterwards", ""}
        assert heads < {one.id for one in left}
        assert len(left) == 4
        assert later.state["n"] == 28


def test_too_old_goes(tmp_path: Path) -> None:
    with grown(tmp_path / "s.db") as store:
        assert Retention(days=1).apply(store) == 0
        assert Retention(days=1e-12).apply(store) == 99
        assert {one.label for one in store.list()} == {"kept by hand", ""}


# -- files of others -----------------------------------------------------------------------------------


def test_the_files_of_a_notebook_begin_with_the_chosen_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Path("a.ipynb")
    assert files_of(notebook) == [locate("data", notebook), locate("beside", notebook)]
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "beside")
    assert files_of(notebook) == [locate("beside", notebook), locate("data", notebook)]
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "memory")
    assert files_of(notebook) == [locate("beside", notebook), locate("data", notebook)]
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", "/srv/s")
    assert files_of(notebook)[0].parent == Path("/srv/s")


def test_the_file_used_last(data: Path) -> None:
    assert recent_file() is None
    first, second = locate("data", Path("/x/a.ipynb")), locate("data", Path("/x/b.ipynb"))
    for age, path in ((20, second), (10, first)):
        SnapshotStore(path).close()
        os.utime(path, (0, 1000 - age))
    assert recent_file() == first
    with SnapshotStore(second) as store:
        store.append("main", [])
        os.utime(second, (0, 0))  # what is new is in SQLite's log
        assert recent_file() == second
    beside = locate("beside", Path("c.ipynb"))
    SnapshotStore(beside).close()
    assert recent_file() == beside
