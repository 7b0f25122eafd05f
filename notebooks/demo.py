"""The quickstart without a browser: its cells run in a real kernel, and answers appear here as they stream.

    python notebooks/demo.py [NOTEBOOK] [FOLDER]

writes the executed notebook and a page of it into FOLDER, by default build/.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

HERE = Path(__file__).parent
CELL_TIMEOUT = 60  # seconds
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say(text: str) -> None:
    """Print at once, without what could steer the terminal: a model's text is not to be trusted."""
    sys.stdout.write(_CONTROL.sub("", text))
    sys.stdout.flush()


class ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that runs this file, whatever else is registered on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


class Narrator(NotebookClient):
    """Executes a notebook and says what a reader of it would see appear."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams: dict[str, bytes] = {}  # text by comm, in UTF-16: offsets count its units
        self.speaker = ""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        content = msg["content"]
        if msg["msg_type"] == "stream":
            say(content["text"])
        elif msg["msg_type"] in {"comm_open", "comm_msg"}:
            self.hear(content["comm_id"], content["data"])
        return super().process_message(msg, cell, cell_index)

    def hear(self, comm: str, data: dict[str, Any]) -> None:
        """Take a view's text from its state or from a delta, and say what is new of it."""
        delta = data.get("content") or {}
        if delta.get("kind") == "delta":
            self.grow(comm, delta["offset"], delta["text"])
        elif isinstance(text := data.get("state", {}).get("text"), str):
            self.grow(comm, 0, text)

    def grow(self, comm: str, offset: int, text: str) -> None:
        have, units = self.streams.get(comm, b""), text.encode("utf-16-le", "replace")
        news = units[max(0, len(have) - 2 * offset) :]
        if 2 * offset > len(have) or not news:
            return
        if self.speaker not in {"", comm}:
            say("\n")
        self.speaker = comm
        self.streams[comm] = have + news
        say(news.decode("utf-16-le", "replace"))

    def finish(self, cell: Any) -> None:
        """Say the outputs that did not stream, and of those that did what was added at the end."""
        streamed = [s.decode("utf-16-le", "replace").strip() for s in self.streams.values()]
        for output in cell.outputs:
            if output.output_type == "error":
                say(f"{output.ename}: {output.evalue}\n")
                continue
            plain = output.get("data", {}).get("text/plain", "")
            told = next((text for text in streamed if text and text in plain), "")
            if rest := plain.partition(told)[2].strip("\n") if told else plain:
                say(f"\n\n{rest}\n" if told else f"{rest}\n")
        self.streams.clear()
        self.speaker = ""


@contextmanager
def private_kernel() -> Iterator[AsyncKernelManager]:
    """A kernel reached through sockets in a folder of this user's, where the system has such, not through ports."""
    with TemporaryDirectory(prefix="ocnb") as sockets:
        kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
        if os.name == "posix":
            kernel.transport, kernel.ip = "ipc", f"{sockets}/kernel"
        try:
            yield kernel
        finally:
            run_sync(kernel.shutdown_kernel)(now=True)


def execute(notebook: Any, folder: Path, kernel: AsyncKernelManager) -> bool:
    """Run every cell, in order; False if one failed."""
    client = Narrator(
        notebook,
        km=kernel,
        timeout=CELL_TIMEOUT,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=lambda cell, cell_index: introduce(cell),
        on_cell_executed=lambda cell, **_: client.finish(cell),
    )
    try:
        client.execute()
    except CellExecutionError as error:
        say(f"\n{error.ename}: {error.evalue}\n")
        return False
    return True


def introduce(cell: Any) -> None:
    if cell.cell_type == "markdown":
        say(f"\n{cell.source}\n")
    else:
        prompt = "\n".join(f"  | {line}" for line in cell.source.splitlines())
        say(f"\n{prompt}\n\n")


def main(name: str = str(HERE / "quickstart.ipynb"), out: str = "build") -> int:
    start = time.monotonic()
    os.environ.pop("OPENCLAW_NB_RENDER", None)
    source, folder = Path(name), Path(out)
    os.environ.setdefault("OPENCLAW_NB_SNAPSHOTS", str(folder.resolve() / "snapshots"))
    notebook = nbformat.read(source, as_version=4)
    with private_kernel() as kernel:
        passed = execute(notebook, source.parent, kernel)
    folder.mkdir(parents=True, exist_ok=True)
    executed, page = folder / source.name, folder / f"{source.stem}.html"
    nbformat.write(notebook, executed)
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    say("\n" + "-" * 72 + "\n" + ("" if passed else "A cell failed; what came before it was kept.\n"))
    say(f"{source.name} ran in {time.monotonic() - start:.0f} s. Written:\n")
    say(f"  {executed}  the notebook with its answers\n  {page}  the same as a page\n")
    return not passed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
