"""`%openclaw connect` in a real kernel: where a token is found, what is said, and waiting for a gateway's owner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.guarded import ISSUED, TOKEN, Guarded, aside

from .conftest import INSTALLED

if TYPE_CHECKING:
    from .conftest import Kernel, Message

pytestmark = [
    pytest.mark.kernel,
    # A command is the same line in each of them; what hooks into a kernel runs in all versions.
    pytest.mark.parametrize("kernel", [INSTALLED], indirect=True),
]


@pytest.fixture
def config(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """Where OpenClaw's configuration is for the kernel, whose user has data of his own."""
    path = tmp_path / "openclaw.json"
    names = {"OPENCLAW_CONFIG_PATH": str(path), "XDG_DATA_HOME": str(tmp_path)}
    kernel.run(f"%load_ext openclaw_nb\nimport os; before = dict(os.environ); os.environ |= {names!r}")
    yield path
    kernel.run("%openclaw connect agent://local\nos.environ.clear(); os.environ |= before")


def configure(path: Path, url: str, auth: dict[str, Any]) -> None:
    path.write_text(json.dumps({"gateway": {"port": urlsplit(url).port, "auth": auth}}))
    path.chmod(0o600)


def test_a_token_from_openclaws_configuration(kernel: Kernel, config: Path, served: tuple[str, str]) -> None:
    url, token = served
    configure(config, url, {"mode": "token", "token": token})
    connected = kernel.run(f"%openclaw connect {url}")
    assert connected.status == "ok"
    assert f"{url}, protocol 4" in connected.text
    assert f"the token in {config}" in connected.text
    assert "42" in kernel.run("%%openclaw\nwhat is 6*7?").text
    kernel.run("%openclaw connect agent://local")
    configure(config, url, {"token": "${THE_TOKEN}"})
    refused = kernel.run(f"%openclaw connect {url}")
    assert refused.content["evalue"] == (
        f"gateway.auth.token refers to the variable THE_TOKEN, which is not set here, in {config}, and nobody is here "
        f"to be asked; write %openclaw connect {url} --token-env VAR"
    )
    kernel.run(f"os.environ['THE_TOKEN'] = {token!r}")
    config.chmod(0o644)
    again = kernel.run(f"%openclaw connect {url}")
    assert f"{config}, which others can read (mode 0644)" in again.text
    assert token not in str(
        [message["content"] for message in (*connected.messages, *refused.messages, *again.messages)]
    )


def test_a_wrong_token_is_said_to_be_from_where_it_is(kernel: Kernel, config: Path, served: tuple[str, str]) -> None:
    url = served[0]
    configure(config, url, {"token": "a-wrong-token"})
    refused = kernel.run(f"%openclaw connect {url}")
    assert refused.content["ename"] == "AuthError"
    assert refused.content["evalue"].endswith(f"; what was given is the token in {config}")
    assert "agent://local answers" in kernel.run("%openclaw doctor").text
    kernel.run(f"os.environ['RIGHT'] = {served[1]!r}; os.environ['WRONG'] = 'a-wrong-token'")
    kernel.run(f"%openclaw connect {url} --token-env RIGHT")
    assert kernel.run(f"%openclaw connect {url} --token-env WRONG").status == "error"
    assert f"{url} answers" in kernel.run("%openclaw doctor").text, "what worked goes on working"
    configure(config, "ws://127.0.0.1:1234", {"token": "a-token-of-another"})
    refused = kernel.run(f"%openclaw connect {url}")
    assert refused.content["evalue"].startswith(
        f"{config} is about the gateway at port 1234 of this machine, and nobody is here to be asked; write"
    )


