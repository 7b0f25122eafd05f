"""Records: what comes back is what went in, entries overlap without harm, and a gap is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.engine import Turn
from openclaw_nb.models.base import Output
from openclaw_nb.protocol.runlog import Cursor, Ending, RunLog
from openclaw_nb.sharing import records
from tests.spine import any_text


def test_a_turn_comes_back() -> None:
    turn = Turn(
        "k\ud800",
        "say é😀\ud800",
        "helper",
        "a session",
        3,
        "offline",
        ({"name": "a", "mime": "image/png", "data": "x"},),
    )
    turn.base, turn.beside, turn.budget, turn.retry, turn.isolated = "main", True, 0.5, True, True
    turn.output = Output("Name", {"type": "object"})
    turn.changed = 4
    back = records.read_turn(records.record_of(turn, 12.5))
    assert back is not None
    read, began = back
    assert (read, began, read.level) == (turn, 12.5, 4)
    for name in ("base", "beside", "budget", "retry", "isolated", "output"):
        assert getattr(read, name) == getattr(turn, name)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"run_id": "k", "else": 1}', '{"output": 1}'])
def test_what_is_none_of_ours(record: str) -> None:
    assert records.read_turn(record) is None


def test_secrets_are_not_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "planted-0123456789")
    assert "planted" not in records.record_of(Turn("k", "with planted-0123456789"), 0.0)


def test_fingerprints() -> None:
    one = records.fingerprints(Turn("k", "go"))
    assert one == records.fingerprints(Turn("other", "go", level=4))
    assert one[1] == records.fingerprints(Turn("k", "go", session="other"))[1]
    for other in (Turn("k", "stay"), Turn("k", "go", session="other"), Turn("k", "go", model="m")):
        assert records.fingerprints(other)[0] != one[0]


@given(any_text)
def test_names_are_plain(text: str) -> None:
    name = records.name_of(text)
    assert name.isascii()
    assert not set(name) & set("{}<> \n")
    assert len(name) <= 64


def test_names_that_could_be_mistaken() -> None:
    assert records.name_of("run-1.a:b") == "run-1.a:b"
    assert len({records.name_of(text) for text in ("a b", "a  b", "#a", "é", "x" * 65, "x" * 66)}) == 6


halves = any_text.map(lambda text: "".join(one for one in text if not "\udc00" <= one <= "\udfff"))
"""As models' texts come: no half of a pair stands before the other half."""


@given(st.lists(st.tuples(halves, st.integers(0, 3))), st.data())
def test_entries_make_the_same_log(pieces: list[tuple[str, int]], data: st.DataObject) -> None:
    """Written as they come, applied in order, some of them twice."""
    log = RunLog("k", "agent:main:main")
    cursor, entries = Cursor(log), []
    for text, kind in pieces:
        if kind == 0:
            log.append_step("k-0-0", "a call", text, 2, 0.5 if len(text) > 3 else None)
        else:
            log.append(text)
        if kind > 1:
            entries += records.entries_of(cursor, 0.0)
    log.end(Ending("final", {"model": "m"}))
    entries += [records.read(records.write(entry)) for entry in records.entries_of(cursor, 1.5)]
    copy = RunLog("k", "agent:main:main")
    lasted = None
    for entry in entries:
        for _ in range(data.draw(st.integers(1, 2))):
            lasted = records.apply(entry, copy)
    assert (str(copy.text), copy.tokens, copy.ending, lasted) == (str(log.text), log.tokens, log.ending, 1.5)
    assert {key: (str(step.text), step.tokens, step.seconds) for key, step in copy.steps.items()} == {
        key: (str(step.text), step.tokens, step.seconds) for key, step in log.steps.items()
    }
    assert records.calls_in(copy) == ({"k-0-0"} if log.steps else set())


def test_a_gap_is_seen() -> None:
    log = RunLog("k", "agent:main:main")
    records.apply({"text": [0, "one ", 1]}, log)
    with pytest.raises(ValueError, match="2 characters are missing"):
        records.apply({"text": [6, "three ", 3]}, log)
    with pytest.raises(ValueError, match="2 characters are missing before the end"):
        records.apply({"end": ["final", {}, 2, 1.0, 6]}, log)
    assert (str(log.text), log.ending) == ("one ", None)


def test_a_long_answer_is_in_several() -> None:
    log = RunLog("k", "agent:main:main")
    log.append("x" * 200_000)
    sizes = [len(records.write(entry)) for entry in records.entries_of(Cursor(log), 0.0)]
    assert len(sizes) == 4
    assert max(sizes) < 70_000
