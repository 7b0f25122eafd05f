"""Fact 25 of the design's list in a real kernel: no secret in what it says, saves, logs, or shows of its objects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.mock_openai import MockOpenAI
from tests.security.planted import Planted, files, found
from tests.security.recorder import Recorder
from tests.served import ROOT, Served

from .conftest import INSTALLED, Kernel

pytestmark = pytest.mark.kernel

BEGIN = """
import asyncio, json, logging, os, pathlib
import openclaw_nb, openclaw_nb.gateway, openclaw_nb.client.link
logging.basicConfig(filename="kernel.log", level=1, force=True)
%load_ext openclaw_nb

async def echo(prompt):
    yield f"%openclaw connect {os.environ['ELSEWHERE']} --token-env MY_TOKEN\\n\\n[here]({os.environ['ELSEWHERE']}) "
    yield prompt
    if "fail" in prompt:
        raise RuntimeError("out of order")

url, elsewhere = os.environ["URL"], os.environ["ELSEWHERE"]
option = f"{elsewhere} --token-env MY_TOKEN"

def magic(line):
    get_ipython().run_line_magic("openclaw", line)
"""

LOUD = """
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).setLevel(1)
runtime = get_ipython()._openclaw_nb.notebook.runtime
pathlib.Path("embedded").write_text(runtime.gateway_address()[1])
runtime._loop.set_debug(True)
runtime._loop.slow_callback_duration = 0.0
"""

MARKED = """
from openclaw_nb import Secret
from pydantic import SecretStr
token, marked = Secret("env:MY_TOKEN"), SecretStr(os.environ["MARKED"])
cfg = {"token": token, "marked": marked, "value": os.environ["OPENAI_API_KEY"], "url": os.environ["WITH_SECRET"]}
header = f"Authorization: Bearer {os.environ['OPENAI_API_KEY']}"
[token, marked, str(token), token.upper()]
"""

LOCKED = """
for _ in range(11):
    try:
        await openclaw_nb.OpenClawClient(token=os.environ["WRONG_TOKEN"]).connect(url)
    except openclaw_nb.OpenClawError as error:
        print(repr(error))
"""

RESTART = "the gateway is killed and started again"

CELLS = [
    ("%%openclaw --model echo --into answer\ngo to {elsewhere}, {option} and {url}", "%openclaw connect"),
    ("%%openclaw --model echo --bg\nfail", ""),
    ("%openclaw wait", "settled"),
    ("%%openclaw --model echo\nfail", "out of order"),
    ("%%openclaw --model openai-chat:gpt-5\ntell me", "400 Bad Request"),
    (MARKED, "Secret('env:MY_TOKEN')"),
    (
        "%%openclaw --model echo --into told\n{token} {marked} {cfg} {cfg['token']} {cfg['value']} {header}",
        "env:MY_TOKEN",
    ),
    ("told", "env:OPENAI_API_KEY"),
    ("%%openclaw --model echo\nfail with {cfg}", "out of order"),
    ("Secret(os.environ['MY_TOKEN'])", "never the value itself"),
    ("Secret('env:NO_SUCH_VARIABLE').reveal()", "cannot be resolved"),
    ("assert token.reveal() == os.environ['MY_TOKEN']\ndel cfg, header\ntoken", "Secret"),
    ("%openclaw connect {option}", "'{option}' is no address"),
    ("%openclaw connect $elsewhere", "'$elsewhere' is no address"),
    ("%%openclaw --to {elsewhere}\nhello", "'{elsewhere}' is no address"),
    ("magic(f'connect {os.environ[\"WITH_SECRET\"]}')", "pass the token apart"),
    ("magic(f'connect {url} --token-env WRONG_TOKEN')", "does not let us in"),
    ("magic(f'connect {url} --token-env MY_TOKEN')", "connected"),
    ("%%openclaw --into far\nwhat is 6*7?", "42"),
    ("%xmode Verbose", "Verbose"),
    ("magic(f'connect {url} --token-env WRONG_TOKEN')", "does not let us in"),
    ("magic(f'connect {os.environ[\"WITH_SECRET\"]}')", "pass the token apart"),
    (
        "client = openclaw_nb.OpenClawClient(\n"
        "    token=pathlib.Path(os.environ['TOKEN_FILE']).read_text().strip(), max_reconnect_attempts=20\n)",
        "",
    ),
    ("await client.connect(url)\nrun = client.send('what is 6*7?')\nawait run", "42"),
    ("await client.connect(5)", "an address is text"),
    ("await asyncio.wait_for(openclaw_nb.OpenClawClient().connect(os.environ['SILENT']), 0.3)", "TimeoutError"),
    ("await client.request('no.such')", "unknown method"),
    ("client.send('x', timeout='soon')", "TypeError"),
    ("client.on('error', lambda error: 1 / 0)\nasyncio.get_running_loop().set_debug(True)", ""),
    (RESTART, ""),
    ("while not client.connected:\n    await asyncio.sleep(0.1)\nclient", "connected"),
    ("await client.connect(os.environ['WITH_SECRET'])", "pass the token apart"),
    ("run", "42"),
    (
        "link = client._linked().first\n"
        "[client, *client.endpoints, link, link.link, runtime, runtime._gateway, run, await run, far, vars(run), "
        "vars(await run)]",
        "OpenClawClient",
    ),
    ("%whos", "client"),
    ("%openclaw", "runs go to"),
    ("%openclaw runs", "session"),
    ("%openclaw sessions", "main"),
    ("%openclaw doctor", "gateway"),
    ("json.dumps([await client.request('chat.history', {'sessionKey': 'main'})])", "messages"),
    ("json.dumps([snapshot.state for snapshot in runtime.store.list()])", "messages"),
    (LOCKED, "too many wrong tokens"),
    ("magic(f'connect {url} --token-env MY_TOKEN')", "too many wrong tokens"),
    ("await client.close()\nget_ipython().run_line_magic('notebook', 'saved.ipynb')", ""),
    ("%unload_ext openclaw_nb", ""),
]
"""Cells, and words that show that they did what they are here for."""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts a kernel with variables of its own."""
    running: list[Kernel] = []

    def start(**env: str) -> Kernel:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
        path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        ours = {"PYTHONPATH": path, "PYTHONASYNCIODEBUG": "1", "IPYTHONDIR": str(tmp_path / "ipython")}
        running.append(Kernel(INSTALLED, kept | ours | env, tmp_path))
        return running[0]

    yield start
    for one in running:
        one.close()


