"""print_run and print_lanes: the text as it comes, made harmless, with one line for what needs words."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from openclaw_nb.errors import ModelError
from openclaw_nb.events import Approval, Delta, End, State, Status
from openclaw_nb.run import Run
from openclaw_nb.terminal import Asker, print_lanes, print_run

from .widgets.crew import Crew
from .widgets.streams import VirtualLoop


def new_run() -> tuple[Run, list[str]]:
    run, written = Run("r"), list[str]()
    run.push(Delta(0, "there already, ", 1))
    print_run(run, written.append)
    return run, written


def test_what_there_is_and_what_comes() -> None:
    run, written = new_run()
    assert "".join(written) == "there already, "
    run.push(Delta(15, "and more", 2))
    run.push(End(Status.DONE))
    assert "".join(written) == "there already, and more\n"


def test_a_run_that_is_over() -> None:
    run, written = Run("r"), list[str]()
    run.push(Delta(0, "all of it", 3))
    run.cancel()
    run.push(End(Status.STOPPED))
    assert print_run(run, written.append).is_set()
    assert "".join(written) == "all of it\n[stopped by you; 3 tokens kept]\n"


@pytest.mark.parametrize("closed", [False, True])
def test_it_says_when_all_is_written(closed: bool) -> None:
    run, written = Run("r"), list[str]()

    def write(text: str) -> None:
        assert not printed.is_set()
        written.append(text)
        if closed:
            raise OSError("nobody reads")

    printed = print_run(run, write)
    run.push(Delta(0, "text", 1))
    assert not printed.is_set()
    run.push(End(Status.DONE))
    assert printed.is_set()
    assert written == ["text", "\n"]


def test_states_in_words() -> None:
    run, written = new_run()
    run.push(State(Status.RECONNECTING, "reconnecting, attempt 1 of 5"))
    run.push(Delta(15, "on", 2))
    run.cancel()
    run.push(End(Status.STOPPED))
    assert "".join(written) == (
        "there already, \n[reconnecting, attempt 1 of 5]\non\n[stopped by you; 2 tokens kept]\n"
    )


def test_a_failure_is_left_to_who_asks_for_the_result() -> None:
    run, written = new_run()
    run.push(End(Status.FAILED, error=ModelError("it broke")))
    assert "".join(written) == "there already, \n"


def test_escapes_are_harmless_also_when_cut_in_two() -> None:
    run, written = new_run()
    for delta in (Delta(15, "\x1b", 2), Delta(16, "[31mred\x9b2J\x07\x1b]0;title", 3)):
        run.push(delta)
    run.push(End(Status.DONE))
    assert not {"\x1b", "\x9b", "\x07"} & set("".join(written))
    assert "red" in "".join(written)


def test_from_another_thread_once_and_in_order() -> None:
    run, written = new_run()
    pieces = [f"{i} " for i in range(200)]

    def feed() -> None:
        offset = 15
        for piece in pieces:
            run.push(Delta(offset, piece, 1))
            offset += len(piece)
        run.push(End(Status.DONE))

    thread = threading.Thread(target=feed)
    thread.start()
    thread.join()
    assert "".join(written) == "there already, " + "".join(pieces) + "\n"


# -- several agents ------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def crew(loop: VirtualLoop) -> Crew:
    return Crew(loop, "coder", "tester\x1b[2J", "reviewer")


def test_agents_are_printed_one_after_the_other(crew: Crew) -> None:
    written: list[str] = []
    coder, tester, reviewer = crew.feeders
    printed = print_lanes(crew.work, written.append)

    async def feed() -> None:
        tester.text("tests ")
        coder.text("code ")
        assert "".join(written) == "## coder\n\ncode "
        tester.run.push(End(Status.DONE))
        coder.text("more")
        assert "".join(written) == "## coder\n\ncode more"
        coder.run.push(End(Status.FAILED, error=ModelError("it broke\x07")))
        assert "".join(written).endswith("code more\n[it broke␇]\n\n## tester␛[2J\n\ntests \n\n")
        assert not printed.is_set()
        reviewer.run.push(End(Status.DONE))

    crew.do(feed)
    assert printed.is_set()
    assert "".join(written).endswith("tests \n\n## reviewer\n\n\n[2 of 3 done, 1 failed]\n")


def test_agents_that_are_over(crew: Crew) -> None:
    async def feed() -> None:
        crew.feeders[0].text("code")
        for feeder in crew.feeders:
            feeder.run.push(End(Status.STOPPED))

    crew.do(feed)
    written: list[str] = []
    assert print_lanes(crew.work, written.append).is_set()
    assert "".join(written).startswith("## coder\n\ncode\n[stopped]\n\n## tester")
    assert written[-1] == "[0 of 3 done, 3 stopped]\n"


def test_it_says_that_all_is_over_where_nobody_reads(crew: Crew) -> None:
    def write(text: str) -> None:
        raise OSError("nobody reads")

    async def feed() -> None:
        for feeder in crew.feeders:
            feeder.run.push(End(Status.DONE))

    printed = print_lanes(crew.work, write)
    crew.do(feed)
    assert printed.is_set()


# -- what waits for a person -------------------------------------------------------------------------

ECHO = Approval("a1b2c3d4e5f6", "exec wants to run", "echo \x1b[8mhi\nls", "in /tmp", expires=1800)
BLOCK = """\
[waiting for your approval: exec wants to run, in /tmp, 30 min left]
    echo ⟨ESC⟩[8mhi
    ls
[%openclaw allow a1b2c3d4 runs it once, %openclaw deny a1b2c3d4 does not]
"""


def test_what_waits_is_written_whole_and_what_was_decided() -> None:
    run, written = new_run()
    run.approvals.ask(ECHO, lambda allow: run.approvals.settle(ECHO.id, "allow-once" if allow else "deny"))
    run.push(Delta(15, "so far ", 2))
    run.approvals.decide(ECHO.id, True)
    run.push(End(Status.DONE))
    assert "".join(written) == f"there already, \n{BLOCK}so far [allowed once: echo ⟨ESC⟩[8mhi ↵ ls]\n\n"


def test_what_waited_before_it_was_printed_and_what_waits_again() -> None:
    run, written = Run("r"), list[str]()
    run.approvals.ask(ECHO, lambda allow: None)
    print_run(run, written.append)
    assert "".join(written) == BLOCK
    run.approvals.decide(ECHO.id, True)
    run.push(Delta(0, "x", 1))
    run.approvals.again(ECHO.id)
    assert "".join(written) == f"{BLOCK}x\n{BLOCK}"


def test_lanes_ask_at_once_whoevers_turn_it_is(loop: VirtualLoop) -> None:
    crew, written = Crew(loop, "coder", "tester"), list[str]()
    print_lanes(crew.work, written.append)
    run = crew.feeders[1].run
    run.approvals.ask(ECHO, lambda allow: None)
    run.approvals.settle(ECHO.id, "deny", "cli")
    assert f"[tester, {BLOCK[1:]}" in "".join(written)
    assert "".join(written).endswith("[tester, denied elsewhere: echo ⟨ESC⟩[8mhi ↵ ls]\n")


@pytest.mark.parametrize(
    ("said", "allow"), [("y", True), (" YES ", True), ("", False), ("n", False), ("yeah", False), ("allow", False)]
)
def test_only_yes_allows(said: str, allow: bool) -> None:
    run, asked, decided = Run("r"), list[str](), list[bool]()
    run.approvals.ask(ECHO, decided.append)

    def read(question: str) -> str:
        asked.append(question)
        return said

    asker = Asker(run, read)
    asker.ask()
    asker.ask()
    assert decided == [allow]
    assert asked == ["exec wants to run:\necho ⟨ESC⟩[8mhi\nls\nallow it once? [y/N] "]


@pytest.mark.parametrize("error", [EOFError, NotImplementedError])
def test_where_nobody_can_be_asked_nothing_is_decided(error: type[Exception]) -> None:
    run, decided, asked = Run("r"), list[bool](), 0

    def read(question: str) -> str:
        nonlocal asked
        asked += 1
        raise error

    run.approvals.ask(ECHO, decided.append)
    asker = Asker(run, read)
    asker.ask()
    asker.ask()
    assert (decided, asked) == ([], 1)


def test_what_was_decided_elsewhere_meanwhile(loop: VirtualLoop) -> None:
    crew, decided = Crew(loop, "coder"), list[bool]()
    run = crew.feeders[0].run
    run.approvals.ask(ECHO, decided.append)

    def read(question: str) -> str:
        run.approvals.settle(ECHO.id, "deny", "cli")
        return "y"

    Asker(crew.work, read).ask()
    assert decided == []
