"""Answering: which way a turn gets its answer at each level, what is loaded first, and what all its requests used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb.answers.answering import weight
from openclaw_nb.answers.deliberation import CANDIDATES
from openclaw_nb.answers.stages import ALOUD
from openclaw_nb.engine import Engine, Turn
from openclaw_nb.errors import BudgetReached, ModelError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import ModelEvent, ModelRequest, Output, StepDelta, TextDelta, ThinkingDelta
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.spine import asynchronous
from tests.staged import FAIL, Native, Staged, events_of, kinds, shown

# -- thinking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "level", "instructions"),
    [
        (Native(thinks=False), 1, ""),
        (Native(thinks=False), 2, ALOUD),
        (Native(thinks=True), 1, ""),
        (Native(thinks=True), 2, ""),
        (Staged(), 2, ""),  # it says nothing about itself, and is let alone
    ],
)
@asynchronous
async def test_a_model_that_does_not_think_is_asked_to_think_aloud(
    model: Staged, level: int, instructions: str
) -> None:
    await events_of(model, level)
    [request] = model.asked
    assert (request.instructions, request.level, request.stage) == (instructions, level, None)


@asynchronous
async def test_thoughts_of_a_plain_answer_stay_thoughts() -> None:
    events, turn = await events_of(Native(**{"": [ThinkingDelta("hm"), "the answer"]}), 2)
    assert events == [ThinkingDelta("hm"), TextDelta("the answer")]
    assert turn.outcome.usage == Usage(10, 2)


class Going(Native):
    """One that can go on from any part."""

    def continued(self, request: ModelRequest, partial: str) -> ModelRequest:
        return replace(request, messages=(*request.messages, {"role": "assistant", "content": partial}))


@asynchronous
async def test_who_has_begun_to_answer_is_not_asked_to_think_first() -> None:
    model = Going(thinks=False, **{"": "and the rest"})
    events, turn = await events_of(model, 2, partial="A part ", partial_tokens=2)
    assert events[-1] == TextDelta("rest")
    [request] = model.asked
    assert (request.instructions, request.messages[-1]["content"]) == ("", "A part ")
    assert turn.outcome.note == "gone on from character 7"


# -- loading ---------------------------------------------------------------------------------------


class Heavy(Native):
    """One whose client has to be imported first."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.loaded = False

    def waits_for(self) -> str:
        return "" if self.loaded else "the client of heavy"

    async def load(self) -> None:
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        self.loaded = True

    async def thinks(self) -> bool:
        assert self.loaded, "only its client knows"
        return True


@pytest.mark.parametrize("level", [1, 3])
@asynchronous
async def test_what_is_waited_for_is_said_and_said_once(level: int) -> None:
    model = Heavy()
    events, _ = await events_of(model, level)
    first, second = events[:2]
    assert first == StepDelta("load", "loading", "the client of heavy")
    assert isinstance(second, StepDelta)
    assert (second.key, second.text) == ("load", "")
    assert second.seconds is not None
    assert second.seconds >= 0.01
    again, _ = await events_of(model, level)
    assert "load" not in shown(again)


@asynchronous
async def test_one_that_cannot_be_loaded_fails_the_run() -> None:
    model = Heavy(ModelError("there is no client of heavy"))
    with pytest.raises(ModelError, match="there is no client of heavy"):
        await events_of(model, 2)
    assert model.asked == []


@asynchronous
async def test_a_level_that_changes_while_it_is_loaded_is_the_one_that_is_asked_for() -> None:
    for before, after, asked in ((1, 2, [""]), (2, 3, ["answer", "check"]), (3, 1, [""])):
        model, turn = Heavy(), Turn("k", "q", level=before)
        async with aclosing(Engine(Memory(SnapshotStore()), model).turn(turn)) as events:
            async for event in events:
                if isinstance(event, StepDelta) and event.key == "load":
                    turn.changed = after
        assert kinds(model) == asked
        assert {request.level for request in model.asked} == {after}


# -- stopped at a budget ---------------------------------------------------------------------------


