"""NodeSession, the kernel as a node of a real gateway: what it offers goes out, calls of that come in.

2026.9.6 makes tools of its agents of what a node publishes; 2026.3.1 lets its assistant call a node's command by its
name, which the gateway's owner has to allow. Both as measured; what a gateway says is read leniently.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..errors import one_line
from .frames import PROTOCOLS, Event, decode_server_frame
from .handshake import Hello, Proof, duration
from .happened import Happened, Invoked, Paired, Withdrawn
from .session import ClientSession

__all__ = [
    "CALL",
    "PUBLISH",
    "TOOL",
    "Described",
    "NodeSession",
    "called",
    "instructions",
    "listing",
    "publication",
    "publishes",
    "result",
]

TOOL = "mcp.tools.call.v1"
"""The command behind tools that a node publishes; a gateway's owner approves it together with the node."""

CALL = "notebook.call"
"""The command for gateways that take no tools of nodes: one name to allow, whatever is offered."""

PUBLISH = "node.pluginTools.update"
"""How a node says which tools it has."""

HINT = f"{CALL} takes {{name, arguments}}; without a name it lists the functions"
"""What stands beside the command where the assistant looks at a node."""

WAIT = 30.0
"""Seconds that a gateway waits for an answer where it does not say."""

LONGEST = 1024
"""Characters of a description; what is more is cut off there."""

SERVER = "notebook"

_FAMILIES = {"linux": ("linux", "Linux"), "darwin": ("macos", "Mac"), "win32": ("windows", "Windows")}
"""Platform and family by Python's name: at 2026.9.6 only they together make a desktop, which may offer tools."""


class Described(Protocol):
    """What an assistant is told of a function."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def schema(self) -> Mapping[str, Any]: ...


class NodeSession(ClientSession):
    """One node across its connections, under ``name``; ``platform`` is Python's name of it."""

    def __init__(self, *, name: str, version: str, platform: str, proof: Proof, publishes: bool) -> None:
        known, family = _FAMILIES.get(platform, (platform, ""))
        super().__init__(token=None, version=version, platform=known, proof=proof, scopes=())
        self._node_proof = proof
        self._client = {
            "id": "node-host", "displayName": name, "version": version, "platform": known, "mode": "node",
            **({"deviceFamily": family} if family else {}),
        }  # fmt: skip
        self._commands, self._caps = ([TOOL], []) if publishes else ([CALL], [HINT])

    def connect(self, nonce: str = "") -> bytes:
        """The connect request that answers the gateway's challenge."""
        request: dict[str, Any] = {
            "minProtocol": PROTOCOLS[0], "maxProtocol": PROTOCOLS[-1], "client": self._client, "role": "node",
            "scopes": [], "caps": self._caps, "commands": self._commands,
        }  # fmt: skip
        request |= self._node_proof.answer(nonce, request)
        self._connect_id, data = self.request("connect", request)
        return data

    def receive(self, raw: bytes) -> Iterator[bytes | Happened]:
        """What `ClientSession.receive` gives, and the calls. Of runs a node is not told, whatever the gateway says."""
        frame = decode_server_frame(raw)
        if not isinstance(frame, Event) or frame.event in ("connect.challenge", "shutdown"):
            yield from super().receive(raw)
            return
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        match frame.event, payload:
            case "node.invoke.request", {"id": str(id), "nodeId": str(node_id)}:
                yield _invoked(id, node_id, payload)
            case "node.invoke.cancel", {"invokeId": str(id)}:
                yield Withdrawn(id)
            case "node.pair.resolved", {"nodeId": str(node_id), "decision": str(decision)}:
                yield Paired(node_id, decision)


def publishes(hello: Hello) -> bool:
    """Whether this gateway takes tools of nodes."""
    return PUBLISH in hello.methods if hello.methods else hello.protocol >= PROTOCOLS[-1]


def _invoked(id: str, node_id: str, payload: dict[str, Any]) -> Invoked:
    command, key = str(payload.get("command", "")), payload.get("sessionKey")
    name, arguments = called(command, payload.get("paramsJSON"))
    wait = duration(payload.get("timeoutMs"))
    return Invoked(
        id, node_id, command, name, arguments, wait / 1000 if wait else WAIT, key if isinstance(key, str) else ""
    )


def called(command: str, params: Any) -> tuple[str, dict[str, Any] | str]:
    """The name of the function and its arguments, of the parameters of a command; ("", {}) where they name none."""
    try:
        read = json.loads(params) if isinstance(params, str) else None
    except (ValueError, RecursionError):
        return "", {}
    if not isinstance(read, dict):
        return "", {}
    name, arguments = read.get("tool" if command == TOOL else "name"), read.get("arguments", {})
    if not isinstance(name, str):
        return "", {}
    return name, arguments if isinstance(arguments, dict) else str(arguments)


def publication(functions: Iterable[Described]) -> dict[str, Any]:
    """The parameters of `PUBLISH`."""
    return {"tools": [
        {
            "pluginId": "node-mcp", "name": one.name, "description": one.description[:LONGEST],
            "parameters": one.schema, "command": TOOL, "mcp": {"server": SERVER, "tool": one.name},
        }
        for one in functions
    ]}  # fmt: skip


def result(call: Invoked, text: str, *, failed: bool) -> dict[str, Any]:
    """The parameters of `node.invoke.result`. A tool that failed has a result too, which its assistant is given as it
    is; of a command that failed it is given the error."""
    told: dict[str, Any] = {"id": call.id, "nodeId": call.node_id, "ok": call.command == TOOL or not failed}
    if call.command == TOOL:
        told["payload"] = {"content": [{"type": "text", "text": text}], "isError": failed}
    elif failed:
        told["error"] = {"code": "FAILED", "message": text}
    else:
        told["payload"] = {"result": text}
    return told


def instructions(node: str, functions: Sequence[Described]) -> str:
    """What an assistant has to be told where it is not offered a node's functions as tools; "" where there are none."""
    if not functions:
        return ""
    how = {
        "action": "invoke", "node": node, "invokeCommand": CALL, "invokeParamsJson": '{"name": …, "arguments": {…}}',
        "timeoutMs": 125_000, "invokeTimeoutMs": 120_000,
    }  # fmt: skip
    return (
        "Functions of the user's notebook can be called by the tool nodes, with"
        f" {json.dumps(how, ensure_ascii=False)}. The user may be asked before. They are:\n{listing(functions)}"
    )


def listing(functions: Iterable[Described]) -> str:
    """The functions, one on each line: name, parameters as JSON schema, what it does."""
    return "\n".join(
        f"- {one.name} {json.dumps(one.schema, ensure_ascii=False)}: {one_line(one.description)}" for one in functions
    )
