"""openclaw-nb snapshots: what is kept is shown, compared, returned to, thinned out and checked."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.cli import main
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.snapshots import SnapshotStore
from tests.cli.processes import run
from tests.conversations import answered, asked

Snapshots = Callable[..., tuple[int, str, str]]

HOSTILE = "\x1b]0;owned\x07\u202e\nyou\n<b>"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two turns in `main`, of which the first is named; a branch, `other`; and in it a run that was cut."""
    path = tmp_path / "kept.db"
    with SnapshotStore(path) as store:
        first = store.append("main", [asked("what is it?"), answered("a table")], level=2, spent=0.01, kind="turn")
        store.name(first.id, "before lunch")
        store.append("main", [asked("why?"), answered("because", cost=0.02)], level=3, spent=0.03, kind="turn")
        store.point("other", first.id)
        table = {"df": {"format": "arrow", "data": "x" * 5000}}
        base = store.append("other", [asked(HOSTILE), answered(HOSTILE)], vars=table, kind="turn")
        record = {
            "id": "cut-run",
            "agent": "main",
            "message": "the long question",
            "level": 2,
            "model": None,
            "budget": None,
            "at": 4,
            "base": base.id,
            "tokens": 2,
            "offset": 8,
            "calls": [],
            "state": "running",
        }
        parts = [answered("one ", run="cut-run", part=0), answered("two ", run="cut-run", part=1)]
        store.append("other", [asked("the long question"), *parts], merge=False, kind="checkpoint", run=record)
    return path


@pytest.fixture
def snapshots(file: Path, capfd: pytest.CaptureFixture[str]) -> Snapshots:
    """`openclaw-nb snapshots COMMAND --store FILE …`; its exit code, what it printed, and what it said beside."""

    def command(name: str, *arguments: str | Path, store: Path = file) -> tuple[int, str, str]:
        code = main(["snapshots", name, "--store", str(store), *map(str, arguments)])
        return code, *capfd.readouterr()

    return command


def ids(file: Path) -> list[str]:
    with SnapshotStore(file) as store:
        return [snapshot.id for snapshot in store.list()]


# -- list ----------------------------------------------------------------------------------------------


def test_list(snapshots: Snapshots, file: Path) -> None:
    first, second, third, cut = ids(file)
    code, printed, said = snapshots("list")
    assert (code, said) == (0, "")
    with SnapshotStore(file) as store:
        days = [time.strftime("%Y-%m-%d ", time.localtime(one.created)) for one in store.list()]
    rows = [line.split("  ") for line in printed.splitlines()]
    assert [row[0] for row in rows] == [first, second, third, cut]
    assert all(row[1].startswith(day) for row, day in zip(rows, days, strict=True))
    words = [" ".join(" ".join(row[2:]).split()) for row in rows]
    assert words[0].startswith("main turn +2 2 messages ")
    assert words[0].endswith(" B before lunch")
    assert words[1].endswith(" B here: main")
    assert words[2].startswith("other turn +2 4 messages ")
    assert words[2].endswith(" B here: other")
    assert words[3].startswith("other checkpoint +3 7 messages ")
    assert words[3].endswith(" B cut in the middle of a run")


def test_list_of_some(snapshots: Snapshots, file: Path) -> None:
    first, second, third, cut = ids(file)
    for arguments, wanted in (
        (["--session", "main"], [first, second]),
        (["--limit", "1"], [cut]),
        (["--limit", "9"], [first, second, third, cut]),
        (["--session", "other", "--limit", "1"], [cut]),
        (["--limit", "0"], []),
        (["--session", "nobody"], []),
    ):
        code, printed, said = snapshots("list", *arguments)
        assert (code, [line[:16] for line in printed.splitlines()]) == (0, wanted)
        assert said == ("" if wanted else "[none yet]\n")
        assert [entry["id"] for entry in json.loads(snapshots("list", "--json", *arguments)[1])] == wanted