@pytest.mark.leaks("jupyter_client keeps a loop's pipe")
def test_no_secret_in_a_notebook(
    tmp_path: Path, kernel: Callable[..., Kernel], figure: Callable[[str, str], None]
) -> None:
    wrong, inside = Planted("a wrong token"), Planted("one in an address", plain=True)
    key, marked = Planted("a provider's key", plain=True), Planted("a variable marked secret")
    (hidden := tmp_path / "hidden").mkdir()
    with (
        Served(hidden) as served,
        MockOpenAI(status=400, message=f"bad {key.text}") as provider,
        Recorder() as recorder,
        Recorder() as silent,
    ):
        token = Planted("the gateway's token", core=served.token_file.read_text().strip())
        running = kernel(
            URL=served.url, TOKEN_FILE=str(served.token_file), MY_TOKEN=token.text, WRONG_TOKEN=wrong.text,
            OPENCLAW_GATEWAY_TOKEN=token.text, OPENAI_API_KEY=key.text, OPENAI_BASE_URL=provider.url,
            MARKED=marked.text, OPENCLAW_NB_SNAPSHOTS=str(tmp_path / "snapshots"),
            WITH_SECRET=f"wss://user:{inside.text}@example.org", ELSEWHERE=f"ws://127.0.0.1:{recorder.port}/",
            SILENT=f"ws://127.0.0.1:{silent.port}/",
        )  # fmt: skip
        process = psutil.Process(running.manager.provisioner.pid)
        places = {"the beginning": say(running, BEGIN, "") + say(running, LOUD, "")}
        for number, (cell, words) in enumerate(CELLS):
            if cell == RESTART:
                served.kill()
                served.start()
            else:
                places[f"cell {number}, {cell[:40]}"] = say(running, cell, words)
        for one in [process, *process.children(recursive=True)]:
            places[f"the arguments of {one.pid}"] = "\0".join(one.cmdline()).encode()
    own = Planted("the kernel's own token", core=(tmp_path / "embedded").read_text())
    places |= files(tmp_path, served.token_file.name, "embedded")
    assert {"kernel.log", "saved.ipynb"} <= set(places)
    assert b"env:OPENAI_API_KEY" in b"".join(data for place, data in places.items() if place.startswith("snapshots/"))
    lines = len(places["kernel.log"].splitlines())
    assert lines > 200, "nothing was logged, so this shows nothing"
    assert not found([token, wrong, inside, key, own, marked], places)
    assert not recorder.came, "somebody went where a model's text or a variable pointed"
    figure(
        "reliability 25",
        f"kernel: {len(CELLS)} cells that connect, ask, fail, come back, are refused and locked out, with secrets in "
        f"prompts; in all they send (displays, widgets, tracebacks, verbose ones too), .ipynb, history, snapshot files "
        f"and {lines:,} log lines 0 of 6 secrets found; visits to an address in an answer or a variable: 0",
    )


def say(kernel: Kernel, cell: str, words: str) -> bytes:
    """All that a cell sends, replies included, as a notebook could keep it."""
    reply = kernel.run(cell)
    sent = json.dumps([[message["content"] for message in reply.messages], reply.content], default=str)
    assert words in json.dumps([reply.outputs, reply.content], default=str), cell
    assert words or reply.status == "ok", reply.content
    return sent.encode()
