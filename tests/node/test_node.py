"""Node: beside its client at a real gateway if something is on offer; allowed by the owner; called, cut, and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb import offer
from openclaw_nb.client import OpenClawClient
from openclaw_nb.node.node import Node, nodes
from openclaw_nb.protocol.node import CALL, PUBLISH, TOOL
from tests.foreign import Foreign
from tests.spine import asynchronous, soon


class Owned(Foreign):
    """One that takes nodes, as its owner allows it."""

    def __init__(self, protocol: int) -> None:
        super().__init__(protocol)
        self.allowed = True
        self.node: ServerConnection | None = None
        self.operator: ServerConnection | None = None
        self.connects: list[dict[str, Any]] = []
        self.tools: list[str] = []
        self.results: list[dict[str, Any]] = []
        self.ignores = False

    def hello(self) -> dict[str, Any]:
        told = super().hello()
        if self.protocol == 4:
            told["features"]["methods"].append(PUBLISH)
        return told

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "connect" if params["role"] == "node":
                self.node, self.ws = self.ws, self.operator
                self.connects.append(params)
            case "connect":
                self.operator = self.ws
            case "node.pluginTools.update":
                taken = params["tools"] if self.allowed else []
                self.tools = [tool["name"] for tool in taken]
                return {"ok": True, "payload": {"nodeId": "n", "tools": taken}}
            case "node.describe":
                return {"ok": True, "payload": self.described()}
            case "node.invoke.result":
                self.results.append(params)
                return {"ok": True, "payload": {"ok": True, **({"ignored": True} if self.ignores else {})}}
        return super().answer(method, params)

    def described(self) -> dict[str, Any]:
        command = TOOL if self.protocol == 4 else CALL
        if self.allowed:
            return {"commands": [command], "approvalState": "approved"}
        pending = {"approvalState": "pending-approval", "pendingRequestId": "r-1"} if self.protocol == 4 else {}
        return {"commands": [], **pending}

    async def tell(self, event: str, **payload: Any) -> None:
        assert self.node is not None
        await self.node.send(json.dumps({"type": "event", "event": event, "payload": payload}))

    async def call(self, name: str, id: str = "1", **arguments: Any) -> None:
        word, command = ("tool", TOOL) if self.protocol == 4 else ("name", CALL)
        told = json.dumps({word: name, "arguments": arguments})
        await self.tell("node.invoke.request", id=id, nodeId="n", command=command, paramsJSON=told, timeoutMs=20_000)


@pytest.fixture(autouse=True)
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    yield
    offer.withdraw()


@asynccontextmanager
async def owned(protocol: int, *, allowed: bool = True) -> AsyncIterator[tuple[Owned, OpenClawClient]]:
    gateway = Owned(protocol)
    gateway.allowed = allowed
    async with (
        serve(gateway.serve, "127.0.0.1", 0) as server,
        OpenClawClient(token="T", reconnect_delay=0.01) as client,
    ):
        await client.connect(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        yield gateway, client


def offered() -> None:
    @offer(approve=False)
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x


async def at(node: Node, state: str) -> None:
    await soon(lambda: state in node.state, f"{state}, not {node.state}")


protocols = pytest.mark.parametrize("protocol", [3, 4])


@protocols
@asynchronous
async def test_nothing_on_offer_is_no_node(protocol: int) -> None:
    async with owned(protocol) as (gateway, client):
        await asyncio.sleep(0.05)
        assert not gateway.connects
        offered()
        await at(nodes[client], "offers double")
        (connect,) = gateway.connects
    assert connect["commands"] == [TOOL if protocol == 4 else CALL]
    assert connect["device"]["id"]


@protocols
@asynchronous
async def test_a_call(protocol: int) -> None:
    offered()
    async with owned(protocol) as (gateway, client):
        await at(nodes[client], "offers double")
        await gateway.call("double", x=21)
        await soon(lambda: gateway.results, "the result")
    (told,) = gateway.results
    payload = {"content": [{"type": "text", "text": "42"}], "isError": False} if protocol == 4 else {"result": "42"}
    assert told == {"id": "1", "nodeId": "n", "ok": True, "payload": payload}


@asynchronous
async def test_what_is_offered_and_withdrawn_later_is_told() -> None:
    async with owned(4) as (gateway, client):
        offered()
        await soon(lambda: gateway.tools == ["double"], "the first")
        offer(name="another")(lambda: 3)
        await soon(lambda: gateway.tools == ["double", "another"], "the second")
        offer.withdraw("double")
        await soon(lambda: gateway.tools == ["another"], "one")
        await at(nodes[client], "offers another")


@asynchronous
async def test_where_it_is_not_offered_as_a_tool_the_model_is_told() -> None:
    async with owned(3) as (_, client):
        assert client.instructions == ""
        offered()
        await at(nodes[client], "offers double")
        assert '"node": "notebook"' in client.instructions
        assert "- double" in client.instructions
        offer.withdraw()
        await soon(lambda: client.instructions == "", "nothing")


@asynchronous
async def test_the_owner_has_to_allow_it(capsys: pytest.CaptureFixture[str]) -> None:
    async with owned(4, allowed=False) as (gateway, client):
        offered()
        node = nodes[client]
        await at(node, f"the owner of {client.uri} has to allow this notebook's functions: openclaw nodes approve r-1")
        gateway.allowed = True
        await gateway.tell("node.pair.resolved", requestId="r-1", nodeId="another", decision="approved")
        await asyncio.sleep(0.05)
        assert "approve" in node.state, "that was another node"
        await gateway.tell(
            "node.pair.resolved", requestId="r-1", nodeId=gateway.connects[0]["device"]["id"], decision="approved"
        )
        await at(node, "offers double")
    said = capsys.readouterr().out
    assert said.count("openclaw nodes approve r-1") == 1
    assert f"[allowed: the assistant at {client.uri} can call double]" in said


@asynchronous
async def test_a_command_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.node.node.AGAIN", 0.05)
    async with owned(3, allowed=False) as (gateway, client):
        offered()
        await at(nodes[client], """openclaw config set gateway.nodes.allowCommands '["notebook.call"]'""")
        await soon(lambda: len(gateway.connects) > 1, "another look")
        gateway.allowed = True
        await at(nodes[client], "offers double")


@asynchronous
async def test_a_device_that_has_to_be_approved(monkeypatch: pytest.MonkeyPatch) -> None:
    async with owned(4) as (gateway, client):
        hello = gateway.hello

        def refuse(method: str, params: dict[str, Any]) -> dict[str, Any]:
            if method == "connect":
                details = {"code": "PAIRING_REQUIRED", "requestId": "d-1"}
                return {"ok": False, "error": {"code": "NOT_PAIRED", "message": "pairing required", "details": details}}
            return Owned.answer(gateway, method, params)

        monkeypatch.setattr(gateway, "answer", refuse)
        offered()
        await at(nodes[client], "has to let this notebook in as a node: openclaw devices approve d-1")
        assert hello()["protocol"] == 4


@asynchronous
async def test_back_after_a_cut() -> None:
    offered()
    async with owned(4) as (gateway, client):
        await at(nodes[client], "offers double")
        gateway.tools = []
        assert gateway.node is not None
        gateway.node.transport.abort()
        await soon(lambda: gateway.tools == ["double"], "the offer")
        await gateway.call("double", x=2)
        await soon(lambda: gateway.results, "the result")


@asynchronous
async def test_it_leaves_with_its_client() -> None:
    offered()
    async with owned(4) as (gateway, client):
        node = nodes[client]
        await at(node, "offers double")
        ws = gateway.node
        assert ws is not None
    await soon(lambda: ws.state.name == "CLOSED", "its end")
    assert node.state == "not connected"
