"""Engine: a turn's events, its memory in pairs, pairs of surrogates made whole, and failures in one sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.engine import AgentSpec, Engine, Turn
from openclaw_nb.errors import ConfigError, ModelError, OpenClawError, RequestError, RunError, SnapshotError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from openclaw_nb.snapshots import SnapshotStore
from tests.spine import any_text, asynchronous, play, soon


class Scripted:
    """A Model that yields events, and records what it was asked and whether it was closed."""

    name = "scripted"

    def __init__(self, *events: ModelEvent | BaseException, gate: asyncio.Event | None = None) -> None:
        self.events = events
        self.gate = gate
        self.asked: list[ModelRequest] = []
        self.waits = False  # at its gate, with all said
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        try:
            for event in self.events:
                if isinstance(event, BaseException):
                    raise event
                yield event
            if self.gate is not None:
                self.waits = True
                await self.gate.wait()
        finally:
            self.closed += 1


def says(*texts: str, **options: Any) -> Scripted:
    return Scripted(*map(TextDelta, texts), **options)


def new_engine(model: Model, resolve: Callable[[str], Model] | None = None) -> Engine:
    return Engine(SnapshotStore(), model, resolve)


async def play_turn(engine: Engine, turn: Turn) -> list[ModelEvent]:
    async with aclosing(engine.turn(turn)) as events:
        return [event async for event in events]


def kept(engine: Engine, session: str = "main") -> list[dict[str, Any]]:
    """What the session keeps, without the facts of each answer."""
    return [
        {key: value for key, value in message.items() if key not in {"cost", "level", "model", "tokens"}}
        for message in engine.messages(session)
    ]


@asynchronous
async def test_a_turn() -> None:
    model = Scripted(ThinkingDelta("hm"), TextDelta("one "), TextDelta("two"), Usage(3, 2))
    engine = new_engine(model)
    turn = Turn("k", "question", level=1)
    assert await play_turn(engine, turn) == [ThinkingDelta("hm"), TextDelta("one "), TextDelta("two")]
    assert turn.outcome.usage == Usage(3, 2)
    assert turn.outcome.model == "scripted"
    head = engine.memory.store.head("main")
    assert head is not None
    assert turn.outcome.snapshot == head.id
    pair = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "one two", "run": "k"}]
    assert kept(engine) == pair
    await play_turn(engine, Turn("k2", "more"))
    first, second = model.asked
    assert (first.messages, first.level, first.prompt) == (({"role": "user", "content": "question"},), 1, "question")
    assert [message["content"] for message in second.messages] == ["question", "one two", "more"]
    assert model.closed == 2


@asynchronous
async def test_agents_and_models() -> None:
    own = says("own")
    engine = new_engine(says("default"), lambda name: says(f"resolved {name}"))
    assert engine.register(AgentSpec("helper", own, "be kind")) == "helper"
    assert engine.register(AgentSpec("helper", own, "be kind")) == "helper"
    assert engine.register(AgentSpec("helper", own, "be terse")) == "helper-2"
    assert await play_turn(engine, Turn("k1", "q", "helper")) == [TextDelta("own")]
    assert own.asked[0].instructions == "be kind"
    assert await play_turn(engine, Turn("k2", "q")) == [TextDelta("default")]
    assert await play_turn(engine, Turn("k3", "q", model="m")) == [TextDelta("resolved m")]
    with pytest.raises(ModelError, match="no agent 'nobody'"):
        await play_turn(engine, Turn("k4", "q", "nobody"))
    with pytest.raises(ModelError, match="serves scripted; it takes no other model"):
        await play_turn(new_engine(says("x")), Turn("k5", "q", model="m"))


@asynchronous
async def test_an_unknown_model() -> None:
    def resolve(name: str) -> Model:
        raise ConfigError(f"there is no model {name}")

    engine = new_engine(says("x"), resolve)
    with pytest.raises(ConfigError, match="there is no model m"):
        await play_turn(engine, Turn("k", "q", model="m"))
    assert kept(engine) == []


# -- memory ----------------------------------------------------------------------------------------


@asynchronous
async def test_two_turns_side_by_side_are_kept_in_pairs() -> None:
    gate = asyncio.Event()
    engine = new_engine(says("answer", gate=gate))
    both = asyncio.gather(*(play_turn(engine, Turn(f"{i}", f"question {i}")) for i in range(2)))
    await asyncio.sleep(0.01)
    assert kept(engine) == []
    gate.set()
    await both
    said = [message["content"] for message in kept(engine)]
    assert said in (
        ["question 0", "answer", "question 1", "answer"],
        ["question 1", "answer", "question 0", "answer"],
    )


@asynchronous
async def test_a_stopped_turn_leaves_a_clean_pair() -> None:
    model = says("one ", "two", gate=asyncio.Event())
    engine = new_engine(model)
    task = asyncio.create_task(play_turn(engine, turn := Turn("k", "q")))
    await soon(lambda: model.waits, "that all of it came")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept(engine)[1] == {"role": "assistant", "content": "one two", "run": "k", "stopped": True}
    assert turn.outcome.snapshot
    assert model.closed == 1
    events = engine.turn(Turn("k2", "q2"))
    assert await anext(events) == TextDelta("one ")
    await events.aclose()
    assert kept(engine)[3] == {"role": "assistant", "content": "one ", "run": "k2", "stopped": True}
    assert engine.history("main")[3] == {"role": "assistant", "content": "one "}, "a model is not told how it ended"


@asynchronous
async def test_a_turn_reads_its_session_once_in_memory_and_writes_it_once() -> None:
    engine = new_engine(says("one"))
    statements: list[str] = []
    with engine.memory.store._database.transaction("the statements") as db:
        db.set_trace_callback(statements.append)
    for id, reads in (("k", ["BEGIN"]), ("k2", []), ("k3", [])):
        await play_turn(engine, Turn(id, "q"))
        assert [words for words in statements if words.startswith("BEGIN")] == [*reads, "BEGIN IMMEDIATE"]
        statements.clear()


class OwnBaseException(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no"), "the model scripted failed: ValueError: no"),
        (SystemExit(3), "the model scripted failed: SystemExit: 3"),
        (KeyboardInterrupt(), "the model scripted failed: KeyboardInterrupt: "),
        (OwnBaseException("odd"), "the model scripted failed: OwnBaseException: odd"),
        (asyncio.CancelledError(), "the model scripted was cancelled from inside"),
        (TimeoutError("slow"), "the model scripted failed: TimeoutError: slow"),
        (ModelError("its own sentence"), "its own sentence"),
        (SnapshotError("not of the model"), "not of the model"),
    ],
)
@asynchronous
async def test_failures(error: BaseException, sentence: str) -> None:
    model = Scripted(TextDelta("half"), error)
    engine = new_engine(model)
    with pytest.raises(OpenClawError) as failure:
        await play_turn(engine, Turn("k", "q"))
    assert str(failure.value) == sentence
    assert kept(engine)[1] == {"role": "assistant", "content": "half", "run": "k", "failed": True}
    assert model.closed == 1
    model.events = (TextDelta("well"),)
    assert await play_turn(engine, Turn("k2", "again")) == [TextDelta("well")]
    assert [message["content"] for message in model.asked[-1].messages] == ["q", "half", "again"]


@asynchronous
async def test_a_failure_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_API_KEY", "a-value-to-keep-quiet")
    with pytest.raises(ModelError, match=r"^the model scripted failed: ValueError: refused: env:MINE_API_KEY$"):
        await play_turn(new_engine(Scripted(ValueError("refused: a-value-to-keep-quiet"))), Turn("k", "q"))


@pytest.mark.parametrize("events", [[], [ThinkingDelta("hm")], [TextDelta("")], [ValueError("no")], [Usage(1, 0)]])
@asynchronous
async def test_where_nothing_came_nothing_is_kept(events: list[Any]) -> None:
    engine = new_engine(Scripted(*events))
    turn = Turn("k", "q")
    with suppress(ModelError):
        await play_turn(engine, turn)
    assert kept(engine) == []
    assert turn.outcome.snapshot is None


@asynchronous
async def test_a_store_that_cannot_keep_it_says_so() -> None:
    engine = new_engine(says("one"))
    engine.memory.store.close()
    with pytest.raises(SnapshotError):
        await play_turn(engine, Turn("k", "q"))


# -- the stream ------------------------------------------------------------------------------------


@asynchronous
async def test_a_model_that_never_waits_lets_the_loop_turn() -> None:
    class Endless:
        name = "endless"

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            asyncio.get_running_loop().call_later(0.02, turned.set)
            while not turned.is_set():
                yield TextDelta("x")

    turned = asyncio.Event()
    assert await play_turn(new_engine(Endless()), Turn("k", "q"))
    turned.clear()
    with pytest.raises(RunError):  # the loop turned, and the model ended, while it repeated what is known
        await play_turn(new_engine(Endless()), Turn("k", "q", partial="x" * 1_000_000))


@given(any_text, st.data())
def test_pairs_cut_between_deltas_are_made_whole(text: str, data: st.DataObject) -> None:
    """However UTF-16 is cut, the deltas joined are the text, and so is what is kept; thoughts as well as answers."""
    units = text.encode("utf-16-le", "surrogatepass")
    whole = units.decode("utf-16-le", "surrogatepass")
    halves = [units[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2)]
    events: list[ModelEvent] = []
    while halves:
        size = data.draw(st.integers(1, 3))
        piece, halves = "".join(halves[:size]), halves[size:]
        events += [TextDelta(piece), ThinkingDelta(piece)]
    engine = new_engine(Scripted(*events))
    told = play(play_turn(engine, Turn("k", "q")))
    for kind in (TextDelta, ThinkingDelta):
        texts = [event.text for event in told if type(event) is kind]
        assert "".join(texts) == whole
        assert sum(map(len, texts)) == len(whole)
        assert sum(event.tokens for event in told if type(event) is kind) == sum(type(e) is kind for e in events)
    if whole:
        assert kept(engine)[1]["content"] == whole


def test_a_turn_is_what_was_asked_and_not_what_became_of_it() -> None:
    one, other = Turn("k", "q"), Turn("k", "q")
    one.outcome.model = "m"
    assert one == other
    assert one == Turn("k", "q", level=4), "it may have been changed meanwhile"
    assert one != Turn("k", "another")
    assert sys.getsizeof(one)


def test_tokens_of_a_provider_have_a_cost() -> None:
    async def work(name: str) -> float | None:
        model = Scripted(TextDelta("dear"), Usage(1000, 1000))
        model.name = name
        turn = Turn("r", "q")
        async for _ in Engine(SnapshotStore(), model).turn(turn):
            pass
        return turn.outcome.cost

    assert asyncio.run(work("openai-chat:gpt-4o")) == pytest.approx(0.0125)
    assert asyncio.run(work("openai-chat:no-such-model")) is None
    assert asyncio.run(work("offline")) is None


@asynchronous
async def test_a_request_that_is_repeated_when_its_run_is_forgotten() -> None:
    model = says("one ", "two")
    engine = new_engine(model)
    await play_turn(engine, Turn("k", "q"))
    await play_turn(engine, Turn("k2", "more"))
    assert await play_turn(engine, Turn("k", "q")) == [TextDelta("one two")]
    assert await play_turn(engine, Turn("k", "q", partial="one ")) == [TextDelta("two")]
    assert len(model.asked) == 2
    assert len(kept(engine)) == 4
    with pytest.raises(RequestError, match="already used"):
        await play_turn(engine, Turn("k", "another"))
    await play_turn(engine, Turn("k", "q", session="other"))
    assert len(model.asked) == 3


@asynchronous
async def test_one_that_failed_is_asked_again() -> None:
    model = Scripted(TextDelta("half"), ValueError("no"))
    engine = new_engine(model)
    for _ in range(2):
        with pytest.raises(ModelError):
            await play_turn(engine, Turn("k", "q"))
    assert len(model.asked) == 2
