"""Facts 25 and 26 of the design's list for what is kept: no secret is in a snapshot's file, and nothing in it runs."""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import SecretStr

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import AgentSpec, Engine
from openclaw_nb.errors import SnapshotError
from openclaw_nb.gateway import Gateway
from openclaw_nb.models import resolve
from openclaw_nb.prompts import fill
from openclaw_nb.secret import Secret
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.snapshots.records import FORMATS
from openclaw_nb.snapshots.variables import pack, unpack
from tests.security.planted import Planted, files, found
from tests.spine import asynchronous

Figure = Callable[[str, str], None]

IN_ENVIRONMENT = Planted("an environment's key")
WITHOUT_A_NAME = Planted("a variable's value, revealed")
IN_HEADER = Planted("a header's token", plain=True)
IN_ADDRESS = Planted("an address's password", plain=True)
MARKED = Planted("a variable marked secret")
PLANTED = [IN_ENVIRONMENT, WITHOUT_A_NAME, IN_HEADER, IN_ADDRESS, MARKED]

TEXTS = [
    f"The key is {IN_ENVIRONMENT.text}, in JSON {json.dumps(IN_ENVIRONMENT.text)}. ",
    f"DSN {WITHOUT_A_NAME.text} and {WITHOUT_A_NAME.text!r}. ",
    f"curl -H 'Authorization: Bearer {IN_HEADER.text}' -H 'X-Api-Key: {IN_HEADER.text}'\n",
    f"git clone https://ada:{IN_ADDRESS.text}@example.org/x.git and https://{IN_ADDRESS.text}@h ",
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_TEST_API_KEY", IN_ENVIRONMENT.text)
    monkeypatch.setenv("OPENCLAW_NB_TEST_DSN", WITHOUT_A_NAME.text)
    Secret("env:OPENCLAW_NB_TEST_DSN").reveal()


class Vault:
    """An object whose own repr hides nothing, and one attribute of which is marked."""

    def __init__(self) -> None:
        self.key = Secret("env:OPENCLAW_NB_TEST_API_KEY")
        self.password = SecretStr(MARKED.text)

    def __repr__(self) -> str:
        return f"Vault({self.key!r}, {self.password!r}, {self.key.reveal()})"


def names() -> dict[str, object]:
    """What a notebook might have, in which secrets are marked, or are simply there."""
    marked = SecretStr(MARKED.text)
    return {
        "token": Secret("env:OPENCLAW_NB_TEST_API_KEY"), "marked": marked, "vault": Vault(),
        "cfg": {"key": Secret("env:SOME_KEY"), "marked": marked, "value": IN_ENVIRONMENT.text},
        "table": pd.DataFrame({"a": [Secret("env:SOME_KEY"), IN_ENVIRONMENT.text], "b": marked}),
        "long": "x" * 19_975 + IN_ENVIRONMENT.text, "items": ["x" * 275 + IN_ENVIRONMENT.text],
    }  # fmt: skip


def test_not_in_a_prompt() -> None:
    places = (
        "{token} {marked} {vault} {vault.key} {vault.password} {cfg} {cfg['key']} {cfg['value']} {table} {table.a}"
        " {long} {items} {token.reveal}"
    )
    prompt = str(fill(places, names()))
    assert prompt.count("data name=") == 13
    assert "env:OPENCLAW_NB_TEST_API_KEY" in prompt
    assert not found(PLANTED, {"the prompt": prompt.encode("utf-8", "surrogatepass")})


def pieces(text: str) -> list[str]:
    return [text[at : at + 17] for at in range(0, len(text), 17)]


@asynchronous
async def test_not_in_the_files_of_snapshots(tmp_path: Path, figure: Figure) -> None:
    """Runs that say and are told secrets, kept at each piece of them, ended, stopped and failed."""
    places: dict[str, bytes] = {}
    stop = asyncio.Event()

    async def telling(prompt: str) -> AsyncIterator[str]:
        for number, piece in enumerate(pieces("".join(TEXTS))):
            yield piece
            await asyncio.sleep(0.004)  # longer than the interval: a secret is kept at each of its pieces
            if number % 12 == 6:
                places.update({f"{name} at {len(places)}": data for name, data in files(tmp_path).items()})
        if "fail" in prompt:
            raise RuntimeError(f"out of order: {TEXTS[0]}")
        if "wait" in prompt:
            yield IN_ENVIRONMENT.text[: len(IN_ENVIRONMENT.text) // 2]
            stop.set()
            await asyncio.sleep(60)

    with SnapshotStore(tmp_path / "kept.db") as store:
        memory = Memory(store)
        engine = Engine(memory, resolve(telling))
        engine.register(AgentSpec("often", snapshot_interval=0.002))
        async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            question = f"{''.join(TEXTS)} {fill('{cfg} {vault}', names())}"
            await client.send(question, agent="often")
            again = client.send(question, agent="often", idempotency_key="twice")
            assert (await again).status == "done"
            with pytest.raises(Exception, match="out of order"):
                await client.send(f"fail {question}", agent="often")
            run = client.send(f"wait {question}", agent="often", session="other")
            await stop.wait()
            run.cancel()
            await run
        memory.keep("main", "by hand", vars=pack({"token": Secret("env:OPENCLAW_NB_TEST_API_KEY"), "n": 1}))
        memory.close()
        kinds = [snapshot.facts.get("kind") for snapshot in store.list()]
        places |= files(tmp_path)
        said = json.dumps(store.get().state)
        head = store.head("main")
        assert head is not None
        assert type(unpack(head.state["vars"])["token"]) is Secret
    places |= {f"{name}, closed": data for name, data in files(tmp_path).items()}
    assert {"kept.db", "kept.db-wal", "kept.db-shm"} <= {name.split(" at ")[0] for name in places}
    assert kinds.count("checkpoint") > 10, "nothing was kept on the way, so this shows nothing"
    assert "env:OPENCLAW_NB_TEST_API_KEY" in said
    assert not found(PLANTED, places)[:3]
    figure(
        "reliability 25 (snapshots)",
        f"{len(PLANTED)} secrets (environment, header, address, variables marked secret, revealed) in prompts, answers "
        f"and failures of 4 runs, {len(kinds)} snapshots, kept every 2 ms; the store's files, -wal and -shm, looked at "
        f"{len(places)} times: 0 found",
    )


def test_variables_that_hold_them_are_not_kept(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "kept.db") as store:
        for name, value in names().items():
            if name == "token":
                store.put({"vars": pack({name: value})})
                continue
            with pytest.raises(SnapshotError) as refusal:
                store.put({"vars": pack({name: value})})
            assert f"{name} (" in str(refusal.value)
            assert not found(PLANTED, {"the error": repr(refusal.value).encode()})
        assert not found(PLANTED, files(tmp_path))


class Ran:
    """Pickled, this writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def rewritten(file: Path, dump: str, table: str, column: str, payload: bytes) -> bool:
    """Make ``file`` anew of ``dump``, with ``payload`` in a column; False where SQLite does not take it there."""
    for part in file.parent.glob("kept.db*"):
        part.unlink()
    with closing(sqlite3.connect(file)) as db:
        db.executescript(dump)
        db.execute(f"PRAGMA user_version = {len(FORMATS)}")
        try:
            db.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = ?', (payload,))
        except sqlite3.Error:
            return False
        db.commit()
    return True


def read_all(file: Path) -> None:
    """Whatever reads in a store: each failure is a SnapshotError."""
    with SnapshotStore(file) as store:
        store.verify()
        for snapshot in store.list():
            with suppress(SnapshotError):
                unpack(snapshot.state.get("vars", {}))
        with suppress(SnapshotError):
            Memory(store, fresh=True).latest("main")


def test_nothing_in_a_file_runs(tmp_path: Path, figure: Figure) -> None:
    """Whatever somebody writes into the columns of a store's file."""
    made, file = tmp_path / "made", tmp_path / "kept.db"
    constructor = {"lc": 2, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": f"touch {made}"}}
    yaml = f"!!python/object/apply:os.system ['touch {made}']"
    payloads = [
        pickle.dumps(Ran(made)), json.dumps(constructor).encode(), yaml.encode(), b'{"py/object": "os.system"}',
        b"\xff" * 40,
    ]  # fmt: skip
    states = [{"messages": [constructor]}, {"__class__": "os.system"}, constructor, {"messages": [], "note": yaml}]
    with SnapshotStore(file) as store:
        for state in states:
            kept = store.put({**state, "vars": pack({"n": 1})}, session="main", label=yaml)
            assert store.get(kept.id).state == {**state, "vars": pack({"n": 1})}  # what names a class is plain data
    with closing(sqlite3.connect(file)) as db:
        dump = "\n".join(db.iterdump())
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in db.execute(f'PRAGMA table_info("{table}")')]
    tried = 0
    for column, payload in product(columns, payloads):
        if rewritten(file, dump, *column, payload):
            tried += 1
            with suppress(SnapshotError):
                read_all(file)
    assert tried > 3 * len(columns)
    assert not made.exists()
    figure(
        "reliability 26 (the store's file)",
        f"{tried + len(states)} payloads (pickles, constructors, YAML tags) in states, labels and each of the "
        f"{len(columns)} columns: 0 ran",
    )
