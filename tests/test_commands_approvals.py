"""`%openclaw allow` and `%openclaw deny`: by the beginning of an id or as the only one; and what else names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from openclaw_nb.commands import complete, execute
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Approval, End, Status
from openclaw_nb.notebook import Notebook
from openclaw_nb.run import Run

from .widgets.crew import Crew
from .widgets.streams import VirtualLoop


class Asking:
    """A notebook with a run that may ask; what was decided, and what was shown."""

    def __init__(self, shell: InteractiveShell, shown: CapturingDisplayPublisher) -> None:
        self.notebook = Notebook(shell)
        self.run = Run("r1")
        self.notebook.runs[self.run.id] = self.run
        self.decided: list[tuple[str, bool]] = []
        self._shown = shown

    def ask(self, id: str, command: str, run: Run | None = None) -> None:
        approval = Approval(id, "exec wants to run", command)
        (run or self.run).approvals.ask(approval, lambda allow: self.decided.append((id, allow)))

    def say(self, line: str) -> str:
        self._shown.outputs.clear()
        execute(self.notebook, line)
        return str(self._shown.outputs[-1]["data"]["text/plain"])


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def asking(shell: InteractiveShell, shown: CapturingDisplayPublisher) -> Iterator[Asking]:
    asking = Asking(shell, shown)
    yield asking
    asking.notebook.close()


@pytest.mark.parametrize(
    ("line", "allow", "words"),
    [("allow", True, "allowed once  make test"), ("deny", False, "denied  make test"), ("allow a1b2", True, "allowed")],
)
def test_the_only_one_that_waits(asking: Asking, line: str, allow: bool, words: str) -> None:
    asking.ask("a1b2c3d4e5f6", "make test")
    assert words in asking.say(line)
    assert asking.decided == [("a1b2c3d4e5f6", allow)]
    with pytest.raises(ConfigError, match="nothing waits for your approval"):
        asking.say(line)


def test_of_several_one_is_named(asking: Asking) -> None:
    asking.ask("a1b2c3d4e5", "make test")
    asking.ask("a1ffc3d4e5", "rm -rf \x1b[8m~ " + "x" * 100)
    for line in ("allow", "allow a1"):
        with pytest.raises(ConfigError) as told:
            asking.say(line)
        sentence = str(told.value)
        assert sentence.startswith("2 wait for your approval: a1b2c3d4 (make test), a1ffc3d4 (rm -rf ⟨ESC⟩[8m~ xxx")
        assert sentence.endswith("…); write %openclaw allow ID")
    with pytest.raises(ConfigError, match="nothing that waits is called 'b'; there is a1b2c3d4"):
        asking.say("deny b")
    with pytest.raises(ConfigError, match="write %openclaw deny, or %openclaw deny ID"):
        asking.say("deny a1b2 a1ff")
    assert asking.decided == []
    asking.say("deny a1f")
    assert asking.decided == [("a1ffc3d4e5", False)]


def test_it_is_found_among_runs_that_have_ended_and_in_lanes(asking: Asking, loop: VirtualLoop) -> None:
    asking.ask("a1", "make test")
    asking.run.push(End(Status.DONE))
    crew = Crew(loop, "coder", "tester")
    asking.notebook.runs["pool"] = crew.work
    asking.ask("b1", "make lint", crew.feeders[1].run)
    asking.say("allow a")
    asking.say("deny")
    assert asking.decided == [("a1", True), ("b1", False)]


def test_the_card_the_list_and_completion_name_it(asking: Asking) -> None:
    assert complete(asking.notebook, "%openclaw allow ") == []
    asking.ask("a1b2c3d4e5", "make test")
    assert complete(asking.notebook, "%openclaw allow ") == complete(asking.notebook, "%openclaw deny ") == ["a1b2c3d4"]
    assert "exec wants to run: make test; %openclaw allow or %openclaw deny" in asking.say("")
    assert "waiting for your approval" in asking.say("runs")