def test_list_as_json(snapshots: Snapshots, file: Path) -> None:
    with SnapshotStore(file) as store:
        kept = store.list()
    entries = json.loads(snapshots("list", "--json")[1])
    assert [(e["id"], e["parent"], e["created"], e["session"], e["size"], e["facts"]) for e in entries] == [
        (s.id, s.parent, s.created, s.session, s.size, s.facts) for s in kept
    ]
    assert [(e["name"], e["messages"], e["added"], e["stands_here"], e["cut"]) for e in entries] == [
        ("before lunch", 2, 2, [], False),
        ("", 4, 2, ["main"], False),
        ("", 4, 2, ["other"], False),
        ("", 7, 3, [], True),
    ]


def test_what_the_user_stopped_is_not_cut(snapshots: Snapshots, file: Path) -> None:
    with SnapshotStore(file) as store:
        record = store.list()[-1].state["run"] | {"state": "stopped", "base": store.sessions()["main"].id}
        store.append("main", [asked("the long question"), answered("one", stopped=True)], run=record)
    assert [entry["cut"] for entry in json.loads(snapshots("list", "--json")[1])] == [False, False, False, True, False]


@pytest.mark.parametrize("state", [{"run": 7}, {"run": {"base": None}}, {"run": {"id": []}, "messages": ["x"]}])
def test_a_state_that_no_engine_wrote(snapshots: Snapshots, file: Path, state: dict[str, Any]) -> None:
    with SnapshotStore(file) as store:
        id = store.put(state, session="odd").id
    assert [snapshots(*command)[0] for command in (["list"], ["show", id], ["diff", "main", id])] == [0, 0, 0]


def test_what_a_snapshot_adds_is_not_known_once_its_parent_is_pruned(snapshots: Snapshots, file: Path) -> None:
    with SnapshotStore(file) as store:
        store.prune(keep=1)
    entries = json.loads(snapshots("list", "--json")[1])
    assert [entry["added"] for entry in entries] == [None, None, 3]
    assert snapshots("list")[0] == 0


# -- show, diff ----------------------------------------------------------------------------------------


def test_show(snapshots: Snapshots, file: Path) -> None:
    first = ids(file)[0]
    with SnapshotStore(file) as store:
        size, created = store.list()[0].size, time.localtime(store.list()[0].created)
    for which in (first, first[:6], "before lunch"):
        code, printed, _ = snapshots("show", which)
        lines = printed.splitlines()
        made = lines.pop(3)
        assert made.startswith(time.strftime("made      %Y-%m-%d ", created))
        assert (code, lines) == (0, [
            f"id        {first}",
            "name      before lunch",
            "session   main",
            f"messages  2, {size} B of them new",
            "level     2",
            "spent     $0.01",
            "kind      turn",
            "",
            "you",
            "  what is it?",
            "",
            "agent",
            "  a table",
        ])  # fmt: skip


def test_a_text_cannot_pass_as_what_is_said_of_it(snapshots: Snapshots, file: Path) -> None:
    _, _, third, cut = ids(file)
    _, printed, _ = snapshots("show", third)
    assert "here      session other stands here" in printed.splitlines()
    assert "variable  df: arrow, 5.0 kB" in printed.splitlines()
    assert "xxx" not in printed
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert [line for line in printed.splitlines() if line == "you"] == ["you"] * 2
    assert "  ␛]0;owned␇\n  you\n  <b>\n" in printed
    _, printed, _ = snapshots("show", cut)
    assert "run       running, 2 tokens had come; the long question" in printed.splitlines()
    assert printed.endswith("\nyou\n  the long question\n\nagent\n  one two \n")


def test_show_as_json_has_it_all(snapshots: Snapshots, file: Path) -> None:
    third = ids(file)[2]
    code, printed, _ = snapshots("show", third, "--json")
    shown = json.loads(printed)
    with SnapshotStore(file) as store:
        assert (code, shown["state"]) == (0, store.get(third).state)
    assert (shown["id"], shown["stands_here"], shown["cut"]) == (third, ["other"], False)
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_diff(snapshots: Snapshots, file: Path) -> None:
    _, second, third, _ = ids(file)
    code, printed, _ = snapshots("diff", "main", third[:8])
    lines = printed.splitlines()
    assert (code, lines[:3]) == (0, ["common    2 messages", "", f"a         main · {second}"])
    assert "  agent   because" in lines
    assert "df        a: not there · b: arrow, 5.0 kB" in lines
    assert "\x1b" not in printed


