"""OpenClaw's own programs at our gateway: each command that can be pointed at another server, of both versions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance import install
from tests.conformance.programs import PATIENCE, Program, ask
from tests.conformance.users import Figure
from tests.served import Served

COUNTED = ", ".join(map(str, range(1, 40)))
"""How the offline model begins to count."""

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def ours(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Our gateway in a process of its own, with a model slow enough to be watched."""
    with Served(Path(tmp_path_factory.mktemp("ours")), "offline:40") as served:
        yield served


@pytest.fixture(params=install.GATEWAYS)
def theirs(request: pytest.FixtureRequest, ours: Served, tmp_path: Path) -> Program:
    """Their program, of each version in turn."""
    return Program(request.param, tmp_path / "home", ours.url, token_of(ours))


def token_of(served: Served) -> str:
    return served.token_file.read_text(encoding="utf-8").split()[-1]


def found(done: Done) -> str:
    return done.stdout + done.stderr


def call_agent(to: Program) -> list[str]:
    asked = {"message": "count to 40", "sessionKey": "agent:main:call", "idempotencyKey": f"call-{to.version}"}
    return ["gateway", "call", "agent", "--expect-final", *to.there, "--json", "--params", json.dumps(asked)]


def agent(to: Program) -> list[str]:
    session = ["--session-key", "agent:main:cli"] if to.version > "2026.4" else ["--session-id", "cli"]
    return ["agent", *session, "--message", "count to 40", "--json"]


def answered(done: Done) -> bool:
    return COUNTED in json.loads(done.stdout)["result"]["payloads"][0]["text"]


COMMANDS: dict[str, tuple[Callable[[Program], list[str]], Callable[[Done], object]]] = {
    "gateway call health": (
        lambda to: ["gateway", "call", "health", *to.there, "--json"],
        lambda done: json.loads(done.stdout)["ok"],
    ),
    "gateway health": (lambda to: ["gateway", "health", *to.there], lambda done: "OK" in done.stdout),
    "gateway status": (
        lambda to: ["gateway", "status", *to.there, "--json"],
        lambda done: json.loads(done.stdout)["rpc"]["ok"],
    ),
    "gateway probe": (
        lambda to: ["gateway", "probe", *to.there],
        lambda done: "Reachable: yes" in done.stdout and "openclaw-nb" in done.stdout,
    ),
    "gateway call agent --expect-final": (call_agent, answered),
    "agent": (agent, answered),
    "health": (lambda to: ["health", "--json"], lambda done: json.loads(done.stdout)["ok"]),
    "status": (lambda to: ["status", "--json"], lambda done: '"sessions"' in done.stdout),
}
"""By its name: its words, and what it has to have said where it ends well."""


def test_commands(theirs: Program, figure: Figure) -> None:
    """Two at a time, as each takes seconds to start."""

    def run(name: str) -> Done:
        return theirs.run(*COMMANDS[name][0](theirs))

    with ThreadPoolExecutor(2) as beside:
        ended = dict(zip(COMMANDS, beside.map(run, COMMANDS), strict=True))
    for name, done in ended.items():
        assert done.returncode == 0, f"{name}: {found(done)[-2000:]}"
        assert COMMANDS[name][1](done), f"{name}: {found(done)[-2000:]}"
        figure(f"openclaw {theirs.version} at ours: {name}", "pass")


def test_wrong_token(theirs: Program, figure: Figure) -> None:
    done = theirs.run("gateway", "call", "health", "--url", theirs.url, "--token", "wrong", "--json")
    assert done.returncode != 0
    assert "gateway token mismatch" in found(done)
    figure(f"openclaw {theirs.version} at ours: a wrong token", "refused: gateway token mismatch")


def test_tui(theirs: Program, figure: Figure) -> None:
    """An answer appears while it is made: its beginning is shown before its end."""
    with theirs.terminal("tui", *theirs.there, "--session", f"tui-{theirs.version}") as terminal:
        terminal.wait_for("connected")
        terminal.look(1)
        terminal.type("count to 60")
        terminal.look(0.7)
        terminal.type("\r")
        begun = terminal.wait_for("1, 2, 3")
        shown = terminal.wait_for("59, 60")
        # Where this process stood still it read both at once, and between them all that was shown meanwhile.
        between = shown.index("59, 60") - shown.index("1, 2, 3")
        assert "59, 60" not in begun or between > 2 * len(", ".join(map(str, range(1, 61))))
        terminal.look(1)
        assert "streaming" in terminal.shown
    figure(f"openclaw {theirs.version} at ours: tui", "pass: the answer is shown while it streams")


def test_acp(theirs: Program, figure: Figure) -> None:
    with theirs.lines("acp", *theirs.there) as process:
        able = {"fs": {"readTextFile": False, "writeTextFile": False}}
        ask(process, 1, "initialize", {"protocolVersion": 1, "clientCapabilities": able})
        *_, session = ask(process, 2, "session/new", {"cwd": str(theirs.folder), "mcpServers": []})
        prompt = [{"type": "text", "text": "count to 40"}]
        said = ask(process, 3, "session/prompt", {"sessionId": session["result"]["sessionId"], "prompt": prompt})
        process.kill()
    updates = [frame["params"]["update"] for frame in said if frame.get("method") == "session/update"]
    chunks = [update["content"]["text"] for update in updates if update["sessionUpdate"] == "agent_message_chunk"]
    assert COUNTED in "".join(chunks)
    assert len(chunks) > 1
    assert said[-1]["result"]["stopReason"] == "end_turn"
    figure(f"openclaw {theirs.version} at ours: acp", f"pass: the answer in {len(chunks)} pieces")


def test_official_client(ours: Served, figure: Figure) -> None:
    """`GatewayClient` of @openclaw/gateway-client, which speaks protocol 4 only."""
    script = Path(__file__).with_name("their_client.mjs")
    packages = install.CLIENT.folder / "node_modules"
    done = subprocess.run(
        [str(install.node()), str(script), str(packages), ours.url, token_of(ours)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert (said["protocol"], said["health"], said["state"]) == (4, True, "final")
    assert said["text"] == said["whole"]
    assert COUNTED in said["text"]
    assert said["deltas"] > 1
    figure(f"GatewayClient {install.CLIENT.version} at ours", f"pass: {said['deltas']} deltas are the whole text")
