"""Runtime, the one owner of the loop thread, where gateway, store, models and clients are put together."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from itertools import count
from typing import Any, ClassVar, TypeVar

from . import models
from .client import OpenClawClient
from .config import AgentURI, known_token
from .engine import AgentSpec, Engine
from .errors import ConfigError
from .gateway import Gateway
from .judge import judge
from .models.base import Closable, Model
from .models.offline import Workspace
from .secret import reveal
from .sessions.memory import Memory
from .sessions.storage import Storage, place
from .snapshots import Snapshot, SnapshotStore
from .spending import Spending

__all__ = ["Runtime", "local_runtime", "new_loop"]

T = TypeVar("T")

LOCAL = "agent://local"

TIDY_AFTER = 1_000
"""Snapshots kept between two looks at how many there are."""


class Runtime:
    """A loop in a thread of its own, and on it the embedded gateway and the clients of this process.

    ``Runtime.shared()`` is started on first use and ended by ``close()``. ``namespace`` holds the notebook's
    names, for models of the user's own; ``workspace`` lets the offline model look at them. Sessions are kept in
    ``store``, which lies where ``storage`` says, or in memory because of ``trouble``, a sentence. ``spending`` is what
    all runs of its clients used.
    """

    _instance: ClassVar[Runtime | None] = None
    _starting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, namespace: Mapping[str, Any] | None = None, workspace: Workspace | None = None) -> None:
        self.namespace = namespace
        self.workspace = workspace
        self.uri = os.environ.get("OPENCLAW_GATEWAY_URL") or LOCAL
        self.model = os.environ.get("OPENCLAW_MODEL") or None
        self.storage = place(namespace)
        self.store, self.trouble = self.storage.open()
        self._making = threading.RLock()
        self._models: dict[tuple[str, tuple[tuple[str, str], ...]], Model] = {}
        self.memory = Memory(self.store, fresh=True)
        self._kept = count(1)
        self._tidy()
        self.store.subscribe(self._tidy_in_time)
        self._engine = Engine(self.memory, self.resolve(self.model or "offline"), self.resolve)
        self._engine.keep_every(self.storage.every)
        self._gateway: Gateway | None = None
        self.spending = Spending()
        self._clients: dict[str, OpenClawClient] = {}
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openclaw runtime", daemon=True)
        self._thread.start()
        self._pid = os.getpid()

    @classmethod
    def shared(cls, namespace: Mapping[str, Any] | None = None, workspace: Workspace | None = None) -> Runtime:
        """The runtime of this process, started if there is none (or if this process was forked off another).

        One that was started without a notebook's names takes them when a notebook comes.
        """
        with cls._starting:
            if cls._instance is None or cls._instance._pid != os.getpid():
                cls._instance = Runtime(namespace, workspace)
                atexit.register(cls._instance.close)
            elif cls._instance.namespace is None and namespace is not None:
                cls._instance._adopt(namespace, workspace)
            return cls._instance

    def _adopt(self, namespace: Mapping[str, Any], workspace: Workspace | None) -> None:
        self.namespace, self.workspace = namespace, workspace
        self._engine.default = self.resolve(self.model or "offline")

    @classmethod
    def running(cls) -> Runtime | None:
        """The runtime of this process if one has been started."""
        return cls._instance

    def call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the runtime's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def resolve(self, model: str | Model | Callable[..., Any]) -> Model:
        """A Model of a name, a Model or an async generator function; ConfigError otherwise.

        A provider or a tape named again is the same object while the keys and addresses in the environment are:
        it holds open connections, or its place on the tape.
        """
        if not isinstance(model, str) or ":" not in model or model.startswith("offline"):
            return models.resolve(model, workspace=self.workspace, namespace=self.namespace)
        env = tuple(item for item in sorted(os.environ.items()) if item[0].endswith(("_API_KEY", "_BASE_URL")))
        with self._making:
            if (model, env) not in self._models:
                self._models[model, env] = models.resolve(model)
            return self._models[model, env]

    async def judge(self, model: str | Model | Callable[..., Any], task: str) -> int | None:
        """The level 1-4 that a model gives a task, outside any conversation; see `judge`. From any loop."""
        resolved = await asyncio.to_thread(self.resolve, model)  # it may have to import a provider
        return await asyncio.wrap_future(self.call(judge(resolved, task)))

    def register(self, spec: AgentSpec) -> str:
        """Serve an agent at the embedded gateway; its id there."""
        return self._engine.register(spec)

    def outlook(self, agent: str, model: str | None, session: str) -> tuple[Model, int, int]:
        """The model that an agent here would ask, and the tokens that a session and it add to a message."""
        return self._engine.outlook(agent, model, session)

    def gateway_address(self) -> tuple[str, str]:
        """(url, token) of the embedded gateway, started if it is not."""
        with self._making:
            if self._gateway is None:
                gateway = Gateway(engine=self._engine)
                self.call(gateway.start()).result()
                self._gateway = gateway
            return self._gateway.url, self._gateway.token

    def client(self, uri: str | None = None, token: str | None = None) -> OpenClawClient:
        """The client for an address (None: the default one), shared by all who ask, connecting meanwhile.

        ``token`` None takes the environment's (`known_token`). ConfigError for a bad address.
        """
        address = AgentURI.parse(uri or self.uri)
        url, secret = address.url, reveal(token)
        if url is None:
            url, secret = self.gateway_address()
        elif secret is None:
            secret = known_token(url)
        with self._making:
            client = self._clients.get(address.text)
            if client is None or token is not None:
                client = self._clients[address.text] = OpenClawClient()
                client.spending = self.spending
                self.call(_open(client, address.text, url, secret)).result()
            return client

    def is_local(self, client: OpenClawClient) -> bool:
        """Whether a client's gateway is the one in this process."""
        return AgentURI.parse(client.uri).url is None

    def close(self) -> None:
        """End every run, client and the gateway, then the loop and its thread."""
        if self._pid != os.getpid() or self._loop.is_closed():
            return
        atexit.unregister(self.close)
        self.call(self._shut()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        self.memory.close()
        self.store.close()
        if Runtime._instance is self:
            Runtime._instance = None

    def keep_in(self, storage: Storage) -> None:
        """Keep snapshots there from now on. In another file, each session begins with a copy of where it stands.

        ConfigError where it cannot be written, and while a run is at work.
        """
        if storage.path != self.storage.path or self.trouble:
            store, trouble = storage.open()
            try:
                if trouble:
                    raise ConfigError(trouble.partition(": ")[2])
                self.call(self._move(store)).result()
            except ConfigError:
                store.close()
                raise
        self.storage = storage
        self._engine.keep_every(storage.every)
        self._tidy()

    async def _move(self, store: SnapshotStore) -> None:
        """On the loop, where no run can begin meanwhile."""
        before = self.memory
        sessions = await before.do(before.sessions)  # after all that is still to be written
        if before.lanes.busy():
            raise ConfigError("snapshots stay where they are while a run is at work; %openclaw wait waits for it")
        memory = Memory(store, fresh=True)
        for name, head in sessions.items():
            memory.point(name, None)  # it has begun, whatever was left of it there
            memory.point(name, store.put(head.state, label=head.label, session=name, parent="").id)
        store.subscribe(self._tidy_in_time)
        self.store, self.memory, self.trouble = store, memory, ""
        self._engine.memory = memory
        before.close()
        before.store.close()

    def _tidy_in_time(self, _: Snapshot) -> None:
        if next(self._kept) % TIDY_AFTER == 0:
            self._tidy()

    def _tidy(self) -> None:
        """Let go of the snapshots that are too old or too many, at the writer's leisure."""
        if not self.store.in_memory:
            self.memory.submit(self.storage.retention.apply, self.store)

    async def _shut(self) -> None:
        for client in self._clients.values():
            await client.close()
        if self._gateway is not None:
            await self._gateway.close()
        for model in self._models.values():
            if isinstance(model, Closable):
                await model.aclose()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


async def _open(client: OpenClawClient, uri: str, url: str, token: str | None) -> None:
    client.open(uri, url, token)


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop there is on this platform: uvloop's, or asyncio's own."""
    try:
        import uvloop
    except ImportError:  # no uvloop on this platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def local_runtime() -> Runtime:
    """What the lower floors reach through `seams.local_runtime`."""
    return Runtime.shared()
