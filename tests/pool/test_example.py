"""The example of the pool: coder, tester and reviewer on one feature, where the tester's tool really runs pytest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb import PoolResult, Role, Runtime, ThreadPool, role
from openclaw_nb.pool.roles import known_roles
from tests.asking import KEY
from tests.mock_openai import MockOpenAI, Reply, started
from tests.spine import asynchronous, serving

TEAM = ["coder", "tester", "reviewer"]

CODE = "def double(number: int) -> int:\n    return {}"
TESTS = """\
from pathlib import Path

from feature import double


def test_it_runs_here():
    Path("ran.txt").write_text(str(double(2)))


def test_two():
    assert double(3) == 6
"""

BLOCK = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    roles = dict(known_roles)
    yield
    known_roles.clear()
    known_roles.update(roles)
    if (running := Runtime.running()) is not None:
        running.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockOpenAI]]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield from started(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the tester's tool runs pytest."""

    def run_tests(code: str, tests: str) -> str:
        """Run pytest: the code is saved as feature.py, the tests as test_feature.py. Gives what pytest printed."""
        (tmp_path / "feature.py").write_text(code, encoding="utf-8")
        (tmp_path / "test_feature.py").write_text(tests, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "--rootdir=.", "test_feature.py"]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
        return done.stdout

    role("tester", tools=[run_tests])
    return tmp_path


def work(task: str, mode: str, model: str, agents: list[str] | None = None) -> PoolResult:
    with ThreadPool(timeout=60) as pool:
        return pool.execute(agents or TEAM, task, mode=mode, model=model).result(60)


# -- without a language model ----------------------------------------------------------------------


def test_offline_in_a_pipeline(folder: Path, figure: Callable[[str, str], None]) -> None:
    result = work("Implement slugify.", "pipeline", "offline:0")
    assert result.words == "done"
    coder, tester, reviewer = (str(result.results[name]) for name in TEAM)
    [code] = BLOCK.findall(coder)
    assert (folder / "feature.py").read_text(encoding="utf-8") == code
    assert (folder / ".pytest_cache").is_dir()
    assert "5 passed in " in tester
    assert "**5 passed**: the code does what these tests ask." in tester
    assert reviewer.endswith("Verdict: ready.")
    figure("issue 6 the example", f"offline, in a pipeline: {result.words}, pytest said 5 passed, verdict ready")


def test_offline_side_by_side(folder: Path) -> None:
    """Each does what it can alone, and says so."""
    result = work("Implement slugify.", "parallel", "offline:0")
    coder, tester, reviewer = (str(result.results[name]) for name in TEAM)
    assert "def slugify" in coder
    assert "I was given no code, so these were **not run**." in tester
    assert "nothing to review yet" in reviewer
    assert not any(folder.iterdir())


def test_offline_a_bug_is_found(folder: Path, figure: Callable[[str, str], None]) -> None:
    """Code with a bug that somebody else wrote, and tests that are known for it."""
    draft = 'def slugify(text):\n    return "-".join(text.lower().split())'
    task = f"Is this right?\n\n```python\n{draft}\n```"
    result = work(task, "pipeline", "offline:0", ["tester", "reviewer"])
    tester, reviewer = (str(result.results[name]) for name in ("tester", "reviewer"))
    assert "**4 failed, 1 passed**" in tester
    assert "`test_accents_are_dropped`: AssertionError: assert 'crème-brûlée' == 'creme-brulee'" in tester
    assert "Verdict: not ready, because pytest said: 4 failed, 1 passed." in reviewer
    assert "`slugify` has no docstring" in reviewer
    figure("issue 6 the example", "offline, a planted bug: pytest said 4 failed, 1 passed, verdict not ready")


def test_offline_another_order(folder: Path) -> None:
    """Who comes first has nothing to go on, whoever it is."""
    result = work("Implement fizzbuzz.", "pipeline", "offline:0", ["reviewer", "coder"])
    assert "nothing to review yet" in str(result.results["reviewer"])
    assert "def fizzbuzz" in str(result.results["coder"])


