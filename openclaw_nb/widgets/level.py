"""LevelPicker, the reasoning levels with what each would take: live where a page can follow it, and kept as a table.

What a page asks for is done on the thread that tells the news, so that a page hears of what came of it, and the
kernel waits for no price table.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, replace
from typing import Any

from IPython.core.getipython import get_ipython
from traitlets import Dict

from ..agent import OpenClawAgent
from ..errors import ConfigError, OpenClawError
from ..front import Front
from ..outlook import Preview
from ..reasoning.levels import ReasoningLevel
from ..render import clean
from ..run import Run
from ..runtime import Runtime
from .choices import Choices, bundle, choices
from .placed import Placed

__all__ = ["LevelPicker", "kept_form"]

LONGEST = 20_000
"""Characters of a prompt that a page may ask about."""

LARGEST = 2**53
"""The number of a question is at most this, as in JavaScript."""

NEXT_STEP = "takes effect on the next step"


class LevelPicker(Placed):
    """The levels of ``front`` (an agent, a `Front`, or None for this notebook's), for its last prompt or ``prompt``.

    Shown as a cell's last value. Choosing sets the level of the runs that follow, and that of runs at work from their
    next step on; a level set elsewhere moves it. A page hears of news every ``interval`` seconds at most. What is
    typed into it goes to this kernel for an estimate, and nowhere else. ``close()`` ends the live view, and leaves
    a table. ConfigError where there is no front, or the JavaScript is not built.
    """

    _kind = "level"
    state = Dict().tag(sync=True)

    def __init__(self, front: OpenClawAgent | Front | None = None, prompt: str = "", *, interval: float = 0.1) -> None:
        self._front = _find_front(front)
        self._typed = clean(prompt[:LONGEST])
        self._asked: deque[tuple[int, int]] = deque(maxlen=100)  # levels that pages have chosen, by question
        self._answered = 0
        self._refused = ""
        self._shown: Choices
        self._runtime: Runtime | None = None
        self._told: list[Run] = []  # runs at work that were given another level here
        super().__init__(interval)

    def _begin(self) -> None:
        self._forget = self._front.subscribe(self._wake)
        self._look()
        self._runtime = Runtime.running()

    # -- what is told, on the thread that tells it -------------------------------------------------

    def _tell(self) -> None:
        with self._lock:
            while self._asked:
                level, self._answered = self._asked.popleft()
                self._choose(level)
            self._look()

    def _choose(self, level: int) -> None:
        front, self._refused = self._front, ""
        try:
            if level > front.max_level:
                raise ConfigError(f"level {level} is above {front.max_level}, the highest that is allowed here")
            front.set_level(level or "auto")
            self._told = [run for run in front.active if level not in (0, run.level)]
            for run in self._told:
                run.set_level(level)
        except OpenClawError as error:
            self._refused = str(error)

    def _look(self) -> None:
        front = self._front
        if self._runtime in (None, Runtime.running()):
            self._shown = _choices(front, self._typed, live=not self._frozen)
        else:  # its runtime has ended, and to ask for an estimate would begin another
            self._shown = replace(self._shown, chosen=0 if front.level == "auto" else int(front.level))
        self._told = [run for run in self._told if not run.done()]
        said = self._refused or (NEXT_STEP if self._told else "")
        self.state = {
            "chosen": self._shown.chosen, "choices": [asdict(choice) for choice in self._shown.choices],
            "line": said or self._shown.line, "tone": "bad" if self._refused or self._shown.trouble else "",
            "said": said, "answered": self._answered,
            "field": "the last one; another can be typed here" if front.prompt else "none yet; one can be typed here",
        }  # fmt: skip

    def _drawn(self, place: str) -> dict[str, str]:
        return bundle(self._shown, place=place)

    # -- from pages, on any thread -----------------------------------------------------------------

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "choose", "level": int() as level, "ask": int() as ask} if (
                _known(level) and 0 <= ask <= LARGEST
            ):
                self._asked.append((level, ask))
            case {"kind": "prompt", "text": str() as text} if len(text) <= LONGEST:
                self._typed = clean(text)
            case {"kind": "hello"}:
                if self._typed:
                    self.send({"kind": "typed", "text": self._typed})
                return True
            case _:
                return False
        self._wake()
        return True


def _known(level: int) -> bool:
    return not isinstance(level, bool) and 0 <= level <= max(ReasoningLevel)


def kept_form(front: Front, *, live: bool = True) -> dict[str, str]:
    """The mimebundle of the levels for the last prompt, where there is no widget; ``live`` as in `choices`."""
    return bundle(_choices(front, "", live=live))


def _choices(front: Front, typed: str, *, live: bool) -> Choices:
    prompt, trouble = typed or front.prompt, ""
    try:
        preview = front.preview(prompt)
    except OpenClawError as error:
        preview, trouble = Preview(front.decide(prompt, level="auto"), {}), str(error)
    about = "the prompt typed here" if typed else "the last prompt" if prompt else ""
    return choices(front.level, preview, max_level=front.max_level, about=about, trouble=trouble, live=live)


def _find_front(given: OpenClawAgent | Front | None) -> Front:
    if isinstance(given, Front):
        return given
    if isinstance(given, OpenClawAgent):
        return given.front
    if given is not None:
        raise ConfigError(f"a LevelPicker is of an agent, or of the notebook with none given, not of {given!r:.80}")
    extension = getattr(get_ipython(), "_openclaw_nb", None)
    if extension is None:
        raise ConfigError("no notebook here has a level; write %load_ext openclaw_nb first, or LevelPicker(agent)")
    front: Front = extension.notebook.front
    return front