def test_a_configuration_that_cannot_be_read(kernel: Kernel, config: Path, served: tuple[str, str]) -> None:
    config.write_text("{gateway: {auth: {token: 'a-secret-of-mine'\n")
    refused = kernel.run(f"%openclaw connect ws://127.0.0.1:{urlsplit(served[0]).port}")
    assert refused.content["evalue"].startswith(f"{config} cannot be read: it is no JSON5")
    assert len(refused.content["traceback"]) == 1
    assert "a-secret-of-mine" not in str([message["content"] for message in refused.messages])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--token-env hunter2-secret", "--token-env takes the name of an environment variable in capitals"),
        ("--password-env hunter2-secret", "--password-env takes the name of an environment variable in capitals"),
        ("--token hunter2-secret", "a Secret takes a reference"),
        ("hunter2-secret", "write %openclaw connect URI"),
        ("--tokn hunter2-secret", "write %openclaw connect URI"),
    ],
)
def test_a_secret_in_the_line_is_refused_and_not_repeated(
    kernel: Kernel, config: Path, options: str, words: str
) -> None:
    refused = kernel.run(f"%openclaw connect ws://127.0.0.1:9 {options}")
    assert refused.content["evalue"].startswith(words)
    told = [message for message in refused.messages if message["msg_type"] != "execute_input"]
    assert "hunter2" not in str([message["content"] for message in told])


def test_it_waits_until_the_owner_has_approved_this_computer(kernel: Kernel, config: Path) -> None:
    gateway = Guarded("device")

    def approve(message: Message) -> None:
        if "openclaw devices approve r-1" in str(message["content"]):
            gateway.approved.update(gateway.known)

    with aside(gateway) as url:
        configure(config, url, {"mode": "token", "token": TOKEN})
        connected = kernel.run(f"%openclaw connect {url}", on_message=approve)
        assert connected.status == "ok", connected.content
        waiting, card = (display["text/plain"] for display in connected.displays())
        assert "has to let this computer in, by running there: openclaw devices approve r-1" in waiting
        assert f"the token in {config}; its owner approved this computer" in card
        config.unlink()
        kernel.run("%openclaw connect agent://local")
        again = kernel.run(f"%openclaw connect {url}")
        assert "the token that it gave this computer; its owner approved this computer" in again.text
        kernel.run("%openclaw connect agent://local")
    assert gateway.attempts()[-1] == ({"deviceToken": ISSUED}, True)
    said = str([message["content"] for message in (*connected.messages, *again.messages)])
    assert TOKEN not in said
    assert ISSUED not in said


def test_an_interrupt_ends_the_waiting_with_the_refusal(kernel: Kernel, config: Path) -> None:
    def interrupt(message: Message) -> None:
        if message["msg_type"] == "display_data":
            kernel.manager.interrupt_kernel()

    with aside(gateway := Guarded("device")) as url:
        configure(config, url, {"mode": "token", "token": TOKEN})
        refused = kernel.run(f"%openclaw connect {url}", on_message=interrupt)
        assert refused.content["ename"] == "AuthError"
        assert refused.content["evalue"].endswith("openclaw devices approve r-1")
        assert "agent://local" in kernel.run("%openclaw").text, "runs go where they went"
    assert gateway.known


def test_a_password(kernel: Kernel, config: Path) -> None:
    with aside(gateway := Guarded()) as url:
        configure(config, url, {"mode": "password", "password": TOKEN, "token": "another"})
        connected = kernel.run(f"%openclaw connect {url}")
        assert f"the password in {config}" in connected.text
        kernel.run(f"os.environ['THE_PASSWORD'] = {TOKEN!r}")
        again = kernel.run(f"%openclaw connect {url} --password-env THE_PASSWORD")
        assert "the password in THE_PASSWORD" in again.text
        kernel.run("%openclaw connect agent://local")
    assert gateway.attempts() == [({"password": TOKEN}, False)] * 2


def test_a_token_is_asked_for_where_nothing_has_it(kernel: Kernel, config: Path) -> None:
    with aside(gateway := Guarded()) as url:
        config.write_text(json.dumps({"gateway": {"port": urlsplit(url).port, "auth": {"token": "${NOT_SET}"}}}))
        cell = kernel.client.execute(f"%openclaw connect {url}", allow_stdin=True)
        asked = kernel.client.get_stdin_msg(timeout=30)["content"]
        assert asked["password"]
        assert "gateway.auth.token refers to the variable NOT_SET, which is not set here" in asked["prompt"]
        assert f"token of {url}: " in asked["prompt"]
        kernel.client.input(TOKEN)
        connected = kernel.wait(cell)
        assert "the token that was typed" in connected.text
        kernel.run("%openclaw connect agent://local")
    assert gateway.attempts() == [({"token": TOKEN}, False)]
