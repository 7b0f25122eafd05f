"""Health, whether runs go well: errors and first-token latencies over a window of time, pure, with time passed in."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from statistics import median

__all__ = ["Health"]

WINDOW = 60.0
"""Seconds for which an error, or a slow answer, counts."""

ERRORS = 3
"""Errors within WINDOW that make it unstable."""

SLOW = 5.0
"""Times its usual latency from which on a first token is slow."""

LATE = 1.0
"""Seconds below which no first token is slow, however quick it usually is."""

ENOUGH = 5
"""First tokens from which on a latency counts as the usual one."""

SAMPLES = 50
"""First tokens of calm times that the usual latency is the median of."""

NEWEST = 3
"""First tokens whose middle one must be slow: a single late one means nothing."""

KINDS = 64
"""Kinds of runs whose usual latency is kept; those not seen for longest are forgotten."""

GOOD = 3
"""Runs in a row that must end well, at their usual latency, until it counts as calm again."""

RELAPSE = 300.0
"""Seconds of calm after which the next trouble is a new one; before, twice as many good runs must show its end."""

RELAPSES = 4
"""Relapses that double it, at most."""

HOLD = 5.0
"""Seconds without trouble that these good runs must have lasted: of ten at once three may fail and seven end well."""

QUIET = 60.0
"""Seconds without an error or a slow answer after which it counts as calm again, runs or not."""


class Health:
    """Measured errors and latencies, and what they come to: ``unstable(now)``, and ``why`` in words.

    It is unstable from ERRORS errors within WINDOW on, or when the middle one of the NEWEST first tokens took SLOW
    times as long as usual and at least LATE. Usual is the median of the last SAMPLES of its kind that came in calm
    times; a kind is a model at a level, as one that thinks longer is not ill. It is calm again after GOOD good runs
    in a row within which HOLD seconds went by, or after QUIET seconds without trouble, and begins to count anew: what
    made it unstable once does not do so twice. A relapse within RELAPSE takes twice as many good runs, so a source
    that fails half the time is not called well again each time it is lucky. All moments are seconds of one clock.

    The figures are a choice: where one run in a hundred fails by chance, five runs a minute come to three errors in a
    minute once in eleven days; and five times is beyond the spread of a provider that is well.
    """

    def __init__(self) -> None:
        self.why = ""
        """What makes it unstable, in words, or "" while it is calm; as of the last look."""
        self._errors: deque[float] = deque(maxlen=1_000)
        self._slowness: deque[tuple[float, float]] = deque(maxlen=NEWEST)
        self._usual: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._good = 0
        self._trouble = 0.0
        self._calm_since = float("-inf")
        self._relapses = 0

    def __repr__(self) -> str:
        return f"<Health {'unstable: ' + self.why if self.why else 'calm'}>"

    def errors(self, now: float) -> int:
        """How many errors came within WINDOW, since it was called calm the last time."""
        return sum(now - moment < WINDOW for moment in self._errors)

    def failed(self, now: float) -> None:
        """A run ended badly, or a link was cut."""
        self.unstable(now)  # it may have been quiet for long before it
        self._errors.append(now)
        self._good, self._trouble = 0, now
        self.unstable(now)

    def succeeded(self, now: float) -> None:
        """A run ended well."""
        self._good += 1
        self.unstable(now)

    def first_token(self, now: float, seconds: float, kind: Hashable = None) -> None:
        """The first sign of an answer came, so many seconds after it was asked for."""
        self.unstable(now)
        usual = self._usual.setdefault(kind, deque(maxlen=SAMPLES))
        self._usual.move_to_end(kind)
        while len(self._usual) > KINDS:
            self._usual.popitem(last=False)
        times = seconds / max(median(usual), 1e-9) if len(usual) >= ENOUGH and seconds >= LATE else 1.0
        self._slowness.append((now, times))
        if times >= SLOW:
            self._good, self._trouble = 0, now
        elif not self.why:
            usual.append(seconds)
        self.unstable(now)

    def unstable(self, now: float) -> bool:
        """Whether runs had better be simple now."""
        if not self.why:
            if self._worse(now):
                again = now - self._calm_since < RELAPSE
                self._relapses = min(self._relapses + 1, RELAPSES) if again else 0
        elif now - self._trouble >= (HOLD if self._good >= GOOD * 2**self._relapses else QUIET):
            self.why, self._calm_since = "", now
            self._errors.clear()
            self._slowness.clear()
        return bool(self.why)

    def _worse(self, now: float) -> bool:
        """Whether what was calm is so no more, and ``why``."""
        while self._errors and now - self._errors[0] >= WINDOW:
            self._errors.popleft()
        newest = [times for moment, times in self._slowness if now - moment < WINDOW]
        if len(self._errors) >= ERRORS:
            self.why = f"{len(self._errors)} errors in the last minute"
        elif len(newest) == NEWEST and median(newest) >= SLOW:
            self.why = f"first token {median(newest):.0f} x slower than usual"
        return bool(self.why)
