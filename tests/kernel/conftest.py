"""`kernel`: a real IPython kernel, once per ipykernel version, with a way to run cells and to see every message."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
INSTALLED = importlib.metadata.version("ipykernel")

#: Versions that route comm messages differently, each with what it needs beyond the installed packages.
VERSIONS: dict[str, tuple[str, ...]] = {INSTALLED: (), "7.2.0": ("nest-asyncio",), "6.31.0": ("nest-asyncio",)}

PATIENT = "import openclaw_nb.notebook; openclaw_nb.notebook.SETTLE = 600"
"""What a cell runs for others that are to be stopped: they end when what they wait for has stopped. By themselves they
give that up after a moment, and on a machine that is busy with something else it takes longer than that."""

STRANDED = 10.0
"""Seconds of silence after which ipykernel 7.2 is spoken to: up to 7.3 a request that comes as a reply leaves may lie
unread until the next one comes (https://github.com/ipython/ipykernel/pull/1529)."""

LIMITS = (2, 8, 32)
"""Time limits in seconds to try one after the other, where something has to be there before they are reached: a busy
machine may need the longer ones."""

Message = dict[str, Any]


@dataclass
class Reply:
    """What one cell did: ``status`` ok, error or aborted; ``outputs`` as a front end holds them in the end;
    ``messages`` all of iopub while it ran, other cells' included; ``seconds`` from the request to idle."""

    status: str = "ok"
    outputs: list[Message] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    content: Message = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Printed text and plain-text forms of displays, in order."""
        return "".join(o["text"] if "text" in o else o["data"].get("text/plain", "") for o in self.outputs)

    def displays(self) -> list[dict[str, Any]]:
        """The bundles of displays and results, by mimetype."""
        return [o["data"] for o in self.outputs if "data" in o]


class Screen:
    """Keeps outputs by the rules of a front end: updates replace, clear_output empties, streams join."""

    def __init__(self) -> None:
        self._outputs: dict[str, list[Message]] = {}

    def of(self, cell: str) -> list[Message]:
        return self._outputs.setdefault(cell, [])

    def take(self, message: Message) -> None:
        content, outputs = message["content"], self.of(message["parent_header"].get("msg_id", ""))
        match message["msg_type"]:
            case "stream" if outputs and outputs[-1].get("name") == content["name"]:
                outputs[-1]["text"] += content["text"]
            case "stream":
                outputs.append(dict(content))
            case "display_data" | "execute_result":
                outputs.append(dict(content))
            case "update_display_data":
                self._update(content)
            case "clear_output":
                outputs.clear()

    def _update(self, content: Message) -> None:
        display = content["transient"]["display_id"]
        for output in (o for cell in self._outputs.values() for o in cell):
            if output.get("transient", {}).get("display_id") == display:
                output["data"] = content["data"]


class Kernel:
    """A running kernel. ``manager`` and ``client`` are jupyter_client's own, for what is not offered here."""

    def __init__(self, version: str, env: dict[str, str], folder: Path, *, wait: bool = True) -> None:
        self.version = version
        self.screen = Screen()
        self._subshell = ""
        self._start(env, folder)
        if wait:
            try:
                self.wait_until_ready()
            except RuntimeError:  # it died: ports that are chosen for it are anybody's until it has them
                self.close()
                self._start(env, folder)
                self.wait_until_ready()

    def _start(self, env: dict[str, str], folder: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager.start_kernel(env=env, cwd=str(folder))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        # Its heartbeat takes another socket whenever a kernel says nothing for a second, which looks like a leak here.
        self.client.start_channels(hb=False)

    def wait_until_ready(self) -> None:
        self.client.wait_for_ready(timeout=60)

    def submit(self, code: str) -> str:
        """Queue a cell and do not wait; `wait` takes the id."""
        return self.client.execute(code, allow_stdin=False)

    def wait(self, cell: str, timeout: float = 60, on_message: Callable[[Message], None] | None = None) -> Reply:
        """Wait until the cell is idle. ``on_message`` sees each iopub message as it comes, e.g. to interrupt."""
        reply, start = Reply(), time.monotonic()
        while True:
            message = self._next(timeout - (time.monotonic() - start))
            reply.messages.append(message)
            if on_message:
                on_message(message)
            if message["parent_header"].get("msg_id") == cell and message["content"].get("execution_state") == "idle":
                break
        reply.content = self._reply(cell, timeout)
        reply.status = reply.content["status"]
        reply.outputs = self.screen.of(cell)
        reply.seconds = time.monotonic() - start
        return reply

    def run(self, code: str, timeout: float = 60, on_message: Callable[[Message], None] | None = None) -> Reply:
        return self.wait(self.submit(code), timeout, on_message)

    def until(self, code: str, *words: str) -> str:
        """Run a cell again and again until it says all these words, for what comes by itself; what it says then."""
        end = time.monotonic() + 60
        while not all(word in (text := self.run(code).text) for word in words):
            assert time.monotonic() < end, text
            time.sleep(0.05)
        return text

    def comm(self, comm_id: str, data: Message) -> None:
        """Send what a widget's view would send, e.g. ``{"method": "custom", "content": {…}}``."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if self.version.startswith("7.2"):  # where JupyterLab sends comm messages over a subshell
            self._subshell = self._subshell or self._open_subshell()
            message["header"]["subshell_id"] = self._subshell
        self.client.shell_channel.send(message)

    def _open_subshell(self) -> str:
        self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
        opened: str = self.client.control_channel.get_msg(timeout=60)["content"]["subshell_id"]
        return opened

    def interrupt(self) -> None:
        """From any thread: the manager's own way starts a loop in each thread that calls it."""
        os.kill(self.manager.provisioner.pid, signal.SIGINT)

    def listen(self, seconds: float) -> list[Message]:
        """What iopub says within ``seconds``, for messages that come while no cell runs."""
        heard, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                heard.append(self._next(left))
            except TimeoutError:
                break
        return heard

    def hear(self, wanted: Callable[[list[Message]], bool]) -> list[Message]:
        """What iopub says, while no cell runs, until all of it is what is wanted."""
        heard: list[Message] = []
        end = time.monotonic() + 60
        while not wanted(heard):
            heard.append(self._next(end - time.monotonic()))
        return heard

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody, nothing written down."""
        os.kill(self.manager.provisioner.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def _next(self, timeout: float) -> Message:
        end = time.monotonic() + timeout
        while (rest := end - time.monotonic()) > 0:
            try:
                message: Message = self.client.get_iopub_msg(timeout=min(rest, STRANDED))
            except Empty:
                if self.version == "7.2.0":
                    self.client.kernel_info()
            else:
                self.screen.take(message)
                return message
        raise TimeoutError("the kernel said nothing in time")

    def _reply(self, cell: str, timeout: float) -> Message:
        while True:
            message = self.client.get_shell_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") == cell:
                content: Message = message["content"]
                return content


def _library(version: str) -> list[str]:
    """The folder that holds this ipykernel, made once under build/; none for the installed one."""
    if version == INSTALLED:
        return []
    target = ROOT / "build" / f"ipykernel-{version}"
    if not target.exists():
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(fresh)]
        done = subprocess.run([*pip, f"ipykernel=={version}", *VERSIONS[version]], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"ipykernel {version} could not be installed: {done.stderr.strip().splitlines()[-1]}")
        fresh.rename(target)
    return [str(target)]


def environment(folder: Path, library: list[str] | None = None) -> dict[str, str]:
    """What a kernel finds in its environment, with nothing of the user's own choices."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    path = [*(library or ()), str(ROOT), *filter(None, [env.get("PYTHONPATH")])]
    env |= {"PYTHONPATH": os.pathsep.join(path), "IPYTHONDIR": str(folder / "ipython")}
    own = {"OPENCLAW_NB_SNAPSHOTS": "snapshots", "OPENCLAW_CONFIG_PATH": "openclaw.json"}
    return env | {name: str(folder / place) for name, place in own.items()}


def view_of(message: Message) -> str | None:
    """The comm of a live view that this message opens."""
    opened: dict[str, Any] = message["content"]
    if message["msg_type"] == "comm_open" and "_library" in opened["data"].get("state", {}):
        return str(opened["comm_id"])
    return None


def after_view(seconds: float, act: Callable[[str], None]) -> Callable[[Message], None]:
    """Do ``act(comm id)`` some seconds after a view opens."""

    def on_message(message: Message) -> None:
        if comm := view_of(message):
            threading.Timer(seconds, act, [comm]).start()

    return on_message


def when_told(words: str, act: Callable[[str], None]) -> Callable[[Message], None]:
    """Do ``act(comm id)``, in this thread, as soon as a page has been told ``words``, in however many pieces they
    came."""
    told, done = "", False

    def on_message(message: Message) -> None:
        nonlocal told, done
        if message["msg_type"] in ("comm_open", "comm_msg") and not done:
            told += "".join(_texts(message["content"]["data"]))
            if words in told:
                done = True
                act(message["content"]["comm_id"])

    return on_message


def when_printed(words: str, act: Callable[[], None]) -> Callable[[Message], None]:
    """Do ``act()``, in this thread, when this is printed."""

    def on_message(message: Message) -> None:
        if message["msg_type"] == "stream" and words in message["content"]["text"]:
            act()

    return on_message


def _texts(data: Any) -> Iterator[str]:
    """All that is called text in a message, of the answer and of lanes."""
    if isinstance(data, list):
        for one in data:
            yield from _texts(one)
    elif isinstance(data, dict):
        for name, value in data.items():
            if name == "text":
                yield str(value)
            else:
                yield from _texts(value)


def most_in_a_second(messages: list[Message]) -> int:
    """How many of these messages the kernel sent within one second, by its own clock: who listens may be late."""
    times = [message["header"]["date"].timestamp() for message in messages]
    return max((sum(start <= at < start + 1 for at in times) for start in times), default=0)


@pytest.fixture
def static(kernel: Kernel) -> Iterator[None]:
    """Only final bundles are shown, no live views."""
    kernel.run("import os; os.environ['OPENCLAW_NB_RENDER'] = 'static'")
    yield
    kernel.run("os.environ.pop('OPENCLAW_NB_RENDER', None)")


@pytest.fixture(scope="module", params=VERSIONS, ids="ipykernel-{}".format)
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel per module and version; a test that needs one version parametrizes it with ``indirect=True``."""
    folder = tmp_path_factory.mktemp("kernel")
    running = Kernel(request.param, environment(folder, _library(request.param)), folder)
    yield running
    running.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The url and token of a gateway of ours in a process of its own."""
    secret = tmp_path_factory.mktemp("served") / "token"
    command = [sys.executable, "-m", "openclaw_nb.cli", "serve", "--port", "0", "--model", "offline:0"]
    serving = subprocess.Popen([*command, "--token-file", str(secret)], stdout=subprocess.PIPE, text=True)
    assert serving.stdout is not None
    line = serving.stdout.readline()
    yield line.split(" at ")[1].split(";")[0], secret.read_text().strip()
    serving.send_signal(signal.SIGTERM)
    serving.wait(60)
    serving.stdout.close()
