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
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore

WRITERS = """
import os, sys
from openclaw_nb.snapshots import SnapshotStore

def write(path):
    store = SnapshotStore(path)
    head = store.head("main")
    n = len(head.state["messages"]) if head else 0
    while True:
        n += 1
        tip = head.id if head else ""
        for part in range(2):
            said = [{"content": f"part {part} of {n} " + "y" * (n * 53 % 900)}]
            fork = store.append("main", said, parent=tip, merge=False, kind="checkpoint", n=n, part=part)
            tip = fork.id
            print("fork", fork.id, n, flush=True)
        message = {"content": f"{n} " + "x" * (n * 37 % 3000)}
        others = {"n": n, "big": "y" * (n % 300)}
        if n % 2:
            head = store.append("main", [message], **others)
        else:
            messages = head.state["messages"] if head else []
            head = store.put({"messages": [*messages, message], **others}, session="main")
        print("turn", head.id, n, flush=True)
        store.name(head.id, "best")
        print("name", head.id, n, flush=True)

for line in sys.stdin:  # a writer for each, without the imports of a new process
    child = os.fork()
    if not child:
        write(sys.argv[1])
    print("writer", child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""
SIDE_BY_SIDE = """
import sys
from openclaw_nb.snapshots import SnapshotStore, database
database._WAIT = 120.0  # whoever has the lock may stand still for a while
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
refused, best = 0, None
for step in range(60):
    size = max(os.path.getsize(sys.argv[1] + end) for end in ("", "-wal"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + step * 1500, resource.RLIM_INFINITY))
    said = [{"content": str(step)}, {"content": "z" * 20_000}]
    try:
        match step % 3:
            case 0:
                snapshot = store.put({"messages": said, "step": step}, session="main")
            case 1:
                snapshot = store.append("main", said, merge=False, kind="checkpoint", step=step)
            case _:
                snapshot = store.append("other", said, step=step)
        kept[snapshot.id] = snapshot.state
        store.name(snapshot.id, "best")
        best = snapshot.id
    except SnapshotError as error:
        assert "was not kept" in str(error) or "was not named" in str(error), error
        refused += 1
    assert best is None or store.find("best").id == best
    assert {s.id: s.state for s in store.list()} == kept
    assert store.get().id == list(kept)[-1]
    if step % 10 == 9:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            store.prune(keep=3, spare_named=True)
        except SnapshotError as error:
            raise SystemExit(f"prune: {error}")
        kept = {s.id: s.state for s in store.list()}
