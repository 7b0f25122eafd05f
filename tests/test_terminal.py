"""print_run: the text as it comes, made harmless, with one line for what needs words."""

from __future__ import annotations

import threading

import pytest

from openclaw_nb.errors import ModelError
from openclaw_nb.events import Delta, End, State, Status
from openclaw_nb.run import Run
from openclaw_nb.terminal import print_run


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
