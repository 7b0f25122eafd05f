"""Runtime, the one owner of the loop thread, where gateway, store, models and clients are put together."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from . import models
from .client import OpenClawClient
from .client.destination import Destination
from .config import AgentURI, ClusterConfig
from .configured import Configured
from .engine import AgentSpec, Engine
from .errors import ConfigError
from .gateway import Gateway
from .judge import judge
from .metrics import Metrics
from .metrics.monitor import Monitor
from .metrics.pools import look_at_pools
from .models.base import Closable, Model
from .models.offline import Workspace
from .secret import reveal
from .sessions.memory import Memory
from .sessions.storage import Storage, name_of, place
from .snapshots import Snapshot, SnapshotStore
from .spending import Spending
from .tools import Place

if TYPE_CHECKING:
    from .answers.deliberation import Works
    from .answers.progress import Answers
    from .pool import ThreadPool

__all__ = ["Runtime", "configured", "local_runtime", "new_loop"]

T = TypeVar("T")

LOCAL = "agent://local"

POOL_TIMEOUT = 300.0
"""Seconds that an agent of the pool of all cells may work; at level 4 a minute is nothing."""

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
        self.configured = Configured()
        self.storage = self.configured.keep(place(namespace))
        self.store, self.trouble = self.storage.open()
        self._making = threading.RLock()
        self._models: dict[tuple[str, tuple[tuple[str, str], ...]], Model] = {}
        self.memory = Memory(self.store, fresh=True)
        self._kept = count(1)
        self._tidy()
        self.store.subscribe(self._tidy_in_time)
        self._engine = Engine(self.memory, self.resolve(self.model or "offline"), self.resolve)
        self._engine.keep_every(self.storage.every)
        self._engine.beside = self._beside
        self._pool: ThreadPool | None = None
        self._gateway: Gateway | None = None
        self.spending = Spending()
        self._clients: dict[str, OpenClawClient] = {}
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openclaw runtime", daemon=True)
        self._thread.start()
        self.monitor = Monitor(self._loop, self.config)
        self._measure()
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

    @property
    def config(self) -> ClusterConfig:
        """What is configured, by OPENCLAW_NB_CONFIG or `configure`, or the defaults."""
        return self.configured.config

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the gateway and the clients are."""
        return self._loop

    @property
    def thread(self) -> int | None:
        """The thread of that loop."""
        return self._thread.ident

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

    def lend_place(self, run_id: str, place: Place) -> Callable[[], None]:
        """Have the tools of a run here be run at ``place``; gives the way to end that."""
        self._engine.places[run_id] = place
        return lambda: self._engine.places.pop(run_id, None) and None

    def lend_answers(self, run_id: str, answers: Callable[..., Answers]) -> Callable[[], None]:
        """Have a run here answered by ``answers``, as by `Answering`; gives the way to end that."""
        self._engine.elsewhere[run_id] = answers
        return lambda: self._engine.elsewhere.pop(run_id, None) and None

    @property
    def pool(self) -> ThreadPool:
        """The pool that all cells share, made when it is first asked for."""
        with self._making:
            if self._pool is None:
                from .pool import ThreadPool

                self._pool = ThreadPool(timeout=POOL_TIMEOUT)
                self.configured.size(self._pool)
            return self._pool

    @property
    def open_pool(self) -> ThreadPool | None:
        """That pool, where it has been asked for."""
        return self._pool

    def _beside(self, run_id: str, works: Works) -> Works:
        from .pool.gate import gated

        return gated(run_id, works, self.pool.slots)

    def outlook(self, agent: str, model: str | None, session: str) -> tuple[Model, int, int]:
        """The model that an agent here would ask, and the tokens that a session and it add to a message."""
        return self._engine.outlook(agent, model, session)

    def gateway_address(self) -> tuple[str, str]:
        """(url, token) of the embedded gateway, started if it is not."""
        with self._making:
            if self._gateway is None:
                gateway = Gateway(engine=self._engine, metrics=self.metrics)
                self.call(gateway.start()).result()
                self._gateway = gateway
            return self._gateway.url, self._gateway.token

    def client(self, uri: str | None = None, token: str | None = None) -> OpenClawClient:
        """The client for an address (None: the default one), shared by all who ask, connecting meanwhile.

        ``token`` None takes the environment's (`known_token`). ConfigError for a bad address.
        """
        address = AgentURI.parse(uri or self.uri)
        with self._making:
            client = self._clients.get(address.text)
            if client is None or token is not None:
                client = self._clients[address.text] = self.dial(address, token)
            return client

    def dialled(self, uri: str | None = None) -> OpenClawClient | None:
        """The client for an address, where somebody has asked for it before."""
        return self._clients.get(AgentURI.parse(uri or self.uri).text)

    def dial(self, address: AgentURI, token: str | None) -> OpenClawClient:
        """A client for an address, connecting meanwhile, that nobody shares until `share`."""
        target = Destination.find(address, reveal(token), self.gateway_address, self.configured.checked)
        client = OpenClawClient()
        self.configured.pace(client)
        if address.cluster:
            self.configured.limit(client, address.cluster)
        client.spending = self.spending
        client.home = f"notebook-{name_of(self.namespace)}".lower()
        self.monitor.watching.client(client)
        self.call(client.go(target)).result()
        return client

    def share(self, client: OpenClawClient) -> None:
        """Have all who ask for its address get this client; the one before goes on with the runs it has."""
        with self._making:
            self._clients[client.uri] = client

    def configure(self, config: ClusterConfig, file: str = "") -> None:
        """Take what a configuration says, for what is there and what comes; see `Configured`.

        A cluster that it changes is dialled anew when it is asked next; its runs go on where they are.
        """
        with self._making:
            self.configured.take(config, file)
            if self._pool is not None:
                self.configured.size(self._pool)
            for client in self._clients.values():
                self.configured.pace(client)
            for uri in self.configured.others(self._clients):
                del self._clients[uri]
        self.monitor.configure(config)
        self.storage = self.configured.keep(self.storage)
        self._engine.keep_every(self.storage.every)

    def close(self) -> None:
        """End every run, client and the gateway, then the loop and its thread."""
        if self._pid != os.getpid() or self._loop.is_closed():
            return
        atexit.unregister(self.close)
        if self._pool is not None:
            self._pool.close()
        self.monitor.stop()
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

    @property
    def metrics(self) -> Metrics:
        """What is measured of all runs here."""
        return self.monitor.metrics

    def _measure(self) -> None:
        """Have metrics look at what is there, and hear of what happens."""
        self.spending.began = self.monitor.watching.run
        look_at_pools(self.metrics)
        clients = self._clients
        self.metrics.read("openclaw_degraded", lambda: sum(bool(one.health.why) for one in tuple(clients.values())))

    def _tidy_in_time(self, _: Snapshot) -> None:
        self.metrics.count("openclaw_snapshots_total")
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
        self.metrics.close()
        for model in self._models.values():
            if isinstance(model, Closable):
                await model.aclose()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop there is on this platform: uvloop's, or asyncio's own."""
    try:
        import uvloop
    except ImportError:  # no uvloop on this platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def configured() -> ClusterConfig:
    """What the lower floors reach through `seams.configured`: it starts nothing. ConfigError where it is unreadable."""
    running = Runtime.running()
    return (running.configured if running else Configured()).checked()


def local_runtime() -> Runtime:
    """What the lower floors reach through `seams.local_runtime`."""
    return Runtime.shared()
