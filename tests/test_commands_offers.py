"""`%openclaw offers`: what is on offer, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from openclaw_nb import offer
from openclaw_nb.commands.offers import offers
from openclaw_nb.errors import ConfigError
from openclaw_nb.notebook import Notebook


@pytest.fixture
def notebook(shell: InteractiveShell) -> Iterator[Notebook]:
    notebook = Notebook(shell)
    yield notebook
    notebook.close()


def said(shown: CapturingDisplayPublisher) -> str:
    return str(shown.outputs[-1]["data"]["text/plain"])


def test_nothing_and_something(notebook: Notebook, shown: CapturingDisplayPublisher) -> None:
    offers(notebook, [])
    assert "nothing is on offer; @offer over a function" in said(shown)

    @offer(timeout=5)
    def analyse(x: int) -> int:
        """The analysis of x.

        In long.
        """
        return x

    offer(name="free", approve=False)(analyse)
    offers(notebook, [])
    words = said(shown)
    assert "analyse" in words
    assert "The analysis of x. · up to 5 s, each call waits for your approval" in words
    assert "never asked for" in words
    assert "OpenClawAgent(tools=[f])" in words
    notebook.close()
    assert not offer.all


def test_it_takes_nothing(notebook: Notebook) -> None:
    with pytest.raises(ConfigError, match="offers takes nothing"):
        offers(notebook, ["x"])
