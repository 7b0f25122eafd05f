"""Processes killed by SIGKILL while agents work side by side: the next goes on, and asks nobody who had ended."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.pool.roles import known_roles
from tests.faults.pooling import TASK, work
from tests.mock_openai import MockOpenAI, Reply

ROOT = Path(__file__).parents[2]
COUNT = 4
TOKENS = 60  # of each answer
NAMES = [f"a{n}" for n in range(COUNT)]
KILLS = {"parallel": [[0.35], [0.7]], "pipeline": [[0.3, 0.6]]}
"""Of the whole, at which it is killed; twice in a row where there are two."""

Told = dict[str, Any]


def agent(body: Told) -> str:
    """Whose request it is."""
    found = re.search(r"You are (a\d)\.", json.dumps(body["messages"]))
    return found[1] if found else "main"


def answer(who: str) -> list[str]:
    return [f"{who} says {n}. " for n in range(TOKENS)]


def rest(body: Told) -> list[str]:
    """What is still to come of its answer."""
    said = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
    whole = "".join(answer(agent(body)))
    partial = said[-1] if said and whole.startswith(said[-1]) else ""
    return [whole[len(partial) :][at : at + 12] for at in range(0, len(whole) - len(partial), 12)]


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAI]:
    with MockOpenAI(Reply(tokens=rest, interval=0.004)) as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        yield mock


@pytest.fixture
def kernels(tmp_path: Path, mock: MockOpenAI, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has the processes from then on keep what they keep in that folder: this one, and those that are killed."""
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS_EVERY", "0.02")
    monkeypatch.setenv("OPENCLAW_MODEL", "openai-chat:gpt-4.1-mini")
    monkeypatch.chdir(ROOT)  # which names the file
    roles = dict(known_roles)
    yield lambda folder: monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", str(tmp_path / folder))
    known_roles.clear()
    known_roles.update(roles)


def kill_after(what: str, mode: str, characters: int, end: int) -> None:
    """Have a process ask or go on, and kill it when its agents have so many characters together: before ``end``."""
    command = [sys.executable, "-m", "tests.faults.pooling", what, mode, str(COUNT), str(end)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= characters:
                break
        process.kill()
    assert process.returncode == -9, "it was done before it could be killed"


def left_alone(mock: MockOpenAI) -> int:
    """How many calls it had, once it knows of all that was sent to it before its clients went."""
    with closing(HTTPConnection("127.0.0.1", mock.port)) as last:  # taken in after all that came before it
        last.request("GET", "/")
        last.getresponse().read()
    limit = time.monotonic() + 60
    while mock.open_connections:
        assert time.monotonic() < limit, "who was killed is still connected"
        time.sleep(0.005)
    return mock.calls


def asked(body: Told) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


@pytest.mark.parametrize("mode", KILLS)
def test_agents_that_had_ended_are_not_asked_again_and_the_others_go_on(
    kernels: Callable[[str], None], mock: MockOpenAI, mode: str, figure: Callable[[str, str], None]
) -> None:
    kernels("whole")
    uninterrupted = work("ask", mode, COUNT)
    first = {agent(body): asked(body) for body in mock.bodies}
    assert uninterrupted["results"] == {name: "".join(answer(name)) for name in NAMES}
    assert uninterrupted["said"]["main/a0"][2] == ("user", TASK)
    assert mode == "parallel" or "".join(answer("a0")) in first["a1"][-1][1]
    seen, kept = [], []
    for number, parts in enumerate(KILLS[mode]):
        kernels(str(number))
        for kill, part in enumerate(parts):
            whole = sum(map(len, uninterrupted["results"].values()))
            kill_after("go-on" if kill else "ask", mode, round(part * whole), round((part + 0.2) * whole))
        begun = left_alone(mock)
        told = work("go-on", mode, COUNT)
        again = {agent(body): asked(body) for body in mock.bodies[begun:]}
        assert len(again) == mock.calls - begun, "nobody is asked twice"
        assert not again.keys() & told["over"].keys(), "who had ended is not asked"
        assert again.keys() | told["over"].keys() == {*NAMES}
        for key in ("results", "said", "ended", "status", "budget"):
            assert told[key] == uninterrupted[key], key
        kept += told["cuts"].values()
        for name, text in told["cuts"].items():
            assert not text or ("assistant", text) in again[name], "the rest alone is asked for"
        for name in again.keys() - told["cuts"].keys():
            assert again[name] == first[name], "who had not begun is told the same"
        before = told["costs"].pop("main")  # which is in all of them
        assert told["spent"] == pytest.approx(before + sum(cost - before for cost in told["costs"].values()))
        seen.append(f"{len(told['over'])} ended, {len(told['cuts'])} cut, {len(again) - len(told['cuts'])} not begun")
    assert any(kept), "something was kept of what they had said"
    figure(
        f"issue 6, {COUNT} agents, {mode}, killed",
        f"{len(seen)} of {len(seen)} transcripts equal to an uninterrupted one; at the last start {'; '.join(seen)}",
    )