# -- restore -------------------------------------------------------------------------------------------


def test_restore_puts_a_session_there(snapshots: Snapshots, file: Path) -> None:
    first, second, _, _ = ids(file)
    code, printed, said = snapshots("restore", "before lunch", "--session", "main")
    assert (code, printed) == (0, f"session main in {file} stands at {first}\n")
    assert "a gateway that serves this file goes on from there" in said
    assert f"%openclaw restore {first[:8]}]\n" in said
    assert snapshots("restore", second, "--session", "a new one")[0] == 0
    with SnapshotStore(file) as store:
        assert {name: head.id for name, head in store.sessions().items()} == {
            "main": first, "other": ids(file)[2], "a new one": second,
        }  # fmt: skip
        assert store.verify() == []


def test_restore_of_a_run_that_was_cut_is_before_its_question(snapshots: Snapshots, file: Path) -> None:
    _, _, third, cut = ids(file)
    _, printed, _ = snapshots("restore", cut, "--session", "other")
    assert printed == f"session other in {file} stands before the question that was cut\n"
    with SnapshotStore(file) as store:
        assert store.sessions()["other"].id == third


def test_restore_to_another_store(snapshots: Snapshots, file: Path, tmp_path: Path) -> None:
    first, _, third, cut = ids(file)
    for which, session in ((third, "other"), (first, "lunch"), (cut, "cut")):
        assert snapshots("restore", which, "--session", session, "--to", tmp_path / "new" / "far.db")[0] == 0
    with SnapshotStore(file) as near, SnapshotStore(tmp_path / "new" / "far.db") as far:
        assert far.head("other").state == near.get(third).state  # type: ignore[union-attr]
        assert far.head("lunch").label == "before lunch"  # type: ignore[union-attr]
        assert far.head("cut").state["messages"] == near.get(third).state["messages"]  # type: ignore[union-attr]
        found = [cut_in(snapshot) for snapshot in far.list()]
        assert [one.text for one in found if one] == ["one two "]
        assert [snapshot.session for snapshot in far.list()][:3] == ["other", "lunch", "cut"]
        assert near.sessions().keys() == {"main", "other"}
        assert far.verify() == []
        assert Memory(far).head("other") is not None


# -- prune, verify -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--keep", "0"], [0, 1, 2, 3]),
        (["--keep", "0", "--named"], [1, 2, 3]),
        (["--keep", "4", "--named"], [0, 1, 2, 3]),
        (["--older-than", "1", "--named"], [0, 1, 2, 3]),
        (["--older-than", "0", "--named"], [1, 2, 3]),
        (["--max-mb", "1", "--named"], [0, 1, 2, 3]),
        (["--max-mb", "0", "--named"], [1, 2, 3]),
    ],
)
def test_prune(snapshots: Snapshots, file: Path, tmp_path: Path, arguments: list[str], left: list[int]) -> None:
    before = ids(file)
    gone = len(before) - len(left)
    words = f"{gone} snapshot{'' if gone == 1 else 's'}"
    bytes_before = file.read_bytes()
    assert snapshots("prune", "--dry-run", *arguments) == (0, f"{words} would go, {len(left)} would stay\n", "")
    assert (ids(file), file.read_bytes()) == (before, bytes_before)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.db"]
    assert snapshots("prune", *arguments) == (0, f"{words} removed, {len(left)} stay\n", "")
    assert ids(file) == [before[n] for n in left]


def test_prune_needs_to_be_told_what(snapshots: Snapshots, file: Path) -> None:
    wanted = "openclaw-nb: say what may go: --keep N, --older-than DAYS or --max-mb N\n"
    assert snapshots("prune", "--named") == (1, "", wanted)


