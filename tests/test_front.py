"""Front: which level each run gets and why, what it remembers of a conversation, and whom it tells of changes."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from openclaw_nb import front as rooms
from openclaw_nb import health
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Status
from openclaw_nb.front import Front
from openclaw_nb.reasoning.levels import Decision
from openclaw_nb.reasoning.predictor import Prediction, ReasoningLevelPredictor
from tests.foreign import foreign
from tests.spine import asynchronous, serving, soon
from tests.staged import Staged


class Scored(ReasoningLevelPredictor):
    """Reads the score off the task."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.learned: list[tuple[str, int | str]] = []

    def look(self, task: str) -> Prediction:
        self.looks += 1
        return Prediction(float(task), (0.25,) * 4, (f"looks like {task}",))  # type: ignore[arg-type]

    def learn(self, task: str, level: int | str) -> None:
        self.learned.append((task, level))


def front(level: int | str = "auto", **options: Any) -> Front:
    return Front(level, predictor=Scored(), **options)


# -- deciding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "asked", "level", "reason"),
    [
        ({}, {}, 3, "auto: looks like 3.2"),
        ({"level": 1}, {}, 1, ""),
        ({"level": "ultra"}, {}, 4, ""),
        ({"level": 1}, {"level": "auto"}, 3, "auto: looks like 3.2"),
        ({"level": 1}, {"level": 4}, 4, ""),
        ({}, {"complexity": "simple"}, 1, "tagged simple"),
        ({"level": 4}, {"complexity": "simple"}, 4, ""),
        ({"max_level": 2}, {}, 2, "auto: looks like 3.2, limited to 2"),
        ({"max_level": 2}, {"level": 4}, 2, "limited to 2"),
        ({"thresholds": {"own": 4}}, {"complexity": "own"}, 4, "tagged own"),
        ({"thresholds": {"simple": 2}}, {"complexity": "simple"}, 2, "tagged simple"),
        ({"adaptive": False}, {}, 2, ""),
        ({"adaptive": False}, {"complexity": "complex"}, 2, ""),
        ({"adaptive": False}, {"level": 4}, 4, ""),
        ({"adaptive": False, "level": 3, "max_level": 1}, {}, 1, "limited to 1"),
    ],
)
def test_decide(made: dict[str, Any], asked: dict[str, Any], level: int, reason: str) -> None:
    decision = front(**made).decide("3.2", **asked)
    assert (decision.level, decision.reason) == (level, reason)


