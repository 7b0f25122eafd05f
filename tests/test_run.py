"""Run and Result: awaited, iterated, listened to and cancelled from several threads and loops at once."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openclaw_nb.errors import ModelError, RunError, RunTimeout
from openclaw_nb.events import Delta, End, RunEvent, State, Status, Step, Usage
from openclaw_nb.run import Result, Run
from tests.spine import asynchronous

PATIENCE = 60.0  # seconds: against hanging


def new_run(**facts: object) -> Run:
    return Run("run-0123456789", prompt="go", **facts)  # type: ignore[arg-type]


def feed(run: Run, pieces: list[str], end: End | None = None) -> None:
    offset = 0
    for count, piece in enumerate(pieces, 1):
        run.push(Delta(offset, piece, count))
        offset += len(piece)
    run.push(end or End(Status.DONE))


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(24) as pool:
        yield pool


def test_what_a_run_says_of_itself() -> None:
    run = new_run(session="s", level=3, level_reason="tagged complex", model="m", agent="a")
    assert (run.status, run.text, run.tokens, run.first_token, run.done()) == (Status.WAITING, "", 0, None, False)
    run.push(Delta(0, "one ", 1))
    assert (run.status, run.text, run.tokens) == (Status.STREAMING, "one ", 1)
    assert run.first_token is not None
    run.push(State(Status.RECONNECTING, "attempt 1"))
    assert (run.status, run.words) == (Status.RECONNECTING, "attempt 1")
    run.push(Delta(4, "two", 2))
    assert (run.status, run.words) == (Status.STREAMING, "")
    run.push(Step("k", "Plan", 0, "abc", 3))
    run.push(Step("k", "Plan", 2, "C!", 4, 1.5))
    assert run.steps == (Step("k", "Plan", 0, "abC!", 4, 1.5),)
    run.push(End(Status.DONE, Usage(5, 7), model="m2", snapshot="0123", cost=0.5))
    result = run.result()
    assert result == "one two"
    assert result.text == str(result) == "one two"
    assert type(str(result)) is str
    assert (result.status, result.level, result.usage, result.cost) == (Status.DONE, 3, Usage(5, 7), 0.5)
    assert (result.model, result.session, result.run_id, result.snapshot) == ("m2", "s", run.id, "0123")
    assert result.steps == run.steps
    assert result.seconds == run.seconds
    assert run.tokens == 7
    assert repr(run) == "<Run run-0123 done: 7 tokens in session 's'>"


def test_usage_is_estimated_where_none_was_told() -> None:
    run = new_run()
    feed(run, ["a", "b"])
    assert run.result().usage == Usage(output_tokens=2, estimated=True)


def test_nothing_happens_after_the_end() -> None:
    run, events = new_run(), list[RunEvent]()
    run.subscribe(events.append)
    feed(run, ["a"])
    run.push(Delta(1, "b", 2))
    run.push(End(Status.FAILED, error=ModelError("late")))
    run.cancel()
    assert run.result() == "a"
    assert run.status is Status.DONE
    assert [type(event) for event in events] == [Delta, End]


def test_a_delta_out_of_place_is_a_mistake_of_ours() -> None:
    run = new_run()
    with pytest.raises(ValueError, match="offset 3, expected 0"):
        run.push(Delta(3, "x", 1))


def test_a_failed_run_raises_and_keeps_what_came() -> None:
    run = new_run()
    error = ModelError("it broke")
    feed(run, ["half"], End(Status.FAILED, error=error))
    for ask in (run.result, lambda: run.result(0), lambda: list(run), lambda: asyncio.run(_await(run))):
        with pytest.raises(ModelError, match="it broke") as failure:
            ask()
        assert failure.value.partial == "half"
    assert (run.text, run.words, run.status) == ("half", "it broke", Status.FAILED)
    assert error.partial is not None
    assert error.partial.status is Status.FAILED


async def _await(run: Run) -> Result:
    return await run


def test_a_run_over_time_is_not_a_wait_over_time() -> None:
    run = new_run()
    with pytest.raises(RunTimeout, match=r"did not end within 0\.01 s"):
        run.result(0.01)
    assert not run.done()
    over = RunTimeout("its own limit")
    feed(run, [], End(Status.FAILED, error=over))
    with pytest.raises(RunTimeout) as failure:
        run.result(0.01)
    assert failure.value is over


def test_cancel_asks_and_tells_the_first_reason() -> None:
    asked: list[Run] = []
    run = new_run(cancel=asked.append)
    run.cancel("over budget")
    run.cancel("stopped by you")
    assert asked == [run, run]
    assert not run.done()
    feed(run, ["half"], End(Status.STOPPED))
    assert run.result().words == run.words == "over budget"
    run.cancel()
    assert len(asked) == 2
    new_run().cancel()  # nobody to ask


def test_its_own_thread_must_not_wait_for_it() -> None:
    run = new_run(feeder=threading.get_ident())
    for wait in (run.result, lambda: next(iter(run))):
        with pytest.raises(RuntimeError, match="use `await run`"):
            wait()
    feed(run, ["a"])
    assert run.result() == "a"
    assert list(run) == ["a"]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_a_listener_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture, error: type[BaseException]) -> None:
    run, events = new_run(), list[RunEvent]()

    def broken(event: RunEvent) -> None:
        raise error

    run.subscribe(broken)
    run.subscribe(events.append)
    with caplog.at_level(logging.ERROR, "openclaw_nb"):
        feed(run, ["a", "b"])
    assert run.result() == "ab"
    assert len(events) == 3
    assert "a listener of run" in caplog.text


def test_listeners_come_and_go_even_while_they_are_told() -> None:
    run, first, second = new_run(), list[RunEvent](), list[RunEvent]()
    forget: list[Callable[[], None]] = []

    def once(event: RunEvent) -> None:
        first.append(event)
        forget[0]()
        run.subscribe(second.append)

    forget.append(run.subscribe(once))
    feed(run, ["a", "b"])
    forget[0]()
    assert len(first) == 1
    assert len(second) == 2


def test_the_end_is_told_when_the_result_is_there() -> None:
    run, seen = new_run(), list[object]()
    run.subscribe(lambda event: seen.append(run.result()) if isinstance(event, End) else None)
    feed(run, ["a"])
    assert seen == ["a"]


def test_what_is_settled_before_the_end_is_settled_for_who_waits() -> None:
    run, seen = Run("r1"), []
    run.before_end(lambda end: seen.append((end.status, run.done())))
    end = End(Status.DONE)
    run.push(end)
    assert seen == [(Status.DONE, False)]
    run.before_end(lambda late: seen.append((late, run.done())))
    assert seen[1:] == [(end, True)]


def test_who_begins_to_listen_while_it_ends_hears_of_the_end() -> None:
    """Or a loop over its deltas, which has just seen that it is not over, would wait for ever."""
    run, heard = new_run(), list[RunEvent]()

    def begin(_: End) -> None:
        run.subscribe(heard.append)

    run.before_end(begin)
    run.push(End(Status.DONE))
    assert heard == [End(Status.DONE)]


@pytest.mark.parametrize("seed", range(5))
def test_many_readers_in_many_threads_and_loops(seed: int, background: ThreadPoolExecutor) -> None:
    """A feeder against readers of every kind: each gets the whole text, in order, and wakes up."""
    chance = random.Random(seed)
    pieces = [f"{i}😀 " for i in range(400)]
    text = "".join(pieces)
    run = new_run()

    async def gather() -> list[str]:
        async def read() -> str:
            return "".join([delta async for delta in run])

        return await asyncio.gather(read(), read(), _await(run), asyncio.to_thread(lambda: "".join(run)))

    readers = [background.submit(lambda: "".join(run)) for _ in range(4)]
    readers += [background.submit(lambda: str(run.result(PATIENCE))) for _ in range(4)]
    loops = [background.submit(asyncio.run, gather()) for _ in range(4)]
    offset = 0
    for count, piece in enumerate(pieces, 1):
        run.push(Delta(offset, piece, count))
        offset += len(piece)
        if chance.random() < 0.1:
            time.sleep(0)
    run.push(End(Status.DONE))
    assert [reader.result(PATIENCE) for reader in readers] == [text] * 8
    for loop in loops:
        assert loop.result(PATIENCE) == [text] * 4


def test_no_wake_up_is_lost(background: ThreadPoolExecutor) -> None:
    """One delta or the end at the worst moment: while a reader is about to wait."""
    for _ in range(300):
        run = new_run()
        reader = background.submit(lambda run=run: "".join(run))
        other = background.submit(lambda run=run: asyncio.run(_await(run)))
        run.push(Delta(0, "x", 1))
        run.push(End(Status.DONE))
        assert reader.result(PATIENCE) == other.result(PATIENCE) == "x"


@asynchronous
async def test_readers_on_the_feeder_s_own_loop() -> None:
    run = new_run()

    async def read() -> list[str]:
        return [delta async for delta in run]

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for i in range(20):
        run.push(Delta(2 * i, f"{i % 10} ", i))
        for _ in range(10):  # turns of the loop, in which each reader has its own
            await asyncio.sleep(0)
    run.push(End(Status.DONE))
    for deltas in await asyncio.gather(*readers):
        assert "".join(deltas) == "0 1 2 3 4 5 6 7 8 9 " * 2
        assert len(deltas) == 20


@asynchronous
async def test_a_cancelled_reader_does_not_stop_the_run() -> None:
    run = new_run()
    waiting = asyncio.create_task(_await(run))
    reading = asyncio.create_task(run.__aiter__().__anext__())  # type: ignore[arg-type, var-annotated]
    await asyncio.sleep(0)
    for task in (waiting, reading):
        task.cancel()
    await asyncio.gather(waiting, reading, return_exceptions=True)
    assert not run.done()
    feed(run, ["a"])
    assert await run == await run == "a"


@asynchronous
async def test_a_reader_that_leaves_in_mid_run_is_forgotten() -> None:
    run = new_run()
    run.push(Delta(0, "a", 1))
    reader = run.__aiter__()
    assert await anext(reader) == "a"
    assert len(run._listeners) == 1
    await reader.aclose()  # type: ignore[attr-defined]
    assert run._listeners == []


def test_a_reader_whose_loop_is_gone_disturbs_nobody() -> None:
    run = new_run()

    async def read_one() -> object:
        reader = run.__aiter__()
        run.push(Delta(0, "a", 1))
        await anext(reader)
        return reader

    loop = asyncio.new_event_loop()
    reader = loop.run_until_complete(read_one())
    loop.close()
    run.push(Delta(1, "b", 2))
    run.push(End(Status.DONE))
    assert run.result() == "ab"
    del reader


def test_iterating_a_run_that_is_over() -> None:
    run = new_run()
    feed(run, ["a", "b"])
    assert list(run) == ["ab"]
    assert list(run) == ["ab"], "as often as one likes"
    empty = new_run()
    feed(empty, [])
    assert list(empty) == []


# -- Result ----------------------------------------------------------------------------------------


def test_a_result_is_a_string() -> None:
    result = Result("text", run_id="r", status=Status.STOPPED)
    assert result == "text"
    assert result.upper() == "TEXT"
    assert hash(result) == hash("text")
    assert {result: 1}["text"] == 1
    assert (result.cost, result.steps, result.usage) == (None, (), Usage())
    with pytest.raises(TypeError, match="Result has no price, speed"):
        Result("x", speed=1, price=2)
    for again in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert type(again) is Result
        assert (again, again.run_id, again.status) == ("text", "r", Status.STOPPED)


def test_final_states() -> None:
    assert [status for status in Status if status.final] == [Status.DONE, Status.STOPPED, Status.FAILED]


def test_a_run_error_without_partial() -> None:
    assert RunError("x").partial is None


def test_an_answer_that_cannot_be_read_is_a_failure() -> None:
    run = new_run(read=int)
    feed(run, ["seven"])
    with pytest.raises(RunError, match=r"^the answer could not be read: ValueError: invalid literal for int"):
        run.result(0)
    assert run.status is Status.FAILED