@asynchronous
async def test_a_draft_that_stood_when_the_budget_ended_is_not_contradicted() -> None:
    """Resumed with more money it is what was shown, and no model is asked for another."""
    memory, model = Memory(SnapshotStore()), Staged(check=FAIL, repair=["repaired "] * 50)
    model.prices = (0, 1000.0)  # type: ignore[attr-defined]
    engine = Engine(memory, model)
    with pytest.raises(BudgetReached):
        _ = [event async for event in engine.turn(Turn("k", "q", level=3, budget=0.02))]
    head = memory.head("main")
    assert head is not None
    cut = memory.restore("main", head, stopped=True)
    assert cut is not None
    assert cut.text == "draft 1"
    asked = len(model.asked)
    again = Turn("k", "q", level=3, budget=5.0, partial=cut.text, retry=True)
    events = [event async for event in engine.turn(again)]
    assert (shown(events).get("draft"), shown(events).get("answer")) == ("draft 1", None)
    assert len(model.asked) == asked
    assert again.outcome.note == "it stands as its step draft gave it"
    assert [message["content"] for message in engine.messages("main")] == ["q", "draft 1"]


# -- what it used ----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@asynchronous
async def test_all_requests_count(level: int) -> None:
    model = Staged(check=FAIL)
    events, turn = await events_of(model, level)
    made = sum(getattr(event, "tokens", 0) for event in events)
    assert turn.outcome.usage == Usage(10 * len(model.asked), made)


@pytest.mark.parametrize("level", [1, 3, 4])
@asynchronous
async def test_what_a_stopped_one_used_is_estimated(level: int) -> None:
    model = Staged()
    turn = Turn("k", "q", level=level)
    events = Engine(Memory(SnapshotStore()), model).turn(turn)
    made = 0
    async for event in events:
        made += getattr(event, "tokens", 0)
        if made >= (1 if level == 1 else 5):
            break
    await events.aclose()
    usage = turn.outcome.usage
    assert usage is not None
    assert usage.estimated
    assert made <= usage.output_tokens <= made + CANDIDATES, "some of those side by side were made and not told yet"
    assert usage.input_tokens > 0


@asynchronous
async def test_a_model_that_reports_nothing_is_counted_too() -> None:
    class Silent(Staged):
        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            async for event in super().stream(request):
                if not isinstance(event, Usage):
                    yield event

    model = Silent()
    _, turn = await events_of(model, 3)
    usage = turn.outcome.usage
    assert usage is not None
    assert (usage.estimated, usage.output_tokens) == (True, 9)
    assert usage.input_tokens == sum(map(weight, model.asked))


# -- answers of a form -----------------------------------------------------------------------------

FORM = Output("Sum", {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]})


@pytest.mark.parametrize("level", [1, 2])
@asynchronous
async def test_an_answer_that_does_not_fit_is_repaired_at_any_level(level: int) -> None:
    replies = iter(['{"sum": "many"}', '{"sum": 3}'])
    model = Staged(answer='{"sum": null}', repair=lambda request, number: next(replies))
    events, _ = await events_of(model, level, output=FORM)
    assert kinds(model) == ["answer", "repair", "repair"]
    assert shown(events)["answer"] == '{"sum": 3}'
    assert all(request.output == FORM for request in model.asked)
    last = model.asked[-1].stage
    assert last is not None
    assert last.drafts == ('{"sum": "many"}',)
    assert last.objections[0], "it is told what is wrong"


@asynchronous
async def test_one_that_fits_at_once_takes_one_request() -> None:
    model = Staged(answer='{"sum": 3}')
    events, _ = await events_of(model, 1, output=FORM)
    assert kinds(model) == ["answer"]
    assert shown(events)["answer"] == '{"sum": 3}'


@asynchronous
async def test_repairs_for_a_form_are_bounded() -> None:
    model = Staged(answer="no", repair="still no")
    await events_of(model, 2, output=FORM)
    assert kinds(model) == ["answer", "repair", "repair"]


# -- weight ----------------------------------------------------------------------------------------


def test_what_is_said_weighs() -> None:
    def of(content: str, **facts: Any) -> int:
        return weight(ModelRequest(({"role": "user", "content": content},), **facts))

    assert of("word " * 1000) > 10 * of("word " * 10) > 0
    assert of("q", instructions="be kind " * 100) > of("q") + 100