def test_verify(snapshots: Snapshots, file: Path) -> None:
    assert snapshots("verify") == (0, "sound: 4 snapshots, 2 sessions\n", "")
    with sqlite3.connect(file) as db:
        db.execute("UPDATE messages SET body = replace(body, 'table', 'chair')")
    db.close()
    code, printed, said = snapshots("verify")
    assert (code, said) == (1, "")
    assert "messages are damaged" in printed.splitlines()[0]
    assert len(printed.splitlines()) == 5
    code, _, said = snapshots("show", "before lunch")
    assert code == 1
    assert said.startswith(f"openclaw-nb: snapshot {ids(file)[0]} is damaged in the file and cannot be restored")
    assert said.count("\n") == 1


def test_a_damaged_snapshot_does_not_hide_the_others(snapshots: Snapshots, file: Path) -> None:
    before = ids(file)
    with sqlite3.connect(file) as db:
        db.execute("UPDATE snapshots SET created = created + 1 WHERE seq = 2")
    db.close()
    code, printed, said = snapshots("list")
    assert (code, [line[:16] for line in printed.splitlines()]) == (0, before)
    assert "(damaged)" in printed.splitlines()[1]
    assert said.startswith("[where sessions stand is not known: ")


# -- what cannot be done -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "ffff"], "there is no snapshot ffff; the nearest: "),
        (["show", "lunch"], "'lunch' is no snapshot id: 16 digits 0-9a-f, or the first 4; the nearest: "),
        (["diff", "main", "nobody"], "'nobody' is no snapshot id"),
        (["restore", "before lunch", "--session", ""], "a session's name has 1 to 100 printable characters"),
    ],
)
def test_what_is_not_there_is_one_sentence(snapshots: Snapshots, arguments: list[str], words: str) -> None:
    code, printed, said = snapshots(*arguments)
    assert (code, printed) == (1, "")
    assert said.startswith(f"openclaw-nb: {words}")
    assert said.count("\n") == 1


def test_an_ambiguous_id_is_one_sentence(snapshots: Snapshots, tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    with SnapshotStore(path) as store:
        known: dict[str, str] = {}
        while True:  # until two begin alike: some 300 of 65,536
            id = store.put({"n": len(known)}).id
            if id[:4] in known:
                break
            known[id[:4]] = id
    code, _, said = snapshots("show", id[:4], store=path)
    both = ", ".join(sorted((known[id[:4]], id)))
    assert (code, said) == (1, f"openclaw-nb: {id[:4]} may be each of several snapshots: {both}\n")


@pytest.mark.parametrize("content", [b"my notes\n" * 500, b"SQLite format 3\0" + b"\1" * 9000])
def test_a_file_that_is_no_store_is_one_sentence_and_stays(
    snapshots: Snapshots, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    for command in (["list"], ["verify"], ["show", "x"], ["prune", "--keep", "1"]):
        code, printed, said = snapshots(*command, store=path)
        assert (code, printed, said.count("\n")) == (1, "", 1)
        assert said.startswith("openclaw-nb: ")
        assert str(path) in said
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune", "--keep", "-1"],
        ["prune", "--older-than", "nan"],
        ["prune", "--max-mb", "inf"],
        ["list", "--limit", "x"],
    ],
)
def test_a_limit_that_is_no_number(
    snapshots: Snapshots, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        snapshots(*arguments)
    assert end.value.code == 2
    assert "0 or more" in capfd.readouterr().err


def test_as_a_person_runs_it(file: Path, tmp_path: Path) -> None:
    """In processes of their own, while another one has the file open and writes to it."""
    with SnapshotStore(file) as store:
        before = store.append("main", [asked("meanwhile")]).id
        listed = run("snapshots", "list", "--store", str(file), env={"PYTHONIOENCODING": "ascii"})
        assert (listed.returncode, listed.stderr) == (0, "")
        assert before in listed.stdout
        assert run("snapshots", "restore", "before lunch", "--session", "main", "--store", str(file)).returncode == 0
        head = store.head("main")
        assert head is not None
        assert head.label == "before lunch"
    shutil.copy(file, tmp_path / "copy.db")
    assert run("snapshots", "verify", "--store", "copy.db", cwd=tmp_path).stdout.startswith("sound: 5 snapshots")
