"""What the snapshot store survives: kills, flipped bytes, a full disk, other writers, files that mean harm."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore

WRITER = """
import sys
from openclaw_nb.snapshots import SnapshotStore
store = SnapshotStore(sys.argv[1])
head = store.head("main")
n = len(head.state["messages"]) if head else 0
while True:
    n += 1
    message = {"content": f"{n} " + "x" * (n * 37 % 3000)}
    if n % 2:
        snapshot = store.append("main", [message], n=n, big="y" * (n % 300))
    else:
        head = store.head("main")
        messages = head.state["messages"] if head else []
        state = {"messages": [*messages, message], "n": n, "big": "y" * (n % 300)}
        snapshot = store.put(state, session="main")
    print(snapshot.id, n, flush=True)
"""
SIDE_BY_SIDE = """
import sys
from openclaw_nb.snapshots import SnapshotStore
print("ready", flush=True)
sys.stdin.readline()
with SnapshotStore(sys.argv[1]) as store:
    for n in range(60):
        store.append("shared", [{"content": f"{sys.argv[2]} {n}"}])
        store.put({"messages": [{"content": sys.argv[2]}] * n, "n": n}, session=sys.argv[2])
        if n % 20 == 19:
            store.prune(keep=30)
"""
FULL = """
import json, os, resource, signal, sys
from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SnapshotStore(sys.argv[1])
kept = {s.id: s.state for s in store.list()}
refused = 0
for step in range(60):
    size = max(os.path.getsize(sys.argv[1] + end) for end in ("", "-wal"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + step * 1500, resource.RLIM_INFINITY))
    state = {"messages": [{"content": str(step)}, {"content": "z" * 20_000}], "step": step}
    try:
        snapshot = store.put(state, session="main")
        kept[snapshot.id] = state
    except SnapshotError as error:
        assert "was not kept" in str(error), error
        refused += 1
    assert {s.id: s.state for s in store.list()} == kept
    assert store.get().id == list(kept)[-1]
    if step % 10 == 9:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            store.prune(keep=3)
        except SnapshotError as error:
            raise SystemExit(f"prune: {error}")
        kept = {s.id: s.state for s in store.list()}
