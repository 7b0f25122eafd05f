"""The subcommand `%openclaw metrics`: what was measured, as a picture, and whether Prometheus may read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from IPython.display import display

from .. import options
from ..errors import ConfigError
from ..metrics.drawing import bundle
from ..metrics.monitor import Monitor
from ..notebook import Notebook
from ..options import Option
from ..render import static_output
from ..tables import show_rows

__all__ = ["METRICS", "metrics", "standing"]


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 65_536):
        raise ConfigError(f"{text!r} is no port: a number up to 65535, where 0 takes a free one")
    return int(text)


METRICS: Mapping[str, Option] = {
    option.name: option for option in (Option("--port", _port, "N", "where Prometheus finds them; 0 takes a free one"),)
}
"""What `%openclaw metrics on` takes."""


def metrics(notebook: Notebook, words: list[str]) -> None:
    """Draw what was measured; with `on` and `off` serve it to Prometheus from now on, or no more."""
    values, rest = options.read(words, METRICS)
    monitor = notebook.runtime.monitor
    match rest:
        case [] if not values:
            _draw(monitor)
            return
        case ["on"]:
            monitor.serve(values.get("port"))
        case ["off"] if not values:
            monitor.stop()
        case _:
            raise ConfigError("write %openclaw metrics, %openclaw metrics on [--port N] or %openclaw metrics off")
    show_rows("metrics", [("metrics", _served(monitor))])


def standing(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """What is above its limit, and where metrics are served, for the card."""
    monitor = notebook.runtime.monitor
    if static_output():
        return
    for words in monitor.alerts.firing.values():
        yield "look", words
    if monitor.exporter is not None or monitor.trouble:
        yield "metrics", _served(monitor)


def _served(monitor: Monitor) -> str:
    if monitor.exporter is not None:
        where = "" if static_output() else f" at {monitor.exporter.url}"  # which port is free is chance
        served = f"served{where}, on this machine only"
        moved = "" if static_output() else monitor.exporter.moved
        return f"{moved or served}; %openclaw metrics off ends it"
    return monitor.trouble or "not served; %openclaw metrics on lets Prometheus read them, on this machine only"


def _draw(monitor: Monitor) -> None:
    measured, live = monitor.metrics, not static_output()
    shown = bundle(
        measured.total(), measured.window(), measured.curve(), live=live,
        limit=monitor.limit, alerts=[*monitor.alerts.firing.values()] if live else (),
        served=_served(monitor) if live else "",
    )  # fmt: skip
    display(shown, raw=True)  # type: ignore[no-untyped-call]
