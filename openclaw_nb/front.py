"""Front, what a cell or an object in the notebook holds of an agent: it chooses the level of each run, and sends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .allowance import Allowance
from .client import OpenClawClient
from .errors import BudgetReached, ConfigError
from .events import End, Level
from .outlook import Outlook, Preview, Target
from .reasoning.budgets import Budget
from .reasoning.levels import DEFAULT_THRESHOLDS, Decision, ReasoningLevel, decide, read_level
from .run import Run
from .stability import degrade

if TYPE_CHECKING:
    from .reasoning.predictor import ReasoningLevelPredictor

__all__ = ["Front"]

log = logging.getLogger("openclaw_nb")

SESSIONS = 1_000
"""Conversations of which the last decision is known."""


class Front:
    """Chooses levels and sends runs; from any thread.

    ``level`` is 1-4 or "auto", which looks at each task; without ``adaptive`` auto is the standard level and tags say
    nothing. ``thresholds`` maps complexity tags to levels, ``max_level`` limits them all. ConfigError for no level.
    Its runs stay within ``budget``, and all of a notebook within its own (see `Spending`). ``target`` says where the
    next one goes, for a preview.
    """

    def __init__(
        self,
        level: int | str = "auto",
        *,
        thresholds: Mapping[str, int] | None = None,
        max_level: int | str = 4,
        adaptive: bool = True,
        predictor: ReasoningLevelPredictor | None = None,
        budget: Budget | None = None,
        target: Callable[[], Target] | None = None,
    ) -> None:
        self.budget = budget
        self.adaptive = adaptive
        self._predictor = predictor
        self.thresholds = {**DEFAULT_THRESHOLDS, **(thresholds or {})}
        for tag, value in self.thresholds.items():
            if value not in (1, 2, 3, 4):
                raise ConfigError(f"level_thresholds[{tag!r}] is {value!r}, not a level from 1 to 4")
        self.prompt = ""
        """The last one that was sent."""
        self._target = target
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._level = _read(level)
        self._max_level = 4
        self.max_level = max_level
        self._decisions: dict[str, Decision] = {}
        self._last = Decision(ReasoningLevel.STANDARD, "")
        self._correction: tuple[str, int] | None = None
        self._active: dict[str, Run] = {}

    def __repr__(self) -> str:
        return f"<Front at level {self.level}>"

    # -- levels ----------------------------------------------------------------------------------

    @property
    def predictor(self) -> ReasoningLevelPredictor:
        """What auto asks how deep a task looks."""
        if self._predictor is None:
            from .corrections import learning_predictor

            self._predictor = learning_predictor()
        return self._predictor

    @property
    def level(self) -> int | str:
        """1-4, or "auto", for the runs to come."""
        return self._level

    def set_level(self, level: int | str) -> None:
        """1-4, or "auto", for the runs to come. One by hand after auto's own choice is a correction of that one, which
        the predictor learns when the next run is sent: until then it may be changed again."""
        self._level = _read(level)
        self._correction = None
        if self._last.auto and self._level not in ("auto", self._last.level):
            self._correction = (self.prompt, int(self._level))
        self.changed()

    @property
    def max_level(self) -> int:
        """The highest level that any run takes."""
        return self._max_level

    @max_level.setter
    def max_level(self, level: int | str) -> None:
        chosen = read_level(level)
        if chosen is None:
            raise ConfigError("max_level is a level from 1 to 4, not auto")
        self._max_level = int(chosen)
        self.changed()

    def decide(
        self,
        prompt: str,
        *,
        level: int | str | None = None,
        complexity: str | None = None,
        session: str = "main",
        allowance: Allowance | None = None,
        highest: int = 4,
    ) -> Decision:
        """The level that a run would get. ``level`` and ``complexity`` are those of this call; None leaves it to us.

        ``highest`` is what the client that it goes to allows.
        """
        wanted = self.level if level is None else level
        auto = self.adaptive and complexity is None and read_level(wanted) is None
        return decide(
            level=wanted, complexity=complexity if self.adaptive else None, thresholds=self.thresholds,
            max_level=min(self.max_level, highest), prediction=self.predictor.look(prompt) if auto else None,
            before=self._decisions.get(session), affordable=allowance.affordable if allowance else 4,
            budget=allowance.words if allowance else "",
        )  # fmt: skip

    def preview(self, prompt: str) -> Preview:
        """What auto would take for a prompt, whatever the level is now, and what each level is expected to cost.

        It may import the price table, 0.3 s once: not on the loop's thread. Raises what sending the prompt would.
        """
        target = self._target() if self._target is not None else None
        outlook, allowance = Outlook(prompt, target), None
        if target is not None and (budgets := self._budgets(target.client, None)):
            with suppress(BudgetReached):
                allowance = Allowance(outlook, budgets)
        session, highest = (target.session, target.client.max_level) if target else ("main", 4)
        decision = self.decide(prompt, level="auto", session=session, allowance=allowance, highest=highest)
        return Preview(decision, outlook.estimates)

    # -- runs ------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Run]:
        """The runs of this front that are at work."""
        with self._lock:
            return list(self._active.values())

    def send(
        self,
        client: OpenClawClient,
        prompt: str,
        *,
        level: int | str | None = None,
        complexity: str | None = None,
        session: str = "main",
        budget: float | Budget | None = None,
        **options: Any,
    ) -> Run:
        """Send a message at the level that `decide` gives; the options are those of `OpenClawClient.send`.

        ``budget`` in USD limits this run, a Budget all that share it. BudgetReached where too little is left to ask at
        all, ConfigError where the price is not known.
        """
        options["session"] = session
        self._learn(prompt, level)
        allowance = self._allow(client, prompt, budget, options)
        decision = self.decide(
            prompt, level=level, complexity=complexity, session=session, allowance=allowance, highest=client.max_level
        )
        run = _sent(client, prompt, allowance, decision.level, {**degrade(decision, client), **options})
        self._follow(run, decision)
        return run

    def resume(
        self,
        client: OpenClawClient,
        prompt: str,
        *,
        level: int,
        budget: float | Budget | None = None,
        spent: float = 0.0,
        **options: Any,
    ) -> Run:
        """Send a message again whose run was cut, at its level and within its budget, of which so much is ``spent``;
        otherwise as `send`."""
        allowance = self._allow(client, prompt, budget, options, (options["idempotency_key"], spent))
        run = _sent(client, prompt, allowance, level, {"level": level, **options})
        self._follow(run, Decision(ReasoningLevel(level), run.level_reason))
        return run

    def _learn(self, prompt: str, level: int | str | None) -> None:
        """Tell the predictor of a level that was changed by hand since auto chose one, for all runs or for this one."""
        by_hand = None if level is None else read_level(level)
        if by_hand is not None and self._last.auto and prompt == self.prompt and by_hand != self._last.level:
            self._correction = (prompt, int(by_hand))
        if self._correction is not None:
            self.predictor.learn(*self._correction)
            self._correction = None

    def _allow(
        self,
        client: OpenClawClient,
        prompt: str,
        budget: float | Budget | None,
        options: Mapping[str, Any],
        again: tuple[str, float] | None = None,
    ) -> Allowance | None:
        """What a run may cost, where anything limits it."""
        if not (budgets := self._budgets(client, budget)):
            return None
        where = {name: options[name] for name in ("agent", "model", "session") if name in options}
        return Allowance(Outlook(prompt, Target(client, **where)), budgets, again)

    def _budgets(self, client: OpenClawClient, budget: float | Budget | None) -> list[Budget]:
        own = Budget(budget) if isinstance(budget, int | float) else budget
        return [limit for limit in (own, self.budget, client.budget, client.spending.budget) if limit is not None]

    def _follow(self, run: Run, decision: Decision) -> None:
        """It was sent: it is the one to which the next is compared, and at work until its end."""
        auto = decision.auto and self.adaptive  # only what looked at the task can be taught
        with self._lock:
            self.prompt, self._last = run.prompt, replace(decision, auto=auto)
            self._decisions.pop(run.session, None)
            self._decisions[run.session] = decision
            while len(self._decisions) > SESSIONS:
                del self._decisions[next(iter(self._decisions))]
            self._active[run.id] = run

        changed: list[int] = []

        def ended(event: object) -> None:
            if isinstance(event, Level) and event.by_hand:
                changed.append(event.level)
            if isinstance(event, End):
                over()
                if auto and changed and changed[-1] != decision.level:
                    self.predictor.learn(run.prompt, changed[-1])

        def over() -> None:
            with self._lock:
                self._active.pop(run.id, None)
            self.changed()

        run.subscribe(ended)
        if run.done():  # it may have ended before anybody listened
            over()
        else:
            self.changed()

    # -- whoever shows it ------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` when the level, the last prompt or what is at work has changed, on whichever thread that
        was; returns the way to unsubscribe."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def changed(self) -> None:
        """Tell the listeners: something that a preview depends on is not what it was."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener()
            except Exception:
                log.exception("a listener of a front failed")


def _sent(
    client: OpenClawClient, prompt: str, allowance: Allowance | None, level: int, options: Mapping[str, Any]
) -> Run:
    """Send it, with what it is allowed."""
    if allowance is None:
        return client.send(prompt, **options)
    limit = allowance.take(level)
    try:
        run = client.send(prompt, **options, budget=limit)
    except BaseException:
        allowance.give_back()
        raise
    allowance.follow(run)
    return run


def _read(level: int | str) -> int | str:
    chosen = read_level(level)
    return "auto" if chosen is None else int(chosen)