assert store.verify() == []
print(json.dumps([refused, kept]))
"""


def run(script: str, *args: Any, **streams: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], text=True, **streams)


def killed_once(writers: subprocess.Popen[str], lines: int, seconds: float) -> list[list[str]]:
    """Let one write until it has told of so many snapshots, and so many seconds more; all that it told."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("next\n")
    writers.stdin.flush()
    (_, child), told = writers.stdout.readline().split(), []
    while len(told) < lines:
        told.append(writers.stdout.readline())
    time.sleep(seconds)
    os.kill(int(child), signal.SIGKILL)
    while (line := writers.stdout.readline()) != "gone\n":
        told.append(line.removesuffix("gone\n"))
        if line.endswith("gone\n"):
            break
    return [line.split() for line in told if line.endswith("\n")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_killed_while_it_writes(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    dice, path, kills = random.Random(21), tmp_path / "s.db", 100
    last, told_of = 0, 0
    with run(WRITERS, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writers:
        for kill in range(kills):
            lines = dice.randrange(0, 12)
            told = killed_once(writers, lines, dice.random() * (0.003 if lines or kill % 3 else 0.02))
            told_of += len(told)
            with SnapshotStore(path) as store:
                assert store.verify() == [], kill
                for _, id, n in told:
                    assert store.get(id).state["n"] == int(n)
                turns = [(id, int(n)) for kind, id, n in told if kind == "turn"]
                last = turns[-1][1] if turns else last
                head = store.head("main")
                if head is None:
                    assert not last
                    continue
                state = head.state
                assert state["n"] in (last, last + 1)  # it may have been killed before it could tell
                last = state["n"]
                assert [int(m["content"].split()[0]) for m in state["messages"]] == list(range(1, last + 1))
                assert store.get().state["n"] in (last, last + 1)
                named = [int(n) for kind, _, n in told if kind == "name"]
                if named:
                    assert store.find("best").state["n"] in range(named[-1], last + 1)
        assert writers.stdin is not None
        writers.stdin.close()
    assert last > kills
    figure("reliability 21", f"newest complete snapshot after SIGKILL: {kills} of {kills}, {told_of:,} writes, 0 lost")


def small_store(path: Path) -> dict[str, dict[str, Any]]:
    """With each kind of row: turns, a branch, a fork with its checkpoints, values that lie apart, labels and names."""
    with SnapshotStore(path) as store:
        for n in range(61):  # so that some rows are in the indexes, and some in none yet
            store.append("bulk", [{"n": n}])
        for n in range(8):
            store.append("main", [{"role": "user", "content": f"{n} " * 20}], n=n, big="b" * (100 + n // 4))
        made = [snapshot.id for snapshot in store.list()[61:]]
        store.point("branch", made[3])
        store.append("branch", [{"role": "user", "content": "other " * 60}], label="branch")
        tip = made[-1]
        for part in range(2):
            said = [{"role": "assistant", "content": f"part {part}"}]
            tip = store.append("main", said, parent=tip, merge=False, kind="checkpoint", run={"id": "x" * 40}).id
        store.put({"messages": [], "deep": [[{"x": -0.0}]]}, session="third", label="third")
        for id, name in ((made[1], "early"), (tip, "in the middle"), (made[5], "branch")):
            store.name(id, name)
        return {snapshot.id: snapshot.state for snapshot in store.list()[60:]}


Answers = list[tuple[Callable[[SnapshotStore], Any], Any]]


def answers(path: Path, kept: dict[str, Any]) -> Answers:
    """What can be asked of the sound store, with its answers."""

    def state_of(id: str) -> Callable[[SnapshotStore], Any]:
        return lambda store: store.get(id).state

    asks: list[Callable[[SnapshotStore], Any]] = [
        *map(state_of, kept),
        lambda store: store.get().id,
        lambda store: {name: head.id for name, head in store.sessions().items()},
        lambda store: store.places(),
        *(lambda store, name=name: getattr(store.head(name), "id", None) for name in ("main", "branch", "third")),
        *(lambda store, name=name: store.find(name).id for name in ("early", "in the middle", "branch", "third")),
    ]
    with SnapshotStore(path) as store:
        return [(ask, ask(store)) for ask in asks]


def listed(store: SnapshotStore) -> Any:
    """What may be shorter in a damaged file, if `verify` says so."""
    lasts = [getattr(store.last(name), "id", None) for name in ("main", "branch", "third")]
    return [(snapshot.id, snapshot.label) for snapshot in store.list()], lasts


def test_a_flipped_byte_never_gives_another_state(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    kept = small_store(tmp_path / "good.db")
    wanted = answers(tmp_path / "good.db", kept)
    with SnapshotStore(tmp_path / "good.db") as store:
        lists = listed(store)
    good = (tmp_path / "good.db").read_bytes()
    dice, path = random.Random(23), tmp_path / "flipped.db"
    said = [place for place, byte in enumerate(good) if byte]  # the rest is room for more
    alone = [[place] for place in (*range(100), *dice.choices(said, k=1_650), *dice.choices(range(len(good)), k=250))]
    together = [dice.sample(said, 8) for _ in range(1_000)]  # as of a bad sector; it would be longer one by one
    wrong: list[str] = []
    noticed = 0
    for places in (*alone, *together):
        data = bytearray(good)
        for place in places:
            data[place] ^= dice.randrange(1, 256)
        path.write_bytes(data)
        noticed += _look(path, wanted, lists, wrong, places)
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
    assert wrong == []
    assert noticed > 2_000
    flips = len(alone) + 8 * len(together)
    figure(
        "reliability 23",
        f"{flips:,} byte flips, {len(alone):,} alone and the others eight at once: {noticed:,} of "
        f"{len(alone) + len(together):,} files noticed, the rest without effect, 0 wrong states",
    )


def _look(path: Path, wanted: Answers, lists: Any, wrong: list[str], places: list[int]) -> bool:
    """Whether anything was noticed; what is neither noticed nor as it was goes into ``wrong``."""
    try:
        store = SnapshotStore(path)
    except SnapshotError:
        return True
    refused = False
    with store:
        for ask, answer in wanted:
            try:
                if (got := ask(store)) != answer:
                    wrong.append(f"bytes {places}: {got!r:.80}")
            except SnapshotError:
                refused = True
        try:
            same = bool(listed(store) == lists)
        except SnapshotError:
            same = False
        if (refused or not same) and places[0] % 4 == 0 and not store.verify():
            wrong.append(f"bytes {places}: verify() finds nothing")
    return refused or not same


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit of a file's size")
def test_a_full_disk_at_any_write(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    path = tmp_path / "s.db"
    small_store(path)
    with run(FULL, path, stdout=subprocess.PIPE) as writer:
        output, _ = writer.communicate(timeout=300)
    assert writer.returncode == 0
    refused, kept = json.loads(output)
    assert 5 < refused < 60
    with SnapshotStore(path) as store:
        assert store.verify() == []
        assert {snapshot.id: snapshot.state for snapshot in store.list()} == kept
    figure("reliability 22", f"disk full at {refused} of 60 writes: each a SnapshotError, every older snapshot intact")


def test_several_processes_create_and_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.db"
    start, go = os.pipe()
    writers = [run(SIDE_BY_SIDE, path, name, stdin=start, stdout=subprocess.PIPE) for name in "abc"]
    os.close(start)
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    os.close(go)  # lets all of them go at once
    assert [writer.communicate(timeout=300) and writer.returncode for writer in writers] == [0, 0, 0]
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
