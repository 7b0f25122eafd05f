"""OpenClawAgent with the models of each provider: tools through the whole engine, and one session that they share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from openclaw_nb import OpenClawAgent, Runtime
from tests.asking import KEY, VENDORS
from tests.mock_server import Mock
from tests.mock_wire import Reply

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # of one that thinks by a budget

BOTH = [("add", '{"a": 40, "b": 2}'), ("add", '{"a": 1, "b": 2}')]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mock]]:
    with ExitStack() as running:

        def start(name: str, *replies: Reply) -> Mock:
            vendor = VENDORS[name]
            mock: Mock = running.enter_context(vendor.mock(*replies))
            monkeypatch.setenv(mock.variable, mock.url)
            monkeypatch.setenv(vendor.key, KEY)
            return mock

        yield start


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@pytest.mark.parametrize("name", ["anthropic", "google", "responses"])
def test_the_loop_with_each_provider(
    answering: Callable[..., Mock], name: str, figure: Callable[[str, str], None]
) -> None:
    """Its mock refuses calls without results, and thoughts without their signatures."""
    called, ended = Reply(tokens=["Let me add. "], thinking=["hm"], calls=BOTH), Reply(tokens=["It is ", "42."])
    mock = answering(name, called, ended)
    run = OpenClawAgent("sums", model=VENDORS[name].model, tools=[add], instructions="be brief").analyze(
        "40 and 2?", level=2
    )
    assert run.result(30) == "Let me add. It is 42."
    assert [(step.title, step.text) for step in run.steps if step.title.startswith("add")] == [
        ("add(a=40, b=2)", "42"), ("add(a=1, b=2)", "3"),
    ]  # fmt: skip
    assert mock.calls == 2
    assert all("be brief" in json.dumps(body) for body in mock.bodies)
    told = json.dumps(mock.bodies[1])
    assert "42" in told
    figure("issue 5 tools", f"{VENDORS[name].model}: two calls at once, their results and its signed thought told")


def test_one_session_of_three_providers(answering: Callable[..., Mock], figure: Callable[[str, str], None]) -> None:
    """What one of them said, thought and called is known to the next as far as it concerns it, and to itself again."""
    replies = Reply(tokens=["Let me add. "], thinking=["hmm"], calls=BOTH), Reply(tokens=["42."]), Reply(tokens=["So."])
    order = ["anthropic", "google", "openai"]
    mocks = {name: answering(name, *replies) for name in order}
    agent = OpenClawAgent("sums", model="offline:0", tools=[add], instructions="be brief")
    for name in (*order, order[0]):
        run = agent.analyze(f"go, {name}", model=VENDORS[name].model, level=2)
        assert run.result(30) in ("Let me add. 42.", "So.")
    last = json.dumps(mocks["anthropic"].bodies[-1])
    for name in order:
        assert f"go, {name}" in last
    assert last.count('"type": "tool_use"') == 2 * len(order)
    assert last.count('"type": "tool_result"') == 2 * len(order)
    assert "be brief" in last
    figure("issue 5 history", f"{' -> '.join((*order, order[0]))}: {len(order)} exchanges with tools told to the last")


FRESH = """if True:
    import json
    from openclaw_nb import OpenClawAgent, Runtime
    agent = OpenClawAgent("fresh", model="anthropic:claude-sonnet-4-6")
    for _ in range(2):
        run = agent.analyze("hi", level=2)
        print(run.result(60), json.dumps([(step.title, step.text, step.seconds > 0) for step in run.steps]), sep="|")
    Runtime.running().close()
"""


def test_the_first_use_is_a_step_of_the_run(answering: Callable[..., Mock]) -> None:
    """In a fresh process: the view says what it waits for, once."""
    answering("anthropic", Reply(tokens=["Hi."]))
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == ['Hi.|[["loading", "the client of anthropic", true]]', "Hi.|[]"]
