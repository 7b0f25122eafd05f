"""The subcommand `%openclaw doctor`: what works and what does not, measured, with what this notebook has seen."""

from __future__ import annotations

from ..doctor import Patient, examine
from ..errors import ConfigError
from ..notebook import Notebook
from ..render import static_output
from ..tables import show_rows

__all__ = ["doctor"]

_QUESTION = "one short question goes to {model}, which may cost money. Send it? [y/N] "


def doctor(notebook: Notebook, words: list[str]) -> None:
    """Show what was found; with --probe after asking the model, too."""
    if words not in ([], ["--probe"]):
        raise ConfigError("write %openclaw doctor, or %openclaw doctor --probe, which asks the model a short question")
    patient = Patient(
        notebook.runtime, notebook.uri, notebook.model, front=notebook.front, works=tuple(notebook.runs.values()),
        behind=notebook.behind, probe=bool(words) and _agreed(notebook.model),
    )  # fmt: skip
    figures = not static_output()
    show_rows("doctor", [(f"{one.state}: {one.name}", one.sentence(measured=figures)) for one in examine(patient)])


def _agreed(model: str | None) -> bool:
    """Whether the person wants it; a front end that cannot ask is told how it is done."""
    try:
        return input(_QUESTION.format(model=model or "the model that runs use")).strip().lower() in ("y", "yes")
    except (EOFError, NotImplementedError):
        why = "--probe may cost money, and nobody can be asked here; openclaw-nb doctor --probe --yes asks nobody"
        raise ConfigError(why) from None