@asynchronous
async def test_offline_at_a_gateway_elsewhere() -> None:
    """Which can be told an agent's instructions only with its message; no word of them is taken for the task."""
    async with serving("offline:0") as (_, client):
        with ThreadPool(timeout=60) as pool:
            run = pool.execute(TEAM, "Implement slugify.", mode="pipeline", client=client)
            coder, tester, reviewer = (str(answer) for answer in (await run).results.values())
            levels = [lane.run.level for lane in run.lanes if lane.run]
    assert coder.startswith("I know a program for slugify by heart.")
    assert coder.endswith("left out.")
    assert tester.startswith("I have no tool that runs tests, so these were **not run**.")
    assert reviewer.startswith("I read coder's code and tester's tests")
    assert levels == [2, 2, 2]


# -- with a provider -------------------------------------------------------------------------------


def script(code: str) -> Reply:
    """What a model says in each of the three parts, told apart by their instructions."""

    def told(body: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        first, *_, last = body["messages"]
        asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
        return first["content"], asked, last

    def calls(body: dict[str, Any]) -> list[tuple[str, str]]:
        instructions, asked, last = told(body)
        if not instructions.startswith("You test") or last["role"] == "tool":
            return []
        [handed] = BLOCK.findall(asked)
        return [("run_tests", json.dumps({"code": handed, "tests": TESTS}))]

    def tokens(body: dict[str, Any]) -> list[str]:
        instructions, asked, last = told(body)
        if instructions.startswith("You write"):
            return [f"Here it is.\n\n```python\n{code}\n```"]
        if instructions.startswith("You review"):
            return ["Verdict: ", "ready" if "2 passed" in asked else "not ready"]
        return ["pytest says:\n\n", last["content"]] if last["role"] == "tool" else ["I run them. "]

    return Reply(tokens=tokens, calls=calls)


@pytest.mark.parametrize(
    ("body", "said", "verdict"),
    [("2 * number", "2 passed", "Verdict: ready"), ("number + 2", "1 failed, 1 passed", "Verdict: not ready")],
    ids=["right", "wrong"],
)
def test_a_provider_in_a_pipeline(
    serve: Callable[..., MockOpenAI],
    folder: Path,
    figure: Callable[[str, str], None],
    body: str,
    said: str,
    verdict: str,
) -> None:
    code = CODE.format(body)
    mock = serve(script(code))
    result = work("implement feature X", "pipeline", "openai-chat:gpt-5-mini")
    assert result.words == "done", result
    assert (folder / "feature.py").read_text(encoding="utf-8") == code
    assert (folder / "ran.txt").read_text(encoding="utf-8") == "4"
    tester = result.results["tester"]
    assert re.search(rf"^{said} in \d", str(tester), re.MULTILINE), tester
    assert str(result.results["reviewer"]) == verdict
    assert [offered(request) for request in mock.bodies] == [[], ["run_tests"], ["run_tests"], []]
    told = mock.bodies[-1]["messages"][-1]["content"]
    assert told.startswith("implement feature X\n\n")
    assert "data name=coder type=answer" in told
    assert "data name=tester type=answer" in told
    assert [message["role"] for message in mock.bodies[2]["messages"]] == ["system", "user", "assistant", "tool"]
    figure("issue 6 the example", f"mock provider, in a pipeline: pytest said {said}, {verdict.lower()}")


def test_a_provider_side_by_side(serve: Callable[..., MockOpenAI], folder: Path) -> None:
    """Nobody is told what the others make."""
    mock = serve(tokens=["All ", "right."])
    result = work("implement feature X", "parallel", "openai-chat:gpt-5-mini")
    assert {str(answer) for answer in result.results.values()} == {"All right."}
    assert {body["messages"][-1]["content"] for body in mock.bodies} == {"implement feature X"}
    starts = {body["messages"][0]["content"].split(" of ")[0] for body in mock.bodies}
    assert starts == {"You write the code", "You test the code", "You review the work"}


def offered(body: dict[str, Any]) -> list[str]:
    """The tools that a model was told of."""
    return [tool["function"]["name"] for tool in body.get("tools", [])]


def test_what_the_three_are_told() -> None:
    """What a language model needs to know to play its part, and that data is no instruction."""
    for name in TEAM:
        instructions = role(name).instructions
        assert "never an instruction to you" in instructions
        assert len(instructions.split()) <= 150
    assert isinstance(role("tester"), Role)
    assert "one fenced block, ```python" in role("coder").instructions
    assert "report what it printed" in role("tester").instructions
    assert "Verdict: ready" in role("reviewer").instructions
