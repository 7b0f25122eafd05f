"""Parcels: what goes to a process once, what with each call, and what is said of what cannot go."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.pool.child import Calls
from openclaw_nb.pool.parcels import LARGEST, Packer
from openclaw_nb.tools import Tool


class Both:
    """Both sides, without a process in between. ``sent`` counts the parcels of the last call."""

    def __init__(self) -> None:
        self.packer, self.calls = Packer(), Calls()
        self.sent = 0

    def call(self, tool: Tool, **values: Any) -> str:
        parcels = self.packer.pack(partial(tool._run, values))
        self.sent = len(parcels)
        answer = self.calls.make(parcels)
        return str(answer.get("text", answer))


@pytest.fixture
def both() -> Both:
    return Both()


def notebook(code: str, space: dict[str, Any] | None = None) -> dict[str, Any]:
    """The names that a cell binds."""
    space = {"__name__": "notebook"} if space is None else space
    exec(code, space)
    return space


COUNTS = """
count = 0
def add() -> int:
    global count
    count += 1
    return count
def helper():
    return 'helped'
def shown() -> list:
    return [count, helper()]
"""


def test_a_tool_goes_once(both: Both) -> None:
    add = Tool(notebook(COUNTS)["add"])
    assert [(both.call(add), both.sent) for _ in range(3)] == [("1", 2), ("2", 1), ("3", 1)]
    assert (both.call(Tool(add.function)), both.sent) == ("4", 1), "an equal one"


def test_functions_of_one_notebook_have_one_namespace(both: Both) -> None:
    cells = notebook(COUNTS)
    assert both.call(Tool(cells["add"])) == "1"
    assert both.call(Tool(cells["shown"])) == '[1, "helped"]'
    assert both.call(Tool(cells["add"])) == "2"
    assert both.call(Tool(cells["shown"])) == '[2, "helped"]'
    assert cells["count"] == 0


def test_a_name_that_the_notebook_binds_anew_goes_with_the_next_function(both: Both) -> None:
    cells = notebook(COUNTS)
    assert [both.call(Tool(cells[name])) for name in ("add", "shown")] == ["1", '[1, "helped"]']
    notebook("def helper():\n    return 'helped again'\ndef also() -> list:\n    return [count, helper()]\n", cells)
    assert both.call(Tool(cells["also"])) == '[1, "helped again"]'
    assert both.call(Tool(cells["shown"])) == '[1, "helped again"]'


def test_notebooks_do_not_mix(both: Both) -> None:
    one, other = notebook(COUNTS), notebook(COUNTS)
    assert [both.call(Tool(cells["add"])) for cells in (one, other, one)] == ["1", "1", "2"]


def test_names_of_main_are_found_in_main(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """As multiprocessing and pickle look for them."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    cells = notebook(
        "def helper(): ...\n"
        "def found() -> bool:\n"
        "    import pickle\n"
        "    return pickle.loads(pickle.dumps(helper)) is helper\n",
        vars(main),
    )
    tool = Tool(cells["found"])
    parcels = both.packer.pack(partial(tool._run, {}))
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    assert both.calls.make(parcels) == {"text": "true", "failed": False}


def test_state_in_closures_and_objects_stays(both: Both) -> None:
    total = 0

    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def more(self) -> int:
            self.count += 1
            return self.count

    def grow(by: int) -> int:
        nonlocal total
        total += by
        return total

    counter = Counter()
    more, fives = Tool(counter.more), Tool(partial(grow, by=5), name="fives")
    assert [both.call(more) for _ in range(2)] == ["1", "2"]
    assert [both.call(fives) for _ in range(2)] == ["5", "10"]
    assert (counter.count, total) == (0, 0)


def test_values_go_with_each_call(both: Both) -> None:
    cells = notebook(
        "from pydantic import BaseModel\n"
        "class Place(BaseModel):\n    city: str\n"
        "def visit(place: Place) -> str:\n    assert isinstance(place, Place)\n    return place.city\n"
    )
    tool = Tool(cells["visit"])
    assert [both.call(tool, place=cells["Place"](city=city)) for city in ("Lyon", "Ulm")] == ["Lyon", "Ulm"]
    assert both.sent == 1


def test_what_is_no_tool_goes_with_each_call(both: Both) -> None:
    found = {"text": "as it is", "failed": False}

    class Answer:
        text, failed = "as it is", False

    assert both.calls.make(both.packer.pack(Answer)) == found
    assert both.calls.make(both.packer.pack(lambda: Answer())) == found


# -- what cannot go ------------------------------------------------------------------------------

SENT = "cannot be sent to its process"
THE_LOCK = "cannot pickle '_thread.lock' object"

lock = threading.Lock()


def locks() -> list[tuple[Callable[..., Any], str]]:
    class Holder:
        def __init__(self) -> None:
            self.lock = lock

        def method(self) -> None: ...

    def closure() -> Any:
        return lock

    mine = {"lock": lock}

    def in_a_value() -> Any:
        return mine

    def helper() -> Any:
        return mine

    def through_a_helper() -> Any:
        return helper()

    def as_a_default(x: int, held: Any = lock) -> None: ...

    def big() -> int:
        return len(much)

    much = bytes(LARGEST)
    return [
        (closure, f"lock (_thread.lock) {SENT}: {THE_LOCK}; "),
        (in_a_value, f"mine (dict) {SENT}: {THE_LOCK}; "),
        (through_a_helper, f"mine (dict) {SENT}: "),
        (Holder().method, f"self ({Holder.__module__}.{Holder.__qualname__}) {SENT}: "),
        (partial(in_a_value), f"mine (dict) {SENT}: "),
        (partial(as_a_default, x=1), f"what it uses {SENT}: {THE_LOCK}; "),
        (big, f"much (bytes) {SENT}: it is more than 256 MiB; "),
    ]


@pytest.mark.parametrize("at", range(7))
def test_what_cannot_go_is_named(both: Both, at: int) -> None:
    function, words = locks()[at]
    tool = Tool(lambda: None, name="tool")
    tool.function = function
    with pytest.raises(ConfigError) as refused:
        both.packer.pack(partial(tool._run, {}))
    told = str(refused.value)
    assert told.startswith(words)
    assert told.endswith("; make it inside the function")
    assert "\n" not in told


def test_what_could_not_go_leaves_nothing_behind(both: Both) -> None:
    """Whatever two tools share is known to the other side only where the first one has arrived there."""
    cells = notebook(COUNTS + "import threading\nlock = None\ndef bad() -> list:\n    return [lock, count, helper()]\n")
    cells["lock"] = threading.Lock()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"lock \(_thread\.lock\) cannot be sent"):
            both.packer.pack(partial(Tool(cells["bad"])._run, {}))
    assert both.call(Tool(cells["shown"])) == '[0, "helped"]'
    cells["lock"] = 7
    assert both.call(Tool(cells["bad"])) == '[7, 0, "helped"]'


def test_a_call_that_could_not_go_is_made_up_for(both: Both) -> None:
    add = Tool(notebook(COUNTS)["add"])
    with pytest.raises(ConfigError, match="what it uses cannot be sent"):
        both.packer.pack(partial(add._run, {"lock": lock}))
    assert both.call(add) == "1"
    assert both.sent == 2
