"""What a pool's run that was cut left of each agent, whatever happened to its sessions since."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openclaw_nb import OpenClawAgent, Runtime
from openclaw_nb.errors import BudgetReached, ConfigError, RunError
from openclaw_nb.events import Status
from openclaw_nb.pool.record import Member, Record
from openclaw_nb.pool.resuming import Left, agents_of, take_up
from openclaw_nb.pool.roles import known_roles, role
from openclaw_nb.run import Result
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.widgets.pooled import Pooled

SAID = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture
def store() -> Iterator[SnapshotStore]:
    with SnapshotStore() as store:
        yield store


@pytest.fixture
def pool(store: SnapshotStore) -> Pooled:
    """In a kernel that is gone."""
    memory = Memory(store, fresh=True)
    memory.append("main", SAID, kind="turn")
    return Pooled(memory, "coder", "tester", "reviewer")


@pytest.fixture
def next_one(store: SnapshotStore, pool: Pooled) -> Memory:
    """The memory of the kernel after it."""
    return Memory(store, fresh=True)


def test_of_each_agent_it_is_known_how_far_it_was(pool: Pooled, next_one: Memory) -> None:
    pool.on_the_way("coder")
    coder = pool.answers("coder", "done it", cost=0.25)
    half = pool.on_the_way("tester", "half of")
    pool.on_the_way("tester", " it", parent=half)
    left = take_up(next_one, pool.began, pool.record)
    assert [str(left.over["coder"]), left.over.keys(), left.cuts.keys()] == ["done it", {"coder"}, {"tester"}]
    assert (left.cuts["tester"].text, left.cuts["tester"].run_id) == ("half of it", "p-1")
    heads = {name: head.id for name, head in next_one.sessions().items()}
    assert heads == {"main/coder": coder.id, "main/tester": pool.began.id, "main/reviewer": pool.began.id}


def test_an_answer_is_known_with_its_facts(pool: Pooled, next_one: Memory) -> None:
    facts = {"run": "p-0", "level": 3, "model": "m", "tokens": [10, 20], "cost": 0.5}
    pool.memory.append(
        "main/coder",
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", **facts}],
        kind="turn",
    )
    outcome = take_up(next_one, pool.began, pool.record).over["coder"]
    assert isinstance(outcome, Result)
    assert (outcome.level, outcome.model, outcome.cost, outcome.status) == (3, "m", 0.5, Status.DONE)
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (10, 20)
    assert outcome.snapshot == pool.memory.find(None, "main/coder").id


@pytest.mark.parametrize("how", ["stopped", "failed"])
def test_one_that_was_stopped_stays_so_and_one_that_failed_is_asked_again(
    pool: Pooled, next_one: Memory, how: str
) -> None:
    run = {
        "id": "p-0", "agent": "main", "message": "x", "level": 2, "model": None, "budget": None, "at": 2,
        "base": pool.began.id, "tokens": 1, "offset": 4, "calls": [], "state": how,
    }  # fmt: skip
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "half", "run": "p-0", how: True}]
    turn = pool.memory.append("main/coder", said, kind="turn", run=run)
    left = take_up(next_one, pool.began, pool.record)
    if how == "stopped":
        outcome = left.over["coder"]
        assert isinstance(outcome, Result)
        assert (outcome.status, str(outcome)) == (Status.STOPPED, "half")
        assert next_one.sessions()["main/coder"].id == turn.id
    else:
        assert left.cuts["coder"].text == "half"
        assert next_one.sessions()["main/coder"].id == pool.began.id


def test_what_was_said_in_an_agents_session_since_stays(pool: Pooled, next_one: Memory) -> None:
    pool.answers("coder")
    later = pool.memory.append("main/coder", SAID, kind="turn")
    left = take_up(next_one, pool.began, pool.record)
    assert str(left.over["coder"]) == "done it"
    assert next_one.sessions()["main/coder"].id == later.id


def test_what_the_user_asked_there_is_no_agents_answer(pool: Pooled, next_one: Memory) -> None:
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "run": "mine"}]
    pool.memory.append("main/reviewer", said, kind="turn")
    left = take_up(next_one, pool.began, pool.record)
    assert "reviewer" not in left.over
    assert "reviewer" not in left.cuts


def test_a_session_that_has_begun_here_since_is_not_touched(pool: Pooled, next_one: Memory) -> None:
    pool.on_the_way("coder", "half")
    pool.answers("tester")
    mine = Pooled(next_one, "coder", "tester", run="mine")
    mine.answers("coder")
    before = {name: head.id for name, head in next_one.sessions().items()}
    left = take_up(next_one, pool.began, pool.record)
    assert pool.sessions() == ["main/coder-2", "main/tester-2", "main/reviewer"]
    assert (left.cuts["coder"].text, str(left.over["tester"])) == ("half", "done it")
    after = {name: head.id for name, head in next_one.sessions().items()}
    assert {name: after[name] for name in before} == before


def test_in_a_pipeline_nobody_goes_on_behind_one_that_was_stopped(pool: Pooled, next_one: Memory) -> None:
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "half", "run": "p-0", "stopped": True}]
    pool.memory.append("main/coder", said, kind="turn")
    assert list(take_up(next_one, pool.began, pool.record).over) == ["coder"]
    pool.record.mode = "pipeline"
    left = take_up(Memory(pool.memory.store, fresh=True), pool.began, pool.record)
    assert [isinstance(left.over[name], RunError) for name in ("coder", "tester", "reviewer")] == [False, True, True]


def test_what_an_agent_has_cost_so_far() -> None:
    left = Left(over={"a": Result(cost=0.5), "b": Result(), "c": RunError("no")})
    assert [left.spent(name) for name in "abcd"] == [0.5, 0.0, 0.0, 0.0]


# -- who is known --------------------------------------------------------------------------------------


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    roles = dict(known_roles)
    runtime = Runtime.shared()
    yield runtime
    runtime.close()
    known_roles.clear()
    known_roles.update(roles)


def of(*members: Member) -> Record:
    return Record("p", "do it", "parallel", list(members))


def test_who_is_not_made_here_yet_is_said(runtime: Runtime) -> None:
    scout, mine = Member("scout", "scout", "s", "r"), Member("tester", "tester", "s", "r", own=True)
    with pytest.raises(ConfigError) as refused:
        agents_of(of(Member("coder", "coder", "s", "r"), scout, mine))
    assert str(refused.value) == (
        "the pool's run cannot go on without 'scout', 'tester', not made in this kernel yet: first role('scout', "
        "'You …'), OpenClawAgent('tester', …)"
    )
    role("scout", "You look around.")
    agent = OpenClawAgent("tester", instructions="Mine.")
    assert agents_of(of(scout, mine))[1] is agent


def test_one_that_works_elsewhere_cannot_be_gone_on_with_here(runtime: Runtime) -> None:
    with pytest.raises(ConfigError, match="tester had its part at a gateway elsewhere"):
        agents_of(of(Member("tester", "tester", "s", "r", away=True)))


def test_an_agent_needs_the_tools_that_it_had(runtime: Runtime) -> None:
    tester = Member("tester", "tester", "s", "r", tools=["run_tests"])
    with pytest.raises(ConfigError, match="tester had the tools run_tests and has them not in this kernel"):
        agents_of(of(tester))

    def run_tests(path: str) -> str:
        """Run them."""
        return path

    role("tester", tools=[run_tests])
    assert [agent.tool_names for agent in agents_of(of(tester))] == [("run_tests",)]


def test_what_was_spent_before_is_not_there_again(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    members = [Member(name, name, f"main/{name}", f"p-{name}") for name in ("coder", "tester")]
    options = {"budget": 0.001, "model": "openai-chat:gpt-4.1-mini", "options": {"level": 1}}
    record = Record("p", "do it", "parallel", members, options)
    run = runtime.pool.resume(record, "main", Left(over={"coder": Result("done it", cost=0.001)}))
    results = run.result(30).results
    assert str(results["coder"]) == "done it"
    assert isinstance(results["tester"], BudgetReached)
    assert (run.tokens, run.cost, run.words) == (0, 0.001, "1 of 2 done, 1 failed")
