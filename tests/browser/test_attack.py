"""Reliability 27: pages of every origin that know the gateway's port and its token, in a real Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from openclaw_nb.version import __version__

from .conftest import QUIET, ROOT, FrontEnd, _chromium
from .watched_gateway import PAGE, Exchange, Watched, watched_gateway

pytestmark = pytest.mark.browser

REBOUND = "rebound.test"

#: The browser's own guards are off (a page of the web needs a permission to reach this machine, and some ports are
#: closed to pages), so that what is refused is refused by the gateway.
OPEN = [
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights",
]

#: What a page can try. Gives [what, outcome] for each try; of a socket that is let in, all it heard of hello and run.
ATTACK = """
async ({ port, token, name, shots }) => {
  const hello = JSON.stringify({ type: 'req', id: '1', method: 'connect', params: {
    minProtocol: 3, maxProtocol: 4, role: 'operator', scopes: ['operator.read', 'operator.write'], caps: [],
    client: { id: 'gateway-client', version: '1', platform: 'web', mode: 'backend' }, auth: { token } } });
  const send = JSON.stringify({ type: 'req', id: '2', method: 'chat.send', params: {
    sessionKey: 'main', message: 'attack', idempotencyKey: 'k' } });
  const late = (ms, what) => new Promise(resume => setTimeout(() => resume(what), ms));

  const socket = (url, protocols) => new Promise(resume => {
    const said = [], ws = new WebSocket(url, protocols);
    ws.onopen = () => { said.push('open'); ws.send(hello); ws.send(send); };
    ws.onmessage = event => { if (said.push(event.data) > 3) ws.close(); };
    ws.onerror = () => said.push('error');
    ws.onclose = event => resume([...said, event.code].join(' '));
  });
  const sockets = () => Promise.all([
    ['plain'], ['a token as subprotocol', [token]], ['names', ['openclaw', 'operator', token.slice(0, 8)]],
    ...Array(shots).fill(['again']),
  ].flatMap(([what, protocols], n) => {
    const host = n % 2 ? 'localhost' : '127.0.0.1';
    const addresses = n ? [`ws://${host}:${port}/?token=${token}`] : [`ws://${host}:${port}`, `ws://${name}:${port}`];
    return addresses.map(url => [what, url, protocols]);
  }).map(async ([what, url, protocols]) => [
    `WebSocket, ${what}`, await Promise.race([socket(url, protocols), late(60000, 'silent')])]));

  if (typeof document === 'undefined') return sockets();

  const read = async (url, options) => {
    try {
      const response = await fetch(url, options);
      return `${response.type} ${response.status} ${await response.text()}`.trim();
    } catch (error) { return error.name; }
  };
  const loaded = (tag, facts) => new Promise(resume => {
    const made = Object.assign(document.createElement(tag), facts);
    made.onload = () => resume('load'); made.onerror = () => resume('error');
    document.body.append(made);
  });
  const events = url => new Promise(resume => {
    const source = new EventSource(url);
    source.onopen = () => resume('open'); source.onmessage = event => resume(event.data);
    source.onerror = () => { source.close(); resume('error'); };
  });
  const form = async url => {
    const frame = Object.assign(document.createElement('iframe'), { name: 'target' });
    document.body.append(frame);
    const made = Object.assign(document.createElement('form'),
      { action: url, method: 'POST', target: 'target', enctype: 'text/plain' });
    made.append(Object.assign(document.createElement('input'), { name: hello, value: send }));
    document.body.append(made);
    const done = new Promise(resume => frame.onload = resume);
    made.submit();
    await Promise.race([done, late(2000)]);
    try { return frame.contentDocument?.body.textContent ?? 'unreadable'; } catch { return 'unreadable'; }
  };
  const worker = () => new Promise(resume => {
    const code = `(${window.attack_})(${JSON.stringify({ port, token, name, shots: 0 })}).then(postMessage)`;
    const made = new Worker(URL.createObjectURL(new Blob([code])));
    made.onmessage = event => resume(event.data.map(([what, outcome]) => [`worker: ${what}`, outcome]));
    made.onerror = event => resume([['worker', event.message]]);
  });

  const url = `http://127.0.0.1:${port}/`, same = `http://${name}:${port}/`;
  const tries = [
    ['fetch', read(url)],
    ['fetch with the token', read(url, { headers: { Authorization: `Bearer ${token}` } })],
    ['fetch no-cors', read(url, { mode: 'no-cors', credentials: 'include' })],
    ['fetch POST no-cors', read(url, { mode: 'no-cors', method: 'POST', body: hello + send })],
    ['fetch by name', read(same)],
    ['EventSource', events(url)],
    ['img', loaded('img', { src: url })],
    ['script', loaded('script', { src: url })],
    ['stylesheet', loaded('link', { rel: 'stylesheet', href: url })],
    ['form POST', form(url)],
    ['beacon', Promise.resolve(String(navigator.sendBeacon(url, hello)))],
  ];
  const ended = async ([what, outcome]) => [what, await Promise.race([outcome, late(20000, 'silent')])];
  const rest = await Promise.all(tries.map(ended));
  return [...rest, ...await worker(), ...await sockets()];
}
"""

#: Outcomes by which a page learns nothing: no answer, or one that the browser keeps from it.
NOTHING = {"TypeError", "opaque 0", "error", "unreadable"}
REFUSALS = {403: {"pages of a browser are not served here", "the Host header names another server"}, 400: None}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(playwright), args=[*QUIET, *OPEN])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Watched]:
    with watched_gateway() as watched:
        yield watched


@pytest.fixture(scope="module")
def counts(figure: Callable[[str, str], None]) -> Iterator[dict[str, int]]:
    """Pages, tries and refused handshakes of all tests here."""
    counts = dict.fromkeys(("pages", "tries", "handshakes"), 0)
    yield counts
    if counts["pages"]:
        words = "{pages} pages knew port and token: {handshakes} WebSocket handshakes refused before the upgrade"
        figure("reliability 27", words.format(**counts) + f", {counts['tries']} tries in all, 0 let in, 0 runs")


def a_page(page: Page, gateway: Watched, origin: str, tmp_path: Path, lab_server: FrontEnd | None) -> Page | Frame:
    """A document of that origin."""
    served = f"http://localhost:{gateway.pages}/"
    match origin:
        case "localhost":
            page.goto(served)
        case "127.0.0.1":
            page.goto(f"http://127.0.0.1:{gateway.pages}/")
        case "file":
            file = tmp_path / "page.html"
            file.write_bytes(PAGE)
            page.goto(file.as_uri())
        case "data":
            page.goto("data:text/html," + PAGE.decode())
        case "sandbox":
            page.goto(served)
            page.set_content('<iframe sandbox="allow-scripts allow-forms" srcdoc="<body>"></iframe>')
            frame = page.frames[1]
            frame.wait_for_load_state()
            return frame
        case "popup":
            page.goto(served)
            with page.expect_popup() as popup:
                page.evaluate("() => { window.open('about:blank') }")
            return popup.value
        case "rebound":
            # The page comes from the attacker's server; then the name leads here, and the origin is the gateway's own.
            page.route("**/first", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
            page.goto(f"http://{REBOUND}:{gateway.port}/first")
        case "JupyterLab":
            assert lab_server is not None
            page.goto(f"{lab_server.url}/login")
    return page


def attack(document: Page | Frame, gateway: Watched, token: str, *, shots: int = 0) -> list[tuple[str, str]]:
    """Try everything, and a plain WebSocket ``shots`` times more; what was tried, and what came of it."""
    document.evaluate(f"() => {{ window.attack_ = String({ATTACK}) }}")
    facts = {"port": gateway.port, "token": token, "name": REBOUND, "shots": shots}
    tries: list[list[Any]] = document.evaluate(ATTACK, facts)
    return [(str(what), str(outcome)) for what, outcome in tries]


def refused(exchange: Exchange) -> bool:
    """Whether the answer is a refusal that gives nothing away: no upgrade, no right to read it, no name, no version."""
    head, _, body = exchange.answer.partition("\r\n\r\n")
    names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:]}
    known = REFUSALS[exchange.status]
    return (
        names == {"connection", "content-type", "content-length"}
        and (known is None or body in known)
        and not any(word in exchange.answer.lower() for word in ("openclaw", "picows", __version__))
    )


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("localhost", "http://localhost:{pages}"),
        ("127.0.0.1", "http://127.0.0.1:{pages}"),
        ("file", "null file://"),  # older Chromiums say file:
        ("data", "null"),
        ("sandbox", "null"),
        ("popup", "http://localhost:{pages}"),
        ("rebound", "http://rebound.test:{port}"),
        ("JupyterLab", "{lab}"),
    ],
)
def test_a_page_is_refused(
    origin: str, sent: str, gateway: Watched, page: Page, tmp_path: Path, counts: dict[str, int],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    lab = request.getfixturevalue("lab_server") if origin == "JupyterLab" else None
    gateway.look()
    tries = attack(a_page(page, gateway, origin, tmp_path, lab), gateway, gateway.token)
    exchanges, calls = gateway.look()

    for what, outcome in tries:
        match what:
            case "beacon":
                assert outcome == "true"  # a beacon was queued; it has no answer
            case "fetch by name" if origin == "rebound":
                assert outcome == "basic 403 the Host header names another server"  # all that can be read of it
            case _ if "WebSocket" in what:
                assert outcome == "error 1006", what
            case _:
                assert outcome in NOTHING, what
    assert calls == 0
    assert {exchange.status for exchange in exchanges} == {400, 403}
    assert [exchange for exchange in exchanges if not refused(exchange)] == []

    handshakes = [exchange for exchange in exchanges if exchange.upgrade]
    sockets = [what for what, _ in tries if "WebSocket" in what]
    assert len(handshakes) == len(sockets) == 8
    origins = sent.format(pages=gateway.pages, port=gateway.port, lab=lab.url if lab else "").split()
    assert {exchange.headers["origin"] for exchange in handshakes} <= set(origins)
    assert {exchange.status for exchange in handshakes} == {403}
    counts["pages"] += 1
    counts["tries"] += len(tries)
    counts["handshakes"] += len(handshakes)


def test_pages_lock_out_nobody(gateway: Watched, page: Page, counts: dict[str, int], tmp_path: Path) -> None:
    """A page is refused by its Origin, before a token is read: its guesses are not counted against this machine."""
    gateway.look()
    tries = attack(a_page(page, gateway, "localhost", tmp_path, None), gateway, "a-guess", shots=40)
    exchanges, _ = gateway.look()
    handshakes = [exchange for exchange in exchanges if exchange.upgrade]
    assert len(handshakes) == 48
    assert {exchange.status for exchange in handshakes} == {403}
    counts["tries"] += len(tries)
    counts["handshakes"] += len(handshakes)

    command = [sys.executable, "-m", "openclaw_nb.cli", "ask", "--to", f"ws://127.0.0.1:{gateway.port}", "hello"]
    env = os.environ | {"OPENCLAW_GATEWAY_TOKEN": gateway.token, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "You said: hello"), done.stderr
    (upgraded,), calls = gateway.look()
    assert (upgraded.status, calls) == (101, 1)
