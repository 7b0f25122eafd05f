"""Node, this kernel beside a client at the same real gateway: it announces what is on offer, and takes the calls."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from contextlib import suppress
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ..client import OpenClawClient
from ..client.credentials import Credentials
from ..client.link import Link, Retry
from ..client.route import Route
from ..door import is_loopback
from ..errors import AuthError, ConnectionLost, OpenClawError, RequestError, is_retryable, one_line
from ..identity import DeviceIdentity, identity_folder
from ..protocol.handshake import Hello
from ..protocol.happened import Happened, Invoked, Paired, Reply, Withdrawn
from ..protocol.node import CALL, PUBLISH, TOOL, NodeSession, instructions, publication, publishes, result
from ..run import Run
from ..tools import ToolResult
from ..version import __version__
from .calls import Calls
from .offers import Offers, offer

__all__ = ["Node", "attend", "nodes"]

AGAIN = 15.0
"""Seconds until it is looked again whether the gateway's owner has allowed what was missing."""

PAIRING = "operator.pairing"

LATE = 60.0
"""Seconds that a result waits for the link to come back."""

log = logging.getLogger("openclaw_nb")

_FIND = "openclaw nodes approve ID, with the ID that openclaw nodes pending shows"

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Node:
    """What a client's gateway may call of ``offers``. All of it is on the client's loop.

    It connects when something is on offer, as a device with a key of its own for each notebook: a gateway knows a node
    by its device, and of two with one device only the newer. ``state`` says how it stands, in words.
    """

    def __init__(self, client: OpenClawClient, offers: Offers) -> None:
        self.uri = client.uri
        self.name = client.home if client.home != "main" else "notebook"
        self.state = "not connected"
        self._client = client
        self._offers = offers
        self._loop = asyncio.get_running_loop()
        self._hello: Hello | None = None
        self._link: Link | None = None
        self._device = ""
        self._dialling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._up = asyncio.Event()
        self._told = ""
        self._calls = Calls(offers, self._run_of, self._answer)

    def __repr__(self) -> str:
        return f"<Node {self.name} at {self.uri}: {self.state}>"

    def attend(self, hello: Hello) -> None:
        """The client is let in, and perhaps was not before."""
        self._hello = hello
        self.refresh()

    def changed(self) -> None:
        """Something was offered or withdrawn. From any thread."""
        with suppress(RuntimeError):  # its loop has ended, and the node with it
            self._loop.call_soon_threadsafe(self.refresh)

    def refresh(self) -> None:
        """Have the gateway know what is on offer, and nothing else."""
        if not self._client.is_open or self._hello is None:
            return
        there = self._offers.all
        listed = not publishes(self._hello)
        self._client.instructions = instructions(self.name, [one.tool.definition for one in there]) if listed else ""
        if self._link is not None and self._link.up:
            self._announce()
        elif there and self._dialling is None and (self._link is None or self._link.ended):
            self._dialling = self._loop.create_task(self._dial(self._hello), name=f"openclaw node {self.uri}")
            self._dialling.add_done_callback(self._dialled)

    async def _dial(self, hello: Hello) -> None:
        key = identity_folder() / "nodes" / f"{_UNSAFE.sub('-', self.name)}.pem"
        self._device = (await asyncio.to_thread(DeviceIdentity.load, key)).id
        if not self._client.is_open:
            return
        url, token = self._client.dialled
        proof = Credentials(url, token, role="node", key=key)
        session = NodeSession(
            name=self.name, version=__version__, platform=sys.platform, proof=proof, publishes=publishes(hello)
        )
        retry = Retry(self._client.auto_reconnect, self._client.max_reconnect_attempts, self._client.reconnect_delay)
        self._link = self._client.beside = Link(Route.single(self.uri, url, proof), session, retry, self)
        self.state = "connecting"

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dialling = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"the notebook's functions cannot be offered at {self.uri}: {one_line(error)}")

    # -- what the link tells ---------------------------------------------------------------------

    def happened(self, event: Happened) -> None:
        match event:
            case Hello():
                self._up.set()
                self._announce()
            case Invoked():
                self._calls.take(event)
            case Withdrawn(id):
                self._calls.withdraw(id)
            case Paired(device, "approved") if device == self._device:
                self._announce()

    def cut(self, error: OpenClawError) -> None:
        self._up.clear()
        self._calls.cut()
        self.state = f"cut off ({error})"

    def retrying(self, attempt: int) -> None:
        self.state = f"reconnecting, attempt {attempt}"

    def given_up(self, error: OpenClawError) -> None:
        self._up.clear()
        if not self._client.is_open:
            self._calls.end()
            self.state = "not connected"
        elif isinstance(error, AuthError) and error.code in ("PAIRING_REQUIRED", "NOT_PAIRED"):
            request = error.details.get("requestId", "ID")
            self._wait_for_owner(f"has to let this notebook in as a node: openclaw devices approve {request}")
        elif is_retryable(error):
            self.state = f"cut off ({error})"  # until its client is back
            self._look_again()
        else:
            self._say(f"the notebook's functions cannot be offered at {self.uri}: {error}")

    # -- announced -------------------------------------------------------------------------------

    def _announce(self) -> None:
        if self._hello is None or self._link is None:
            return
        if publishes(self._hello):
            definitions = [one.tool.definition for one in self._offers.all]
            self._link.post(PUBLISH, publication(definitions), self._published)
        else:
            self._check()

    def _published(self, reply: Reply) -> None:
        """The gateway says which of them it has taken."""
        if isinstance(reply.error, ConnectionLost):
            return
        if reply.error is not None:
            self._say(f"the gateway at {self.uri} does not take the notebook's functions: {reply.error}")
            return
        tools = reply.payload.get("tools") if isinstance(reply.payload, dict) else None
        taken = {tool.get("name") for tool in tools or () if isinstance(tool, dict)}
        if {one.name for one in self._offers.all} <= taken:
            self._allowed()
        else:
            self._check()

    def _check(self) -> None:
        """Look how the gateway knows this node: by the client, as a node may not ask that itself."""
        task = self._loop.create_task(self._look())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _look(self) -> None:
        try:
            if not self._client.connected:  # it may have given up while its gateway was restarted; here it is again
                await self._client.reconnect()
            known = await self._client.request("node.describe", {"nodeId": self._device})
        except ConnectionLost:
            self._look_again()
            return
        except RequestError as error:
            self._say(f"the gateway at {self.uri} does not say whether it takes the notebook's functions: {error}")
            return
        known = known if isinstance(known, dict) else {}
        commands = known.get("commands") or ()
        if known.get("approvalState") in ("pending-approval", "pending-reapproval"):
            request = known.get("pendingRequestId") or await self._request_id()
            how = f"openclaw nodes approve {one_line(request, 64)}" if request else _FIND
            self._wait_for_owner(f"has to allow this notebook's functions: {how}")
        elif self._hello is None or publishes(self._hello):
            setting = "gateway.nodes.pluginTools.enabled" if TOOL in commands else "gateway.nodes.commands.deny"
            self._wait_for_owner(f"does not allow functions of nodes: its setting {setting}")
        elif CALL in commands:
            self._allowed()
        else:
            how = f"""openclaw config set gateway.nodes.allowCommands '["{CALL}"]'"""
            self._wait_for_owner(f"has to allow the command {CALL}, beside those that stand there: {how}", dial=True)

    async def _request_id(self) -> str:
        """What it is to be approved by, which is told to who may approve; others would have to be let in for that."""
        if not is_loopback(urlsplit(self._client.dialled[0]).hostname or ""):
            return ""
        try:
            async with self._client.elevated(PAIRING) as client:
                known = await client.request("node.describe", {"nodeId": self._device})
        except OpenClawError:
            return ""
        return str(known.get("pendingRequestId") or "") if isinstance(known, dict) else ""

    def _allowed(self) -> None:
        self._cancel_timer()
        there = self._offers.all
        waited, self._told = self._told, ""
        self.state = f"offers {', '.join(one.name for one in there) or 'nothing'}"
        if waited and there:
            self._print(f"allowed: the assistant at {self.uri} can call {', '.join(one.name for one in there)}")

    def _wait_for_owner(self, what: str, *, dial: bool = False) -> None:
        self._say(f"the owner of {self.uri} {what}")
        self._look_again(dial=dial)

    def _look_again(self, *, dial: bool = False) -> None:
        def look() -> None:
            self._timer = None
            if dial and self._link is not None and self._link.up and not len(self._calls):
                self._link.again()  # what it may do is decided when it comes in
            else:
                self.refresh()

        self._cancel_timer()
        self._timer = self._loop.call_later(AGAIN, look)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, sentence: str) -> None:
        """Say it once, under the cell that offered something last."""
        self.state = sentence
        if sentence != self._told:
            self._told = sentence
            self._print(sentence)

    def _print(self, sentence: str) -> None:
        log.info("%s", sentence)
        if there := self._offers.all:
            there[-1].context.copy().run(print, f"[{sentence}]", flush=True)

    # -- calls -----------------------------------------------------------------------------------

    def _run_of(self, key: str) -> Run | None:
        """The run that a call is a part of: the one at work in that session, or that waits for a tool just now."""
        flights = [flight for flight in self._client.flights if flight.accepted and not flight.run.done()]
        for flight in flights:
            if key and flight.key.lower() == key.lower():
                return flight.run
        runs = [flight.run for flight in flights]
        newest = list(filter(_calls_a_node, runs)) or runs
        return newest[-1] if newest else None

    async def _answer(self, call: Invoked, outcome: ToolResult) -> str:
        """Send it, when there is a link; why that was in vain, or ""."""
        try:
            async with asyncio.timeout(LATE):
                await self._up.wait()
        except TimeoutError:
            return "the link was cut, and the assistant was not told"
        link = self._link
        if link is None:
            return "the link was closed, and the assistant was not told"
        answer: asyncio.Future[Reply] = self._loop.create_future()

        def settle(reply: Reply) -> None:
            if not answer.done():
                answer.set_result(reply)

        link.post("node.invoke.result", result(call, outcome.text, failed=outcome.failed), settle)
        reply = await answer
        if reply.error is not None:
            return f"the assistant was not told: {reply.error}"
        ignored = isinstance(reply.payload, dict) and reply.payload.get("ignored") is True
        return "the gateway no longer waited for it, and the assistant was not told" if ignored else ""


def _calls_a_node(run: Run) -> bool:
    """Whether it waits for the tool by which 2026.3.1 has nodes called, which does not say for whom it is."""
    last = run.steps[-1:]
    return bool(last) and last[0].seconds is None and last[0].title.startswith("nodes")


nodes: WeakKeyDictionary[OpenClawClient, Node] = WeakKeyDictionary()
"""The nodes of this kernel, by the client they are beside."""


def attend(client: OpenClawClient, hello: Hello) -> None:
    """A real gateway has let a client in; what is offered here is offered there, now and later."""
    node = nodes.get(client)
    if node is None:
        node = nodes[client] = Node(client, offer)
    node.attend(hello)


def _changed() -> None:
    for node in tuple(nodes.values()):
        node.changed()


offer.subscribe(_changed)
