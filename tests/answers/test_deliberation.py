"""Deliberation: which steps each level takes, what stands at its end, and what changes, failures and stops do to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.answers.deliberation import CANDIDATES, ROUNDS, side_by_side
from openclaw_nb.engine import Engine, Turn
from openclaw_nb.errors import ModelError, OpenClawError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import ModelEvent, ModelRequest, StepDelta, TextDelta
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.spine import asynchronous, play
from tests.staged import FAIL, PASS, Staged, events_of, kinds, shown, unended

CHECKED = ["plan", "answer", "check"]


# -- one answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2])
@asynchronous
async def test_fast_and_standard_are_one_request(level: int) -> None:
    model = Staged()
    events, _ = await events_of(model, level)
    assert events == [TextDelta("plain "), TextDelta("answer")]
    [request] = model.asked
    assert (request.level, request.stage) == (level, None)


@asynchronous
async def test_deep_plans_drafts_and_checks() -> None:
    model = Staged()
    events, turn = await events_of(model, 3)
    assert kinds(model) == CHECKED
    assert shown(events) == {"plan": "1. add\n2. look", "draft": "draft 1", "check": PASS, "answer": "draft 1"}
    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("draft 1", 0)]
    assert turn.outcome.note == ""
    plan, draft, check = (request.stage for request in model.asked)
    assert plan is not None
    assert (plan.plan, plan.drafts) == ("", ())
    assert draft is not None
    assert (draft.plan, draft.drafts) == ("1. add\n2. look", ())
    assert check is not None
    assert (check.plan, check.drafts) == ("1. add\n2. look", ("draft 1",))
    assert {request.level for request in model.asked} == {3}
    assert {request.messages[-1]["role"] for request in model.asked} == {"user"}


@asynchronous
async def test_steps_carry_their_tokens_and_seconds() -> None:
    model = Staged(pause=0.01)
    events, turn = await events_of(model, 3)
    tokens: dict[str, int] = {}
    for event in events:
        if isinstance(event, StepDelta):
            tokens[event.key] = tokens.get(event.key, 0) + event.tokens
    assert tokens == {"plan": 3, "draft": 2, "check": 4}
    assert turn.outcome.usage == Usage(30, 9), "what stands at the end was made, and counted, as a step"
    ends = [event for event in events if isinstance(event, StepDelta) and event.seconds is not None]
    assert [event.key for event in ends] == ["plan", "draft", "check"]
    assert all(event.seconds and event.seconds >= 0.01 for event in ends)


@asynchronous
async def test_a_check_that_fails_has_it_repaired_once() -> None:
    model = Staged(check=FAIL)
    events, turn = await events_of(model, 3)
    assert kinds(model) == [*CHECKED, "repair"]
    repair = model.asked[-1].stage
    assert repair is not None
    assert (repair.drafts, repair.objections) == (("draft 1",), (FAIL,))
    assert shown(events)["repair"] == shown(events)["answer"] == "repaired"
    assert turn.outcome.note == ""


@pytest.mark.parametrize("said", ["It looks fine to me.", "", "VERDICT: perhaps"])
@asynchronous
async def test_without_a_verdict_it_has_not_passed(said: str) -> None:
    model = Staged(check=said)
    await events_of(model, 3)
    assert kinds(model)[-1] == "repair"


@asynchronous
async def test_the_answer_is_the_draft_to_the_byte() -> None:
    odd = ["  \n", "a\u0301€😀", "\ud83d", "\ude00 \r\n<think>", "\x00```\n"]
    whole = "".join(odd).encode("utf-16", "surrogatepass").decode("utf-16")
    for level in (3, 4):
        events, _ = await events_of(Staged(answer=odd, join=odd), level)
        assert shown(events)["answer"] == whole


# -- several answers -------------------------------------------------------------------------------


@asynchronous
async def test_ultra_compares_and_joins() -> None:
    model = Staged()
    events, turn = await events_of(model, 4)
    assert kinds(model)[0] == "plan"
    assert sorted(kinds(model)[1:7]) == ["answer"] * 3 + ["check"] * 3
    assert kinds(model)[7:] == ["join", "check"]
    assert next(iter(shown(events))) == "plan"
    assert list(shown(events))[-3:] == ["join", "check of the join", "answer"]
    assert set(shown(events)) == {
        "plan", "candidate 1", "candidate 2", "candidate 3", "check 1", "check 2", "check 3", "join",
        "check of the join", "answer",
    }  # fmt: skip
    assert [shown(events)[f"candidate {n}"] for n in (1, 2, 3)] == ["draft 1", "draft 2", "draft 3"]
    join = model.asked[7].stage
    assert join is not None
    assert sorted(join.drafts) == ["draft 1", "draft 2", "draft 3"]
    assert join.objections == (PASS,) * 3
    assert shown(events)["answer"] == "joined"
    assert unended(events) == set()
    assert turn.outcome.note == ""
    assert turn.outcome.usage is not None
    assert turn.outcome.usage.input_tokens == 10 * len(model.asked)


@asynchronous
async def test_candidates_are_made_side_by_side() -> None:
    together = asyncio.Barrier(CANDIDATES)

    class Meeting(Staged):
        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            if request.stage is not None and request.stage.kind == "answer":
                await together.wait()  # one after another they would wait for ever
            async for event in super().stream(request):
                yield event

    model = Meeting()
    events, _ = await asyncio.wait_for(events_of(model, 4), 60)
    assert shown(events)["answer"] == "joined"
    assert model.open == 0


@asynchronous
async def test_their_words_come_as_they_are_made() -> None:
    events, _ = await events_of(Staged(pause=0.005, answer="a b c d e f g h"), 4)
    order = [event.key for event in events if isinstance(event, StepDelta) and event.key.startswith("candidate")]
    assert order != sorted(order), "one is not held back until another has ended"


@asynchronous
async def test_their_places_are_told_before_their_words() -> None:
    """Rows do not jump, and what is saved of them is the same each time, whoever was the first."""
    late = {1: 3, 2: 0, 3: 1}

    class Uneven(Staged):
        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            assert request.stage is not None
            await asyncio.sleep(0.01 * late[request.stage.number])
            async for event in super().stream(request):
                yield event

    events, _ = await events_of(Uneven(), 4)
    assert list(shown(events))[:7] == [
        "plan", "candidate 1", "check 1", "candidate 2", "check 2", "candidate 3", "check 3",
    ]  # fmt: skip


@asynchronous
async def test_one_that_fails_is_alone_in_it() -> None:
    def answer(request: ModelRequest, number: int) -> Any:
        return ["half", ModelError("the provider is overloaded")] if number == 2 else f"draft {number}"

    model = Staged(answer=answer)
    events, _ = await events_of(model, 4)
    assert shown(events)["candidate 2"] == "half\nthe provider is overloaded"
    assert shown(events)["check 2"] == "left out"
    join = next(request.stage for request in model.asked if request.stage and request.stage.kind == "join")
    assert sorted(join.drafts) == ["draft 1", "draft 3"]
    assert shown(events)["answer"] == "joined"
    assert unended(events) == set()


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [ModelError("overloaded"), ValueError("no"), SystemExit(3), KeyboardInterrupt(), Odd()]
)
@asynchronous
async def test_where_all_fail_it_has_failed(error: BaseException) -> None:
    model = Staged(answer=["half", error])
    with pytest.raises(ModelError, match=f"overloaded|the model staged failed: {type(error).__name__}"):
        await events_of(model, 4)
    assert model.open == 0
    assert kinds(model) == ["plan", "answer", "answer", "answer"]


@pytest.mark.parametrize("lowered", [1, 3])
@asynchronous
async def test_where_all_fail_no_half_is_given_for_an_answer(lowered: int) -> None:
    with pytest.raises(ModelError, match="overloaded"):
        await events_of(Staged(answer=["half", ModelError("overloaded")]), 4, {"candidate 1": lowered})


@asynchronous
async def test_it_goes_on_until_a_join_passes() -> None:
    def check(request: ModelRequest, number: int) -> str:
        assert request.stage is not None
        return PASS if request.stage.drafts == ("joined twice",) else FAIL

    joins = iter(["joined", "joined twice"])
    model = Staged(check=check, join=lambda request, number: next(joins))
    events, turn = await events_of(model, 4)
    assert kinds(model).count("join") == 2
    assert shown(events)["answer"] == "joined twice"
    assert turn.outcome.note == ""
    again = [request.stage for request in model.asked if request.stage and request.stage.number > 3]
    assert {stage.number for stage in again} == {4, 5, 6}
    assert {(stage.drafts, stage.objections) for stage in again} == {(("joined",), (FAIL,))}, "told what was wrong"
    second = [request.stage for request in model.asked if request.stage and request.stage.kind == "join"][1]
    assert second.drafts[0] == "joined", "it may still be the best"


@pytest.mark.parametrize(
    ("fails", "answer", "note"),
    [
        (lambda drafts: True, "joined", "no answer passed"),
        (lambda drafts: drafts == ("joined",), "draft ", "no join passed"),
    ],
)
@asynchronous
async def test_rounds_are_bounded(
    fails: Callable[[tuple[str, ...]], bool], answer: str, note: str, figure: Callable[[str, str], None]
) -> None:
    def check(request: ModelRequest, number: int) -> str:
        assert request.stage is not None
        return FAIL if fails(request.stage.drafts) else PASS

    model = Staged(check=check)
    events, turn = await events_of(model, 4)
    assert kinds(model).count("join") == ROUNDS
    assert kinds(model).count("answer") == ROUNDS * CANDIDATES
    assert shown(events)["answer"].startswith(answer), "one that passed is better than the newest"
    assert turn.outcome.note == f"{note} its check in {ROUNDS} rounds"
    figure("issue 5 levels", f"level 4 whose join never passes ends after {ROUNDS} rounds, {len(model.asked)} requests")


# -- failures in each step -------------------------------------------------------------------------


@pytest.mark.parametrize("level", [3, 4])
@pytest.mark.parametrize("kind", ["plan", "answer"])
@asynchronous
async def test_a_step_that_fails_fails_the_run(kind: str, level: int) -> None:
    model = Staged(**{"check": FAIL, kind: ["half", ValueError("no")]})
    with pytest.raises(OpenClawError, match=r"no$"):
        await events_of(model, level)
    assert kinds(model)[-1] == kind
    assert model.open == 0


@pytest.mark.parametrize(("kind", "level", "note"), [("repair", 3, "not repaired"), ("join", 4, "not joined")])
@asynchronous
async def test_where_the_last_step_fails_the_best_draft_is_given(kind: str, level: int, note: str) -> None:
    model = Staged(**{"check": FAIL, kind: ["half", ValueError("no")]})
    events, turn = await events_of(model, level)
    assert shown(events)["answer"].startswith("draft ")
    assert turn.outcome.note == f"{note}: no"
    assert shown(events)[kind] == "half\nno"
    assert unended(events) == set()


@pytest.mark.parametrize(("kind", "level"), [("check", 3), ("repair", 3), ("join", 4)])
@asynchronous
async def test_what_may_pass_is_left_to_who_takes_the_run_up_again(kind: str, level: int) -> None:
    model = Staged(**{"check": FAIL, kind: ModelError("busy", code="MODEL_UNAVAILABLE")})
    with pytest.raises(ModelError, match="busy"):
        await events_of(model, level)


@pytest.mark.parametrize("level", [3, 4])
@pytest.mark.parametrize("error", [ModelError("overloaded"), ValueError("overloaded")])
@asynchronous
async def test_a_check_that_cannot_be_had_is_said(level: int, error: Exception) -> None:
    events, turn = await events_of(Staged(check=["half", error]), level)
    assert shown(events)["answer"] == ("draft 1" if level == 3 else "joined")
    assert turn.outcome.note == "not checked: overloaded"
    assert shown(events)["check" if level == 3 else "check of the join"] == "half\noverloaded"
    assert unended(events) == set()


@asynchronous
async def test_a_candidate_s_check_that_cannot_be_had_is_not_said_of_the_answer() -> None:
    def check(request: ModelRequest, number: int) -> Any:
        assert request.stage is not None
        return PASS if request.stage.drafts == ("joined",) else ModelError("overloaded")

    events, turn = await events_of(Staged(check=check), 4)
    assert (shown(events)["answer"], turn.outcome.note) == ("joined", "")


@asynchronous
async def test_a_model_that_cancels_itself_stops_nobody() -> None:
    for level in (3, 4):
        with pytest.raises(ModelError, match="cancelled from inside"):
            await events_of(Staged(answer=asyncio.CancelledError()), level)


# -- side by side ----------------------------------------------------------------------------------


class Source:
    """One that yields its numbers with turns of the loop between them, and knows whether it was closed."""

    def __init__(self, name: int, waits: list[int], error: Exception | None = None) -> None:
        self.name, self.waits, self.error = name, waits, error
        self.begun = self.closed = False

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        self.begun = True
        try:
            for number, wait in enumerate(self.waits):
                for _ in range(wait):
                    await asyncio.sleep(0)
                yield StepDelta(str(self.name), "", str(number))
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


plans = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=5)


def in_order(events: list[Any], sources: list[Source], *, whole: bool) -> None:
    for source in sources:
        texts = [int(event.text) for event in events if event.key == str(source.name)]
        assert texts == list(range(len(source.waits)))[: None if whole else len(texts)]


@given(plans)
def test_side_by_side_nothing_is_lost(waits: list[list[int]]) -> None:
    sources = [Source(name, each) for name, each in enumerate(waits)]

    async def work() -> list[Any]:
        return [event async for event in side_by_side([source.events() for source in sources])]

    events = play(work())
    assert len(events) == sum(map(len, waits))
    in_order(events, sources, whole=True)
    assert all(source.closed for source in sources)


@given(plans.filter(bool), st.data())
def test_side_by_side_an_error_ends_the_others(waits: list[list[int]], data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, len(waits) - 1))
    sources = [Source(n, each, ValueError("no") if n == wrong else None) for n, each in enumerate(waits)]
    events: list[Any] = []

    async def work() -> None:
        async for event in side_by_side([source.events() for source in sources]):
            events.append(event)

    with pytest.raises(ValueError, match="no"):
        play(work())
    in_order(events, [sources[wrong]], whole=True)
    in_order(events, sources, whole=False)
    assert all(source.closed == source.begun for source in sources)


@given(plans, st.integers(0, 12))
def test_side_by_side_closed_at_any_moment_closes_all(waits: list[list[int]], after: int) -> None:
    sources = [Source(name, each) for name, each in enumerate(waits)]

    async def work() -> None:
        async with aclosing(side_by_side([source.events() for source in sources])) as events:
            for _ in range(after):
                if await anext(events, None) is None:
                    break

    play(work())
    assert all(source.closed == source.begun for source in sources)


@asynchronous
async def test_those_that_work_side_by_side_begin_when_they_may() -> None:
    engine, asked = Engine(Memory(SnapshotStore()), Staged()), list[tuple[str, int]]()
    engine.beside = lambda run_id, works: (asked.append((run_id, len(works))), works)[1]
    async with aclosing(engine.turn(Turn("k", "q", level=4))) as source:
        assert [event async for event in source]
    assert asked == [("k", CANDIDATES)]
