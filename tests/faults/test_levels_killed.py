"""A process killed by SIGKILL in mid-deliberation: the next goes on, and asks for no step that had ended."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.answers import stages
from tests.faults.deliberating import ask, go_on
from tests.faults.test_pool_killed import left_alone
from tests.mock_openai import MockOpenAI, Reply
from tests.spine import play

ROOT = Path(__file__).parents[2]
KILLS = 2
STEPS = {3: 4, 4: 9}
"""Requests that an uninterrupted run takes."""

WORDS = {
    "plan": stages.PLAN, "check": stages.CHECK.partition(":")[0], "repair": stages.REPAIR, "join": stages.JOIN,
}  # fmt: skip


def step_of(body: dict[str, Any]) -> str:
    """The step that a request is for, as level 4 calls it."""
    asked = body["messages"][-1]["content"]
    kind = next((kind for kind, words in WORDS.items() if words in asked), "candidate")
    if kind == "candidate":
        return f"candidate {asked.partition('attempt ')[2][:1] or 1}"
    if kind == "check":
        draft = next(draft for draft in ("joined", "draft 1", "draft 2", "draft 3") if draft in asked)
        return "check of the join" if draft == "joined" else f"check {draft[-1]}"
    return kind


def answer(body: dict[str, Any], verdict: str) -> Sequence[str]:
    """What the model says to it, the same each time."""
    step = step_of(body)
    first = {"candidate": f"draft {step[-1]}", "join": "joined", "repair": "repaired"}.get(step.split()[0], step)
    last = f"\nVERDICT: {verdict}" if step.startswith("check") else "."
    return [first, *(f" {n}" for n in range(20)), last]


@pytest.fixture(params=[3, 4])
def level(request: pytest.FixtureRequest) -> int:
    chosen: int = request.param
    return chosen


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch, level: int) -> Iterator[MockOpenAI]:
    """At level 3 the draft does not pass, and is repaired."""
    verdict = "fail" if level == 3 else "pass"
    with MockOpenAI(Reply(tokens=lambda body: answer(body, verdict), interval=0.004)) as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        yield mock


def kill_after(path: Path, level: int, length: int, end: int) -> list[str]:
    """Kill the process when its steps have so many characters, before ``end``; those ended by then, in order."""
    ended = []
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    command = [sys.executable, "-m", "tests.faults.deliberating", str(path), str(level), str(end)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            so_far, _, key = line.strip().partition("|")
            ended += [key] if key not in ("", "load") else []
            if int(so_far) >= length:
                break
        process.kill()
    assert process.returncode != 0, "it was done before it could be killed"
    return ended


def test_no_step_that_ended_is_asked_for_again(
    tmp_path: Path, mock: MockOpenAI, level: int, figure: Callable[[str, str], None]
) -> None:
    whole = play(ask(tmp_path / "whole.db", level))
    assert mock.calls == STEPS[level]
    every = sorted(map(step_of, mock.bodies))
    length = sum(map(len, whole["steps"].values()))
    dice, missing = random.Random(level), []
    for number in range(KILLS):
        path, before = tmp_path / f"{number}.db", mock.calls
        ended = kill_after(path, level, dice.randrange(length // 5, length * 4 // 5), length * 9 // 10)
        begun = left_alone(mock)
        known, told = play(go_on(path))
        asked, again = ([*map(step_of, bodies)] for bodies in (mock.bodies[before:begun], mock.bodies[begun:]))
        if level == 3:
            known = {{"draft": "candidate 1", "check": "check 1"}.get(key, key): known[key] for key in known}
            ended = [{"draft": "candidate 1", "check": "check 1"}.get(key, key) for key in ended]
        assert set(ended[:-1]) <= known.keys(), "the last one may have been on its way to the disk"
        assert sorted([*known, *again]) == every, "what had ended is not asked for again, and the rest is, once"
        assert set(asked) | set(again) == set(every)
        assert told == whole
        missing.append(f"{len(again)} of {STEPS[level]}")
    figure(
        "issue 5 levels",
        f"level {level} killed {KILLS} times and resumed: {' and '.join(missing)} requests were still to be made, "
        "answer, steps and transcript as uninterrupted",
    )