def test_nobody_looks_where_the_level_is_known() -> None:
    chosen = front()
    for options in ({"level": 2}, {"complexity": "simple"}):
        chosen.decide("no number", **options)  # type: ignore[arg-type]
    front(adaptive=False).decide("no number")
    assert isinstance(chosen.predictor, Scored)
    assert chosen.predictor.looks == 0


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"level": 5}, "level 5 is not one of"),
        ({"max_level": 0}, "level 0 is not one of"),
        ({"max_level": "auto"}, "max_level is a level from 1 to 4, not auto"),
        ({"thresholds": {"hard": 7}}, r"level_thresholds\['hard'\] is 7"),
    ],
)
def test_what_is_no_level(made: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        front(**made)


def test_a_change_that_is_none_changes_nothing() -> None:
    chosen = front(3)
    with pytest.raises(ConfigError):
        chosen.set_level("deeper")
    with pytest.raises(ConfigError):
        chosen.max_level = 9
    with pytest.raises(ConfigError, match="none of"):
        chosen.decide("3", level="auto", complexity="complx")
    assert (chosen.level, chosen.max_level) == (3, 4)


# -- remembering -----------------------------------------------------------------------------------


@asynchronous
async def test_each_conversation_has_its_own_past() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        for score, session, level in (
            ("3.0", "deep", 3), ("1.0", "light", 1),
            ("2.4", "deep", 3), ("1.6", "light", 1),  # not clearly elsewhere
            ("2.4", "new", 2), ("2.2", "deep", 2), ("1.8", "light", 2),  # clearly elsewhere, both ways
        ):  # fmt: skip
            run = chosen.send(client, score, session=session)
            assert (run.level, run.level_reason) == (level, f"auto: looks like {score}"), (score, session)
            await run


@asynchronous
async def test_what_is_only_looked_at_is_not_remembered() -> None:
    chosen = front()
    assert chosen.decide("3.4").level == 3
    assert chosen.decide("3.6").level == 4
    assert chosen.preview("3.6").decision.level == 4
    async with serving(Staged()) as (_, client):
        await chosen.send(client, "3.4")
        assert chosen.preview("3.6").decision.level == 3, "it is seen as a run would be"


@asynchronous
async def test_conversations_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SESSIONS", 2)
    async with serving(Staged()) as (_, client):
        chosen = front()
        for session in ("a", "b", "a", "c"):
            await chosen.send(client, "3.4", session=session)
        assert list(chosen._decisions) == ["a", "c"], "the one that was idle for longest"
        assert chosen.active == []


@asynchronous
async def test_one_that_could_not_be_sent_is_not_remembered() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        with pytest.raises(ConfigError):
            chosen.send(client, "3.4", timeout=-1)
        assert (chosen._decisions, chosen.active, chosen.prompt) == ({}, [], "")


# -- learning --------------------------------------------------------------------------------------


def learned(chosen: Front) -> list[tuple[str, int | str]]:
    assert isinstance(chosen.predictor, Scored)
    return chosen.predictor.learned


@asynchronous
async def test_a_level_chosen_by_hand_after_auto_is_learned_with_the_next_send() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        await chosen.send(client, "1.0")
        for level in (2, 3, 4, 3):  # the arrow keys of a picker go through them
            chosen.set_level(level)
        assert learned(chosen) == []
        await chosen.send(client, "1.0")
        assert learned(chosen) == [("1.0", 3)]
        chosen.set_level(4)
        await chosen.send(client, "1.0")
        assert learned(chosen) == [("1.0", 3)], "it was by hand before: nobody is corrected"


@asynchronous
async def test_the_same_asked_again_at_another_level_is_learned() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        await chosen.send(client, "1.0")
        await chosen.send(client, "2.0", level=3)
        assert learned(chosen) == [], "another task says nothing of that one"
        await chosen.send(client, "1.0")
        await chosen.send(client, "1.0", level=1)
        assert learned(chosen) == [], "auto was right"
        await chosen.send(client, "1.0")
        await chosen.send(client, "1.0", level=2)
        assert learned(chosen) == [("1.0", 2)]


@asynchronous
async def test_a_run_of_auto_that_is_changed_on_its_way_is_learned() -> None:
    async with serving(Staged(pause=0.01)) as (_, client):
        for level, lessons in (("auto", [("3.0", 2)]), (3, [])):
            chosen = front(level)
            run = chosen.send(client, "3.0")
            await soon(lambda run=run: run.steps)
            run.set_level(4)
            run.set_level(2)
            await run
            await soon(lambda chosen=chosen: not chosen.active)
            assert learned(chosen) == lessons


@asynchronous
async def test_a_level_that_the_gateway_has_no_model_for_teaches_nothing() -> None:
    """A model that cannot think so deep says nothing about the task."""
    async with foreign() as (gateway, client):
        gateway.levels = ["off"]
        chosen = front()
        run = chosen.send(client, "3.0")
        await soon(lambda: gateway.sent)
        await gateway.say(run.id, "here", "final")
        await run
        await soon(lambda: not chosen.active)
        assert "not medium" in run.level_reason
        assert learned(chosen) == []


@pytest.mark.parametrize("made", [{"adaptive": False}, {"level": 1}])
@asynchronous
async def test_where_auto_did_not_choose_nothing_is_learned(made: dict[str, Any]) -> None:
    async with serving(Staged()) as (_, client):
        chosen = front(**made)
        chosen.set_level(2)
        await chosen.send(client, "1.0")
        chosen.set_level("auto" if "adaptive" in made else 3)
        await chosen.send(client, "1.0")
        chosen.set_level(3)
        await chosen.send(client, "1.0", level=4)
        assert learned(chosen) == []


@asynchronous
async def test_back_to_auto_takes_it_back() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        await chosen.send(client, "1.0")
        chosen.set_level(4)
        chosen.set_level("auto")
        await chosen.send(client, "1.0")
        assert learned(chosen) == []


# -- bad days --------------------------------------------------------------------------------------


@asynchronous
async def test_while_it_is_unstable_every_run_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "HOLD", 0.0)
    async with serving(Staged()) as (_, client):
        for _ in range(health.ERRORS):
            client.stability.cut()
        for chosen, options in ((front(4), {}), (front(), {"complexity": "complex_task"}), (front(), {"level": 3})):
            run = chosen.send(client, "3.4", **options)
            assert (run.level, run.level_reason) == (1, f"unstable: {health.ERRORS} errors in the last minute")
            await run
        assert chosen._decisions["main"] == Decision(3, ""), "what it would have been is what the next is compared to"  # type: ignore[arg-type]


