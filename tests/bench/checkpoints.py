"""Keepers of a growing conversation, to be measured: the snapshot store, and LangGraph's checkpointers in SQLite.

Each keeps one snapshot per message in a file of its own, under the journal mode it comes with (WAL, all of them);
what a setting of ``synchronous`` is worth is tried on all alike.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import BaseMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from openclaw_nb.snapshots import SnapshotStore

__all__ = ["MESSAGE_BYTES", "Appended", "Graph", "Keeper", "Message", "Put", "Saved", "conversation", "versions"]

MESSAGE_BYTES = 495
Message = dict[str, Any]


def conversation(count: int) -> list[Message]:
    """Messages of MESSAGE_BYTES each as JSON, no two the same."""
    randomness = random.Random(4)
    letters = bytes(itertools.islice(itertools.cycle(b"abcdefghijklmnopqrstuvwxyz     "), 256))

    def message(role: str) -> Message:
        room = MESSAGE_BYTES - len(f'{{"role":"{role}","content":""}}')
        return {"role": role, "content": randomness.randbytes(room).translate(letters).decode()}

    return [message(role) for role in itertools.islice(itertools.cycle(("user", "assistant")), count)]


def versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("langgraph", "langgraph-checkpoint-sqlite"))


class Keeper(ABC):
    """Something that keeps each state of one conversation in the file ``path``."""

    name: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def keep(self, messages: list[Message]) -> None:
        """Keep the conversation that has just grown by its last message."""

    @abstractmethod
    def restore(self, length: int) -> list[Message]:
        """The conversation as it was with so many messages."""

    @property
    @abstractmethod
    def connection(self) -> sqlite3.Connection: ...

    @abstractmethod
    def close(self) -> None: ...

    def synchronous(self, mode: str | None = None) -> str:
        """Set it to FULL or NORMAL; what it is."""
        if mode:
            self.connection.execute(f"PRAGMA synchronous = {mode}")
        return {1: "NORMAL", 2: "FULL"}[self.connection.execute("PRAGMA synchronous").fetchone()[0]]

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file at rest, with all of its write-ahead log in it, and of file and log as they lay in use."""
        in_use = self.path.stat().st_size + Path(f"{self.path}-wal").stat().st_size
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self.path.stat().st_size, in_use


class _Ours(Keeper):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.store = SnapshotStore(path)
        self.ids: list[str] = []

    def restore(self, length: int) -> list[Message]:
        messages: list[Message] = self.store.get(self.ids[length - 1]).state["messages"]
        return messages

    @property
    def connection(self) -> sqlite3.Connection:
        connection = self.store._database._connection
        assert connection is not None
        return connection

    def close(self) -> None:
        self.store.close()


class Put(_Ours):
    """The whole state each time, as SqliteSaver.put is given it."""

    name = "openclaw_nb, put(state)"

    def keep(self, messages: list[Message]) -> None:
        self.ids.append(self.store.put({"messages": messages}, session="main").id)


class Appended(_Ours):
    """What is new each time, as the engine does it."""

    name = "openclaw_nb, append(new)"

    def keep(self, messages: list[Message]) -> None:
        self.ids.append(self.store.append("main", messages[-1:]).id)


class Saved(Keeper):
    """SqliteSaver.put alone, without the graph around it."""

    name = "LangGraph, SqliteSaver.put alone"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._context = SqliteSaver.from_conn_string(str(path))
        self.saver = self._context.__enter__()
        self.saver.setup()
        self.configs: list[Any] = [{"configurable": {"thread_id": "main", "checkpoint_ns": ""}}]

    def keep(self, messages: list[Message]) -> None:
        step = len(self.configs)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"said": messages}
        checkpoint["channel_versions"] = {"said": step}
        metadata: Any = {"source": "loop", "step": step, "parents": {}}
        self.configs.append(self.saver.put(self.configs[-1], checkpoint, metadata, {"said": step}))

    def restore(self, length: int) -> list[Message]:
        kept = self.saver.get_tuple(self.configs[length])
        assert kept is not None
        messages: list[Message] = kept.checkpoint["channel_values"]["said"]
        return messages

    @property
    def connection(self) -> sqlite3.Connection:
        return self.saver.conn

    def close(self) -> None:
        self._context.__exit__(None, None, None)


class Graph(Saved):
    """A graph of one node that says a message in each superstep, which is one checkpoint.

    Its list of messages is kept whole, or, with ``every``, in a DeltaChannel (beta): its writes, and whole every so
    many of them. Of what has a ``role`` it makes messages of LangChain's, with ids; ``plain`` hides that they have one.
    """

    def __init__(self, path: Path, every: int | None = None, *, plain: bool = False) -> None:
        super().__init__(path)
        self.name = f"LangGraph, DeltaChannel every {every}" if every else "LangGraph, the whole graph"
        self.name += ", plain data" if plain else ""
        self._plain = plain
        self._left: list[Message] = []
        channel = DeltaChannel(_added, list, snapshot_frequency=every) if every else lambda said, new: said + new
        state = TypedDict("state", {"said": Annotated[list, channel]})  # type: ignore[type-arg]  # noqa: UP013
        graph = StateGraph(state)
        graph.add_node("say", lambda _: {"said": [self._left.pop()]})
        graph.add_edge(START, "say")
        graph.add_conditional_edges("say", lambda _: "say" if self._left else END)
        self._graph = graph.compile(checkpointer=self.saver)

    def keep(self, messages: list[Message]) -> None:
        """All of them in one run, a checkpoint for each."""
        self._left = [{"data": message} for message in reversed(messages)] if self._plain else messages[::-1]
        self._graph.invoke({"said": []}, self.configs[0] | {"recursion_limit": len(messages) + 9})
        ids = self.saver.conn.execute("SELECT checkpoint_id FROM checkpoints ORDER BY checkpoint_id").fetchall()
        places = [{"configurable": self.configs[0]["configurable"] | {"checkpoint_id": id}} for (id,) in ids]
        self.configs = places[-len(messages) - 1 :]  # one of the empty state comes first

    def restore(self, length: int) -> list[Message]:
        said = self._graph.get_state(self.configs[length]).values["said"]
        if self._plain:
            return [message["data"] for message in said]
        return [message if isinstance(message, dict) else _plain(message) for message in said]


def _plain(message: BaseMessage) -> Message:
    return {"role": {"human": "user", "ai": "assistant"}[message.type], "content": str(message.content)}


def _added(said: list[Message], writes: Sequence[list[Message]]) -> list[Message]:
    return [*said, *itertools.chain.from_iterable(writes)]