assert store.verify() == []
print(json.dumps([refused, kept]))
"""


def run(script: str, *args: Any, **streams: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], text=True, **streams)


def test_killed_while_it_writes(tmp_path: Path) -> None:
    dice, path, last = random.Random(21), tmp_path / "s.db", 0
    for round in range(20):
        with run(WRITER, path, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(dice.randrange(0, 40))]
            time.sleep(dice.random() * (0.3 if not lines else 0.003))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n") and line.strip()]
        last = int(told[-1][1]) if told else last
        with SnapshotStore(path) as store:
            assert store.verify() == [], round
            for id, n in told:
                assert store.get(id).state["n"] == int(n)
            if not told and not last and not store.list():
                continue
            state = store.get().state
            assert state["n"] in (last, last + 1)
            assert [int(message["content"].split()[0]) for message in state["messages"]] == list(
                range(1, state["n"] + 1)
            )
            assert store.head("main") == store.get()
            last = state["n"]
    assert last > 100


def small_store(path: Path) -> dict[str, dict[str, Any]]:
    with SnapshotStore(path) as store:
        for n in range(30):
            store.append("main", [{"role": "user", "content": f"{n} " * 40}], n=n, big="b" * (100 + n // 10))
        store.point("branch", store.list()[10].id)
        for n in range(10):
            store.append("branch", [{"role": "user", "content": f"other {n} " * 60}], label="branch")
        store.put({"messages": [], "deep": [[{"x": -0.0}]]}, session="third")
        return {snapshot.id: snapshot.state for snapshot in store.list()}


def test_a_flipped_byte_never_gives_another_state(tmp_path: Path) -> None:
    kept = small_store(tmp_path / "good.db")
    newest = list(kept)[-1]
    with SnapshotStore(tmp_path / "good.db") as store:
        heads = {name: head.id for name, head in store.sessions().items()}
    good = (tmp_path / "good.db").read_bytes()
    dice = random.Random(23)
    wrong: list[str] = []
    noticed = 0
    for place in sorted(dice.sample(range(len(good)), 300) + list(range(60))):
        data = bytearray(good)
        data[place] ^= dice.randrange(1, 256)
        path = tmp_path / "flipped.db"
        path.write_bytes(data)
        problems = _look(path, kept, newest, heads, wrong, place)
        noticed += problems
        for leftover in tmp_path.glob("flipped.db*"):
            leftover.unlink()
    assert wrong == []
    assert noticed > 60


def _look(path: Path, kept: dict[str, Any], newest: str, heads: dict[str, str], wrong: list[str], place: int) -> bool:
    """Whether anything was noticed; what is neither noticed nor as it was goes into ``wrong``."""
    try:
        store = SnapshotStore(path)
    except SnapshotError:
        return True
    noticed = False
    with store:
        problems = store.verify()
        for ask, wanted in [
            *((lambda id=id: store.get(id).state, state) for id, state in kept.items()),
            (lambda: store.get().id, newest),
            *((lambda name=name: getattr(store.head(name), "id", None), id) for name, id in heads.items()),
            (lambda: {name: head.id for name, head in store.sessions().items()}, heads),
        ]:  # fmt: skip
            try:
                if ask() != wanted:
                    wrong.append(f"byte {place}: another answer")
            except SnapshotError:
                noticed = True
        try:
            same = [snapshot.id for snapshot in store.list()] == list(kept)
        except SnapshotError:
            same = False
        if (noticed or not same) and not problems:
            wrong.append(f"byte {place}: verify() finds nothing")
    return bool(noticed or problems)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit of a file's size")
def test_a_full_disk_at_any_write(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    small_store(path)
    with run(FULL, path, stdout=subprocess.PIPE) as writer:
        output, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    refused, kept = json.loads(output)
    assert 5 < refused < 60
    with SnapshotStore(path) as store:
        assert store.verify() == []
        assert {snapshot.id: snapshot.state for snapshot in store.list()} == kept


def test_several_processes_create_and_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.db"
    start, go = os.pipe()
    writers = [run(SIDE_BY_SIDE, path, name, stdin=start, stdout=subprocess.PIPE) for name in "abc"]
    os.close(start)
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    os.close(go)  # lets all of them go at once
    assert [writer.communicate(timeout=60) and writer.returncode for writer in writers] == [0, 0, 0]
    with SnapshotStore(path) as store:
        assert store.verify() == []
        assert set(store.sessions()) == {"shared", "a", "b", "c"}
        said = [message["content"] for message in store.sessions()["shared"].state["messages"]]
        for name in "abc":
            assert [text for text in said if text.startswith(name)] == [f"{name} {n}" for n in range(60)]
            assert store.sessions()[name].state["n"] == 59


class Harm:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def forged(path: Path, body: bytes) -> None:
    """A store whose only message is ``body``, with hashes that fit it."""
    with SnapshotStore(path) as store:
        store.put({"messages": [{"content": "x"}]}, session="main")
    with sqlite3.connect(path) as db:
        chain = blake2b(bytes(16) + body, digest_size=16).digest()
        db.execute("UPDATE messages SET body = ?, chain = ?", (body, chain))
        row = db.execute("SELECT seq, parent, label, session, created, length, others FROM snapshots").fetchone()
        digest = blake2b(repr((*row, chain)).encode(), digest_size=16).digest()
        db.execute("UPDATE snapshots SET digest = ?", (digest,))
        for name in (b"", b"@main"):
            db.execute(
                "UPDATE heads SET seal = ? WHERE name = ?", (blake2b(name + digest, digest_size=16).digest(), name)
            )
    db.close()


def test_nothing_runs(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    bodies = [pickle.dumps(Harm(sentinel)), b"[" * 100_000, b"{'a': 1}", b"\xff\xfe", b"1]} {", b"9" * 10_000]
    for number, body in enumerate(bodies):
        path = tmp_path / f"{number}.db"
        forged(path, body)
        with SnapshotStore(path) as store, pytest.raises(SnapshotError):
            _ = store.get().state
    (tmp_path / "pickled").write_bytes(pickle.dumps(Harm(sentinel)))
    with pytest.raises(SnapshotError, match="no snapshot store"):
        SnapshotStore(tmp_path / "pickled")
    state = {"messages": [{"py/object": "os.system", "content": f"!!python/object/apply:os.mkdir ['{sentinel}']"},
                          {"lc": 1, "type": "constructor", "id": ["os", "mkdir"], "kwargs": {"path": str(sentinel)}},
                          {"__reduce__": ["os.mkdir", [str(sentinel)]], "__class__": "Harm"}]}  # fmt: skip
    with SnapshotStore(tmp_path / "s.db") as store:
        assert store.get(store.put(state).id).state == state
        with pytest.raises(SnapshotError, match="a Harm cannot be kept"):
            store.put({"messages": [{"content": Harm(sentinel)}]})
    assert not sentinel.exists()


def test_a_forged_body_reads_as_data(tmp_path: Path) -> None:
    """The forging above is right, so what it shows is not shown by a hash that does not fit."""
    forged(tmp_path / "s.db", b'{"content":"forged"}')
    with SnapshotStore(tmp_path / "s.db") as store:
        assert store.get().state == {"messages": [{"content": "forged"}]}
        assert store.verify() == []


def test_a_copy_taken_while_it_is_open_is_whole(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        for n in range(20):
            store.append("main", [{"content": str(n)}])
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"s.db{end}", tmp_path / f"copy.db{end}")
    with SnapshotStore(tmp_path / "copy.db") as copy:
        assert len(copy.get().state["messages"]) == 20
