"""What changes a deliberation: a model that thinks, other levels, tools, a stop at any moment, being taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from openclaw_nb.engine import Engine, Turn
from openclaw_nb.ledger import is_whole
from openclaw_nb.models.base import ModelEvent, ModelRequest, StepDelta, ThinkingDelta, ToolCall
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.banking import Bank, engine_with, kept, steps, turn
from tests.spine import asynchronous
from tests.staged import FAIL, PASS, Native, Staged, events_of, kinds, shown, unended

# -- models that think -----------------------------------------------------------------------------


@pytest.mark.parametrize("level", [3, 4])
@asynchronous
async def test_one_that_thinks_by_itself_is_not_asked_for_a_plan(level: int) -> None:
    model = Native()
    events, _ = await events_of(model, level)
    assert "plan" not in kinds(model)
    assert "plan" not in shown(events)
    assert all(request.stage and request.stage.plan == "" for request in model.asked)
    assert model.asked[0].messages[-1]["content"] == "q", "nothing is added where there is nothing to say"
    assert {request.level for request in model.asked} == {level}


@asynchronous
async def test_one_that_does_not_is() -> None:
    model = Native(thinks=False)
    await events_of(model, 3)
    assert kinds(model) == ["plan", "answer", "check"]
    assert not any("<think>" in request.instructions for request in model.asked)


@asynchronous
async def test_thoughts_of_a_draft_are_a_step_of_their_own() -> None:
    draft = [ThinkingDelta("hm "), ThinkingDelta("so"), "the ", ThinkingDelta("ah"), "answer"]
    events, _ = await events_of(Native(answer=draft), 3)
    assert shown(events)["draft, thinking"] == "hm soah"
    assert shown(events)["draft"] == shown(events)["answer"] == "the answer"
    assert unended(events) == set()
    assert not any(isinstance(event, ThinkingDelta) for event in events)


@asynchronous
async def test_thoughts_alone_end_too() -> None:
    events, _ = await events_of(Native(check=[ThinkingDelta("hm")]), 3)
    assert unended(events) == set()


# -- a level changed on the way --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "change", "asked"),
    [
        (3, {"plan": 1}, ["plan", "answer"]),
        (3, {"plan": 2}, ["plan", "answer"]),
        (3, {"plan": 4}, ["plan", *["answer"] * 3, *["check"] * 3, "join", "check"]),
        (3, {"draft": 1}, ["plan", "answer"]),
        (3, {"draft": 2}, ["plan", "answer"]),
        (3, {"draft": 4}, ["plan", "answer", "check", *["answer"] * 2, *["check"] * 2, "join", "check"]),
        (3, {"check": 2}, ["plan", "answer", "check"]),
        (3, {"check": 4}, ["plan", "answer", "check", *["answer"] * 2, *["check"] * 2, "join", "check"]),
        (3, {"repair": 4}, ["plan", "answer", "check", "repair", *["answer"] * 2, *["check"] * 2, "join", "check"]),
        (4, {"plan": 3}, ["plan", "answer", "check", "repair"]),
        (4, {"plan": 1}, ["plan", "answer"]),
        (4, {"candidate 1": 3}, ["plan", *["answer"] * 3, *["check"] * 3]),
        (4, {"candidate 1": 2}, ["plan", *["answer"] * 3]),
        (4, {"join": 3}, ["plan", *["answer"] * 3, *["check"] * 3, "join", "check"]),
        (4, {"join": 2}, ["plan", *["answer"] * 3, *["check"] * 3, "join"]),
        (4, {"plan": 3, "draft": 4, "candidate 2": 3}, ["plan", "answer", "check", *["answer"] * 2, *["check"] * 2]),
    ],
)  # fmt: skip
@asynchronous
async def test_a_change_takes_effect_on_the_next_step(level: int, change: dict[str, int], asked: list[str]) -> None:
    """Each at the moment its step begins; a check that fails would have a draft repaired, or a join made again."""

    def check(request: ModelRequest, number: int) -> str:
        assert request.stage is not None
        return PASS if request.stage.drafts == ("joined",) else FAIL

    model = Staged(check=check)
    last = list(change.values())[-1]
    events, turn = await events_of(model, level, dict(change))
    assert sorted_blocks(kinds(model)) == sorted_blocks(asked)
    assert shown(events)["answer"], "there is an answer whatever happens"
    assert turn.depth == last
    assert model.asked[-1].level in (level, *change.values())
    assert unended(events) == set()


def sorted_blocks(asked: list[str]) -> list[str]:
    """Runs of answers and checks sorted, as those of candidates come side by side, in any order."""
    blocks: list[list[str]] = [[]]
    for kind in asked:
        if kind in ("answer", "check"):
            blocks[-1].append(kind)
        else:
            blocks += [[kind], []]
    return [kind for block in blocks for kind in sorted(block)]


@asynchronous
async def test_each_step_is_asked_at_the_level_of_its_moment() -> None:
    model = Staged()
    await events_of(model, 4, {"plan": 3, "draft": 2})
    assert [request.level for request in model.asked] == [4, 3]
    model = Staged()
    await events_of(model, 3, {"draft": 4})
    assert [request.level for request in model.asked[:2]] == [3, 3]
    assert {request.level for request in model.asked[2:]} == {4}


# -- tools -----------------------------------------------------------------------------------------


def pays(*names: str) -> list[object]:
    return ["Let me pay. ", *(ToolCall("", "pay", {"to": name}) for name in names)]


def told_of_calls(request: ModelRequest) -> list[str]:
    return [message["content"] for message in request.messages if message["role"] == "tool"]


def paying(request: ModelRequest, number: int) -> object:
    """A draft that pays a and b, and another that knows of it."""
    if not request.tools:
        return f"draft {number}"
    return "all paid" if told_of_calls(request) else pays("a", "b")


async def with_bank(model: Staged, level: int, bank: Bank | None = None) -> tuple[Engine, list[ModelEvent]]:
    engine = engine_with(model, (bank or Bank()).pay)
    return engine, [event async for event in engine.turn(turn(level=level))]


@asynchronous
async def test_a_draft_uses_tools_and_the_check_is_told_what_they_gave() -> None:
    bank, model = Bank(), Staged(answer=paying)
    engine, events = await with_bank(model, 3, bank)
    assert bank.paid == ["a", "b"]
    assert kinds(model) == ["plan", "answer", "answer", "check"]
    assert [bool(request.tools) for request in model.asked] == [False, True, True, False]
    check = model.asked[-1]
    assert check.stage is not None
    assert check.stage.found == "pay(to='a') gave: paid a\n\npay(to='b') gave: paid b"
    assert "```found\npay(to='a') gave: paid a" in check.messages[-1]["content"]
    assert shown(events)["answer"] == "Let me pay. all paid"
    assert [message["content"] for message in kept(engine)] == ["q", "", "paid a", "paid b", "Let me pay. all paid"]
    assert is_whole(engine.messages("main"))


@asynchronous
async def test_a_repair_may_use_tools_and_knows_of_those_that_were_used() -> None:
    def repair(request: ModelRequest, number: int) -> object:
        return "repaired" if "paid c" in told_of_calls(request) else [ToolCall("", "pay", {"to": "c"})]

    bank, model = Bank(), Staged(answer=paying, check=FAIL, repair=repair)
    engine, events = await with_bank(model, 3, bank)
    assert bank.paid == ["a", "b", "c"]
    first, second = model.asked[-2:]
    assert told_of_calls(first) == ["paid a", "paid b"]
    assert told_of_calls(second) == ["paid a", "paid b", "paid c"]
    assert first.stage is not None
    assert first.stage.found == "", "the exchange itself is told"
    done = [(title, text) for title, text, over in steps(events) if title.startswith("pay") and over]
    assert done == [(f"pay(to='{name}')", f"paid {name}") for name in "abc"], "each is shown once"
    assert shown(events)["answer"] == "repaired"
    assert [message["content"] for message in kept(engine)] == ["q", "", "paid a", "paid b", "", "paid c", "repaired"]
    assert is_whole(engine.messages("main"))


@asynchronous
async def test_of_several_the_first_alone_uses_tools() -> None:
    bank, model = Bank(), Staged(answer=paying)
    _, events = await with_bank(model, 4, bank)
    assert bank.paid == ["a", "b"]
    offered = [request.stage.number for request in model.asked if request.stage and request.tools]
    assert offered == [1, 1]
    others = [request.stage for request in model.asked if request.stage and request.stage.number > 1]
    assert [stage.number for stage in others if stage.kind == "answer"] == [2, 3]
    assert all("paid b" in stage.found for stage in others), "they know what tools gave before they begin"
    join = next(request for request in model.asked if request.stage and request.stage.kind == "join")
    assert "```found\npay(to='a') gave: paid a" in join.messages[-1]["content"]
    assert shown(events)["answer"] == "joined"


@asynchronous
async def test_a_past_with_tools_is_told_in_words_where_none_are_offered() -> None:
    """Some providers refuse messages of tools in a request that offers none."""
    model = Staged(answer=paying, check=FAIL)
    engine, _ = await with_bank(model, 3)
    begun = len(model.asked)
    _ = [event async for event in engine.turn(turn("k2", "and now?", level=3))]
    for request in model.asked[begun:]:
        roles = {message["role"] for message in request.messages}
        assert ("tool" in roles) == bool(request.tools)
        assert any("paid a" in message["content"] for message in request.messages)
        assert request.messages[-1]["role"] == "user"
        assert request.messages[-1]["content"].startswith("and now?")


@asynchronous
async def test_between_two_rounds_of_tools_a_plain_turn_takes_another_level() -> None:
    model = Staged(**{"": lambda request, number: "done" if told_of_calls(request) else pays("a")})
    engine, asked = engine_with(model, Bank().pay), turn(level=1)
    async for event in engine.turn(asked):
        if isinstance(event, StepDelta):
            asked.changed = 2
    assert [request.level for request in model.asked] == [1, 2]


# -- stopped at every moment -----------------------------------------------------------------------


def scripts() -> Staged:
    return Staged(answer=paying, check=lambda request, number: FAIL if request.stage.drafts != ("joined",) else PASS)


@pytest.mark.parametrize("level", [3, 4])
@pytest.mark.parametrize("by", ["closing", "cancelling"])
@asynchronous
async def test_stopped_at_any_event_it_leaves_a_clean_session_and_no_task(level: int, by: str) -> None:
    _, whole = await with_bank(scripts(), level)
    before = asyncio.all_tasks()
    for moment in range(1, len(whole) + 1):
        bank, model = Bank(), scripts()
        engine = engine_with(model, bank.pay)
        if by == "closing":
            await close_after(engine, turn(level=level), moment)
        else:
            await cancel_after(engine, turn(level=level), moment)
        assert model.open == 0
        assert asyncio.all_tasks() == before
        assert bank.paid in ([], ["a"], ["a", "b"])
        messages = engine.messages("main")
        assert is_whole(messages)
        answers = [message for message in messages if message["role"] == "assistant" and "calls" not in message]
        assert all(answer["content"] in ("", "Let me pay. all paid", "repaired", "joined") for answer in answers), (
            "what was said on the way is no answer"
        )
        _ = [event async for event in engine.turn(turn("k2", "next", level=1))]
        assert model.asked[-1].messages[-1]["content"] == "next"


async def close_after(engine: Engine, asked: Turn, moment: int) -> None:
    events = engine.turn(asked)
    for _ in range(moment):
        await anext(events)
    await events.aclose()


async def cancel_after(engine: Engine, asked: Turn, moment: int) -> None:
    async def work() -> None:
        count = 0
        async for _ in engine.turn(asked):
            count += 1
            if count == moment:
                task.cancel()

    task = asyncio.create_task(work())
    await asyncio.wait([task])


# -- taken up again --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [3, 4])
@asynchronous
async def test_taken_up_after_any_step_none_is_asked_for_again(level: int) -> None:
    """A process that is killed at each snapshot it takes: its next one asks for what is missing, and says the same."""
    store = SnapshotStore()
    model = scripts()
    engine = engine_with(model, Bank().pay, store=store)
    whole = [event async for event in engine.turn(turn(level=level))]
    answer, asked = shown(whole)["answer"], len(model.asked)
    cuts = [one for one in reversed(store.list()) if one.state.get("run")]
    assert len(cuts) > 4
    for cut in cuts:
        memory = Memory(store, fresh=True)
        found = memory.restore("main", cut)
        assert found is not None
        bank, again = Bank(), scripts()
        after = engine_with(again, bank.pay)
        after.memory = memory
        events = [event async for event in after.turn(turn(level=found.level, retry=True))]
        assert shown(events)["answer"] == answer
        keys = {request.stage and (request.stage.kind, request.stage.number) for request in again.asked}
        assert len(again.asked) <= asked - len(found.stages), keys
        said = [call["name"] for call in found.calls if call.get("state") == "done"]
        assert len(bank.paid) <= 2 - len(said)
        assert all(shown(events)[key] == text for key, text in found.stages.items()), "they are shown once more"
        assert [message["content"] for message in after.messages("main")][-1] == answer


@asynchronous
async def test_a_changed_level_is_what_is_kept() -> None:
    store = SnapshotStore()
    engine = engine_with(Staged(), store=store)
    asked = turn(level=3)
    async for event in engine.turn(asked):
        if isinstance(event, StepDelta) and event.key == "plan":
            asked.changed = 4
    levels = [one.state["run"]["level"] for one in reversed(store.list()) if one.state.get("run")]
    assert levels[-1] == 4
    assert engine.messages("main")[-1]["level"] == 4


@asynchronous
async def test_what_is_kept_of_the_steps_is_their_texts_once(figure: Callable[[str, str], None]) -> None:
    made = count()

    def anew(request: ModelRequest, number: int) -> list[str]:
        return [f"{next(made):07} " for _ in range(500)]

    store = SnapshotStore()
    model = Staged(answer=anew, join=anew, check=FAIL)
    engine = engine_with(model, store=store)
    events = [event async for event in engine.turn(turn(level=4))]
    texts = sum(len(text) for text in shown(events).values())
    with store._database.transaction("its size") as db:
        [(items,)], [(messages,)] = (
            db.execute(f"SELECT sum(length(body)) FROM {table}") for table in ("items", "messages")
        )
    kept_bytes = items + messages
    assert kept_bytes < 1.5 * texts, "not each text with each step after it"
    words = f"{texts:,} characters of steps: {kept_bytes:,} bytes kept"
    figure("issue 5 levels", f"level 4 in {len(model.asked)} requests, {words}")
