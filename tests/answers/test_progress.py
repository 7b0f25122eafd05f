"""What answers, and what it is written down in, are what the protocols say; each of them is used in their place."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest

from openclaw_nb.answers.answering import Answering
from openclaw_nb.answers.progress import Answers, Progress
from openclaw_nb.distributed.copies import Copy
from openclaw_nb.distributed.elsewhere import AnsweringElsewhere
from openclaw_nb.sessions.forks import Fork


@pytest.mark.parametrize("kind", [Answering, AnsweringElsewhere])
def test_what_answers(kind: type) -> None:
    for name in ("usage", "note"):
        assert isinstance(getattr(kind, name), property), name
    for name in ("prepare", "events"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Answers, name)), name


@pytest.mark.parametrize("kind", [Fork, Copy])
def test_what_it_is_written_down_in(kind: type) -> None:
    for name in ("stage", "keep_calls"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Progress, name)), name
    made = inspect.getsource(kind.__init__)
    for name in get_type_hints(Progress):
        assert f"self.{name}" in made, name
