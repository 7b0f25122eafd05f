"""Tapes: what is played, what a malformed one says, and that a recording plays as what was recorded."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError, ModelError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta, ToolCall
from openclaw_nb.models.function import FunctionModel
from openclaw_nb.models.tape import Recorder, TapeModel


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tape.jsonl"


def write(path: Path, *turns: Any) -> None:
    path.write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")


def ask(model: Model, prompt: str = "hello") -> list[ModelEvent]:
    async def once() -> list[ModelEvent]:
        return [event async for event in model.stream(ModelRequest(({"role": "user", "content": prompt},)))]

    return asyncio.run(once())


def text(model: Model, prompt: str = "hello") -> str:
    return "".join(event.text for event in ask(model, prompt) if isinstance(event, TextDelta))


def test_plays_all_that_is_on_it(tape: Path) -> None:
    usage = {"input_tokens": 3, "output_tokens": 9}
    write(tape, {"deltas": [[0.01, "a"], [0.02, "b"]], "thinking": [[0, "hm"], [0.015, "?"]], "usage": usage})
    model = TapeModel(tape)
    assert isinstance(model, Model)
    assert model.name == f"tape:{tape}"
    assert ask(model) == [ThinkingDelta("hm"), TextDelta("a"), ThinkingDelta("?"), TextDelta("b"), Usage(3, 9)]


def test_tool_calls_are_recorded_and_played(tape: Path) -> None:
    class Caller:
        name = "caller"

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            yield TextDelta("one ")
            yield ToolCall("", "add", {"a": 1}, {"id": "x"})
            yield ToolCall("", "add", '{"a"')
            yield Usage(1, 1)

    ask(Recorder(Caller(), tape))
    assert json.loads(tape.read_text())["calls"] == [["add", {"a": 1}], ["add", '{"a"']]
    played = [event for event in ask(TapeModel(tape)) if isinstance(event, ToolCall)]
    assert played == [ToolCall("", "add", {"a": 1}), ToolCall("", "add", '{"a"')]


@pytest.mark.parametrize("calls", [{}, [["add"]], [[1, {}]], [["add", 3]]])
def test_malformed_calls_are_refused(tape: Path, calls: Any) -> None:
    write(tape, {"deltas": [], "calls": calls or {"a": 1}})
    with pytest.raises(ConfigError, match=r"malformed in line 1: calls "):
        TapeModel(tape)


def test_only_deltas_are_needed(tape: Path) -> None:
    write(tape, {"deltas": [[0, "a"], [0, "b"]]})
    assert ask(TapeModel(tape)) == [TextDelta("a"), TextDelta("b"), Usage(0, 2, estimated=True)]


def test_keeps_the_time(tape: Path) -> None:
    write(tape, {"deltas": [[0.1, "a"], [0.3, "b"]]})
    began = time.monotonic()
    ask(TapeModel(tape))
    assert time.monotonic() - began >= 0.3


def test_prompts_are_matched_then_taken_in_order(tape: Path) -> None:
    turns = [("x", "x1"), (None, "any1"), ("x", "x2"), ("y", "y1"), (None, "any2")]
    write(tape, *({"prompt": prompt, "deltas": [[0, answer]]} for prompt, answer in turns))
    model = TapeModel(tape)
    assert [text(model, prompt) for prompt in ("y", "x", "z", "x", "x")] == ["y1", "x1", "any1", "x2", "any2"]
    with pytest.raises(ModelError, match=r"tape\.jsonl has no answer left for this prompt \(it ends at line 5\)"):
        ask(model)


def test_prompt_matches_exactly(tape: Path) -> None:
    write(tape, {"prompt": "hello", "deltas": [[0, "a"]]})
    for other in ("hello ", "Hello", ""):
        with pytest.raises(ModelError):
            ask(TapeModel(tape), other)


def test_stopped_in_a_pause(tape: Path) -> None:
    write(tape, {"deltas": [[0, "a"], [3600, "b"]]})

    async def run() -> None:
        async with asyncio.timeout(0.05):
            async for _ in TapeModel(tape).stream(ModelRequest(({"role": "user", "content": "x"},))):
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        ("[]", "a turn is an object"),
        ("{}", "deltas is a list"),
        ('{"deltas": "abc"}', "deltas is a list"),
        ('{"deltas": [["a", 0]]}', r"not \[seconds, text\]"),
        ('{"deltas": [[0, "a", 1]]}', r"not \[seconds, text\]"),
        ('{"deltas": [[-1, "a"]]}', r"not \[seconds, text\]"),
        ('{"deltas": [[NaN, "a"]]}', r"not \[seconds, text\]"),
        ('{"deltas": [[Infinity, "a"]]}', r"not \[seconds, text\]"),
        ('{"deltas": [[true, "a"]]}', r"not \[seconds, text\]"),
        ('{"deltas": [], "thinking": [1]}', "thinking has something"),
        ('{"deltas": [], "prompt": 3}', "prompt is a string or null"),
        ('{"deltas": [], "usage": []}', "usage is"),
        ('{"deltas": [], "promt": "x"}', "no 'promt'"),
        (b'{"deltas": [[0, "\xff"]]}', "utf-8"),
    ],
)
def test_malformed_says_where(tape: Path, line: str | bytes, said: str) -> None:
    tape.write_bytes(b'{"deltas": []}\n\n' + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(ConfigError, match=rf"tape\.jsonl is malformed in line 3: .*{said}"):
        TapeModel(tape)


@pytest.mark.parametrize("path", ["missing.jsonl", "."])
def test_no_tape_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="there is no tape"):
        TapeModel(tmp_path / path)


def test_empty_tape_has_no_answer(tape: Path) -> None:
    tape.touch()
    with pytest.raises(ModelError, match="no answer left"):
        ask(TapeModel(tape))


def test_recording_plays_as_recorded(tape: Path) -> None:
    answers = {"one": ["é", "\ud83d", "\ude00\0"], "two": ["b", "c"]}

    async def mine(prompt: str) -> AsyncIterator[str]:
        for piece in answers[prompt]:
            yield piece

    recorder = Recorder(FunctionModel(mine), tape)
    assert isinstance(recorder, Model)
    assert recorder.name == "mine"
    recorded = {prompt: ask(recorder, prompt) for prompt in answers}
    assert stat.S_IMODE(tape.stat().st_mode) == 0o600
    assert {prompt: ask(TapeModel(tape), prompt) for prompt in reversed(answers)} == recorded


def test_recording_is_added_and_keeps_thinking(tape: Path) -> None:
    write(tape, {"prompt": "q", "deltas": [[0, "a"]], "thinking": [[0, "t"]], "usage": None})
    copy = tape.with_name("copy.jsonl")
    for _ in range(2):
        ask(Recorder(TapeModel(tape), copy), "q")
    assert len(copy.read_bytes().splitlines()) == 2
    assert ask(TapeModel(copy), "q") == ask(TapeModel(tape), "q")


def test_only_whole_turns_are_recorded(tape: Path) -> None:
    async def broken(_: str) -> AsyncIterator[str]:
        yield "a"
        raise ValueError

    async def leave() -> None:
        stream = recorder.stream(ModelRequest(({"role": "user", "content": "x"},)))
        await anext(stream)
        await stream.aclose()

    recorder = Recorder(FunctionModel(broken), tape)
    asyncio.run(leave())
    with pytest.raises(ModelError):
        ask(recorder)
    assert tape.read_bytes() == b""


def test_leaving_closes_the_recorded_model(tape: Path) -> None:
    closed = []

    async def mine(_: str) -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(1)

    async def leave() -> None:
        stream = Recorder(FunctionModel(mine), tape).stream(ModelRequest(({"role": "user", "content": "x"},)))
        await anext(stream)
        await stream.aclose()
        assert closed == [1]

    asyncio.run(leave())


def test_nowhere_to_record(tmp_path: Path) -> None:
    async def mine(_: str) -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(ConfigError, match="cannot be written"):
        Recorder(FunctionModel(mine), tmp_path / "no" / "tape.jsonl")