# -- telling ---------------------------------------------------------------------------------------


class Ears:
    """Counts what it is told, and what was at work then."""

    def __init__(self, chosen: Front) -> None:
        self.chosen = chosen
        self.heard: list[tuple[int | str, int]] = []

    def __call__(self) -> None:
        self.heard.append((self.chosen.level, len(self.chosen.active)))


@asynchronous
async def test_listeners_are_told() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        ears = Ears(chosen)
        forget = chosen.subscribe(ears)
        chosen.set_level(3)
        chosen.max_level = 2
        assert ears.heard == [(3, 0), (3, 0)]
        run = chosen.send(client, "what now")
        assert ears.heard[2:] == [(3, 1)]
        assert (chosen.active, chosen.prompt) == ([run], "what now")
        await run
        assert ears.heard[3:] == [(3, 0)]
        forget()
        forget()
        chosen.set_level("auto")
        assert len(ears.heard) == 4


@pytest.mark.parametrize("how", ["fails", "is stopped", "is told at once", "is refused"])
@asynchronous
async def test_however_a_run_ends_it_is_no_longer_active(how: str) -> None:
    async def model(prompt: str) -> AsyncIterator[str]:
        yield "half"
        if how == "fails":
            raise ValueError("no")

    async with serving(model) as (_, client):
        chosen = front()
        ears = Ears(chosen)
        chosen.subscribe(ears)
        options = {"agent": "nobody"} if how == "is refused" else {}
        run = chosen.send(client, "q", level=1, **options)
        if how == "is stopped":
            run.cancel()
        await soon(run.done)
        if how == "is told at once":
            again = chosen.send(client, "q", level=1, idempotency_key=run.id)
            await again
            assert again.status is Status.DONE
        await soon(lambda: not chosen.active)
        assert ears.heard[-1] == ("auto", 0)


def test_one_that_fails_keeps_nobody_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    def deaf() -> None:
        raise ValueError("no")

    chosen = front()
    chosen.subscribe(deaf)
    chosen.subscribe(ears := Ears(chosen))
    chosen.set_level(2)
    assert ears.heard == [(2, 0)]
    assert "a listener of a front failed" in caplog.text


def test_a_listener_may_unsubscribe_while_it_is_told() -> None:
    chosen = front()
    forget: list[Callable[[], None]] = []
    chosen.subscribe(lambda: forget.pop()())
    forget.append(chosen.subscribe(lambda: None))
    chosen.set_level(2)
    assert len(chosen._listeners) == 1


@asynchronous
async def test_nothing_is_held_for_longer_than_it_is_needed() -> None:
    async with serving(Staged()) as (_, client):
        chosen = front()
        run = chosen.send(client, "2.0")
        await run
        seen = weakref.ref(run)
        del run
        gc.collect()
        assert seen() is None, "a run that has ended is nobody's"
        ears = weakref.ref(listener := Ears(chosen))
        chosen.subscribe(listener)()
        del listener
        gc.collect()
        assert ears() is None


@asynchronous
async def test_from_many_threads_at_once() -> None:
    async with serving(Staged(), auto_degrade=False) as (_, client):  # forty at once may be slow, which is no matter
        chosen = front()
        runs: list[Any] = []

        def work(name: int) -> None:
            for count in range(10):
                runs.append(chosen.send(client, f"{1 + count % 3}.0", session=f"{name}-{count}"))
                chosen.set_level("auto")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        await soon(lambda: not any(thread.is_alive() for thread in threads))
        for run in runs:
            await run
        assert [run.level for run in sorted(runs, key=lambda run: run.session)] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1] * 4
        assert chosen.active == []
