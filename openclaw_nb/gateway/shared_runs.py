"""SharedRuns, the runs of one instance of several: asked for once whoever is asked, told by each, gone on with by one.

Where the Redis is away an instance stands alone: what is at work goes on here, and is written down when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from ..engine import Engine, Turn
from ..errors import RequestError, RunError
from ..metrics import Metrics
from ..models.base import ModelEvent, StepDelta
from ..sharing import Sharing, records
from .runs import GATEWAY_STOPPED, RETAIN_BYTES, STOP_TIMEOUT, ActiveRun, Handler, KeyConflict, Runs
from .shared_run import SharedRun
from .shared_sessions import SharedSessions
from .shared_turns import Turns
from .succession import refusal

__all__ = ["SharedRuns"]

STRANDED = 5.0
"""Seconds that a run which is at work elsewhere is waited for while the Redis is away."""

log = logging.getLogger("openclaw_nb")


class SharedRuns(Runs):
    """All runs that this instance knows; ``engine`` is who goes on with those of others, None where nobody can."""

    def __init__(
        self,
        handler: Handler,
        ended: Callable[[ActiveRun], None] | None,
        metrics: Metrics | None,
        sharing: Sharing,
        engine: Engine,
        *,
        goes_on: bool,
    ) -> None:
        super().__init__(handler, ended, metrics)
        self.sharing = sharing
        self._engine = engine
        self._goes_on = goes_on
        self._sessions = SharedSessions(engine.memory)
        self._names: dict[str, SharedRun] = {}
        self._behind: dict[str, SharedRun] = {}
        self._turns = Turns(sharing, self._sessions)
        self._stranded: asyncio.TimerHandle | None = None

    async def start_sharing(self) -> None:
        """Take part. ConfigError where there is no such Redis."""
        await self.sharing.start(self)

    # -- asked for -------------------------------------------------------------------------------

    async def claim(self, turn: Turn) -> tuple[ActiveRun, bool]:
        """The run of this turn, at whichever instance, and whether it is new. As `Runs.start` otherwise."""
        full, part = records.fingerprints(turn)
        run = self._known(turn.run_id)
        if run is not None:
            await asyncio.shield(run.known)
            if run.full != full and not (turn.retry and run.part == part):
                raise KeyConflict
            if not (turn.retry and run.log.ending is not None and run.log.ending.state != "final"):
                return run, False
            self._forget(run)
        run = self._add(SharedRun(self, turn, full, part))
        session = run.session
        begun = records.write({"text": [0, turn.partial, turn.partial_tokens]}) if turn.partial else ""
        op = (
            "claim", run.name, full, part, records.record_of(turn, run.began), session, self._sessions.seen(session),
            turn.retry, run.queued, begun,
        )  # fmt: skip
        # Whoever asks may leave: the answer of Redis is taken all the same.
        self.sharing.do(op, partial(self._claimed, run))
        new = await asyncio.shield(run.known)
        return run, new

    async def fetch(self, run_id: str) -> ActiveRun | None:
        """The run of this id, at whichever instance."""
        run = self._known(run_id)
        if run is None:
            found = await self.sharing.ask(("find", records.name_of(run_id)))
            run = self._known(run_id)
            if run is None and found and (asked := records.read_turn(found[0])) is not None:
                run = self._add(SharedRun(self, asked[0], found[1], found[2]))
                run.began = asked[1]
                self._found(run, found)
        if run is not None:
            await asyncio.shield(run.known)
        return run

    async def stop_all(self, session: str) -> list[str]:
        """Stop the runs that work one after the other in a session, at whichever instance; their ids."""
        found = await self.sharing.ask(("at_work", records.name_of(session)))
        stopped = []
        for name in found or ():
            run = self._names.get(name)
            if run is None or not run.ours:
                self.sharing.do(("ask", name, "abort", "rpc"))
                stopped.append(run.turn.run_id if run is not None else name)
        return stopped

    async def catch_up(self, session: str) -> None:
        """Take in what was said in a session elsewhere."""
        name = records.name_of(session)
        found = await self.sharing.ask(("session", name, self._sessions.seen(name), ""))
        if found and (work := self._sessions.take_in(session, found[0])) is not None:
            await work

    def begin_anew(self, session: str) -> None:
        """What was said in a session is no part of it any more, anywhere."""
        self.sharing.do(("anew", records.name_of(session)))

    @property
    def load(self) -> int:
        return len(self.at_work())

    def at_work(self) -> list[ActiveRun]:
        return [run for run in self._names.values() if run.ours]

    def of_session(self, agent: str, session: str) -> list[ActiveRun]:
        return [run for run in self.at_work() if (run.turn.agent, run.turn.session) == (agent, session)]

    # -- what becomes of it ----------------------------------------------------------------------

    def _claimed(self, run: SharedRun, result: Any) -> None:
        match result:
            case ["known"]:
                self.sharing.do(("find", run.name), partial(self._found, run))
                return
            case ["conflict"]:
                self._forget(run)
                run.known.set_exception(KeyConflict())
                return
            case ["new", epoch, is_first, heard]:
                run.epoch = epoch
            case _:
                run.epoch, is_first, heard = 1, True, []
                self._behind[run.name] = run
        run.known.set_result(True)
        if run.epoch and (earlier := self._sessions.first(run.turn.session)):
            self.sharing.do(("begin", run.session, earlier))
        self._turns.go_on(run, is_first, heard)

    def _found(self, run: SharedRun, found: Any) -> None:
        """Somebody else has it at work, or had: here is what there is of it so far, and it is followed."""
        if not found:
            if not run.known.done():  # it ended and was forgotten, or Redis is away, between the two
                self._forget(run)
                run.known.set_exception(RequestError("this run is not known any more", code="NOT_FOUND"))
            return
        _, run.full, run.part, entries = found
        for text in entries:
            self._apply(run, records.read(text))
        if not run.known.done():
            run.known.set_result(False)
        if not run.done and not run.ours:
            self._follow(run)
            self.sharing.look()

    def _follow(self, run: SharedRun) -> None:
        """What is told of it before it was read once more waits: something may be missing between."""
        run.reading = True
        self.sharing.follow(run.name)

    def _read_again(self, run: SharedRun) -> None:
        run.reading = True
        self.sharing.do(("find", run.name), partial(self._reread, run))

    def _reread(self, run: SharedRun, found: Any) -> None:
        run.reading = False
        heard, run.heard = run.heard, []
        for entry in [*(records.read(text) for text in (found[3] if found else ())), *heard]:
            if not run.ours and not run.done:
                self._apply(run, entry)

    def _apply(self, run: SharedRun, entry: dict[str, Any]) -> None:
        try:
            run.apply(entry)
        except ValueError:
            if not run.reading:  # something in between did not reach us
                self._read_again(run)

    # -- what a run needs ------------------------------------------------------------------------

    def author(self, run: SharedRun) -> ActiveRun:
        turn = run.turn
        handler = self._strict(run) if self._engine.has_tools(turn.agent) else self._handler
        self._sessions.expect(turn.run_id)
        if self._metrics is not None:
            self._metrics.began()
        return ActiveRun(turn, handler, _nothing, self._metrics)

    def pair(self, run: SharedRun) -> tuple[str, str, str]:
        session, pair = self._sessions.said(run.turn.run_id)
        name = records.name_of(session) if session else ""
        return name, pair, self._sessions.seen(name)

    def written(self, run: SharedRun, at: str) -> None:
        session, _ = self._sessions.said(run.turn.run_id)
        if session:
            self._sessions.saw(records.name_of(session), at)

    def over(self, run: SharedRun) -> None:
        ours = run.epoch > 0 or run.alone
        if run.behind:
            self._behind[run.name] = run
        else:
            self._sessions.forget(run.turn.run_id)
        self.sharing.unfollow(run.name)
        self._turns.leave(run)
        if self._names.get(run.name) is run:
            del self._names[run.name]
        tell, self._when_ended = self._when_ended, self._when_ended if ours else None
        try:
            self._retain(run)
        finally:
            self._when_ended = tell

    def lost(self, run: SharedRun, author: ActiveRun) -> None:
        log.warning("run %s was gone on with elsewhere while this instance was asleep", run.turn.run_id)
        if author.done:
            self._sessions.withdraw(run.turn.session, author.turn.outcome.snapshot)
        self._sessions.forget(run.turn.run_id)
        self._follow(run)

    def _strict(self, run: SharedRun) -> Handler:
        """The handler of a run with tools: no call begins before Redis has it, nor when it is somebody else's."""

        async def handler(turn: Turn) -> AsyncGenerator[ModelEvent, None]:
            async with aclosing(self._handler(turn)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, StepDelta) and event.key.startswith(f"{turn.run_id}-"):
                        await asyncio.sleep(0)  # until it is among what is written
                        if not run.alone and await self.sharing.ask(("check", run.name, run.epoch)) == "taken":
                            raise RunError("another gateway goes on with this run", code="RUN_LOST")

        return handler

    # -- what sharing tells ----------------------------------------------------------------------

    def came_back(self) -> None:
        if self._stranded is not None:
            self._stranded.cancel()
            self._stranded = None
        behind = self._behind | {run.name: run for run in self._names.values() if run.behind}
        self._behind = {}
        for run in behind.values():
            if not run.alone:
                for op, then in run.restore():
                    self.sharing.do(op, then)
        for run in self._names.values():
            if not run.ours:
                self._follow(run)
            elif run.name not in behind and run.epoch:
                self.sharing.do(("check", run.name, run.epoch), partial(self._checked, run))

    def went_away(self) -> None:
        self._turns.stand_alone()
        if self._stranded is None:
            self._stranded = asyncio.get_running_loop().call_later(STRANDED, self._strand)

    def followed(self, name: str, entry: str) -> None:
        run = self._names.get(name)
        if run is None or run.ours or run.done:
            return
        if not entry:
            self._read_again(run)
        elif run.reading:
            run.heard.append(records.read(entry))
        else:
            self._apply(run, records.read(entry))

    def asked(self, what: str, name: str, value: Any) -> None:
        run = self._names.get(name)
        if run is None or not run.ours:
            return
        if what == "turn":
            self._turns.ask(run)
        elif what == "abort":
            run.stop_for(str(value))
        elif what == "level":
            run.change(int(value))

    def take_over(self, run: list[Any]) -> None:
        name, epoch, record, abort, level, left, entries, full, part = run
        asked = records.read_turn(record)
        if asked is None:
            log.error("a run of a dead instance cannot be read, and is left")
            return
        known = self._names.get(name) or self._add(SharedRun(self, asked[0], full, part))
        if not known.known.done():
            known.known.set_result(False)
        known.release()
        self.sharing.unfollow(name)
        known.began = asked[1]
        for text in entries:
            records.apply(records.read(text), known.log)
        known.epoch, known.alone = epoch, False
        known.turn = replace(
            asked[0], partial=str(known.log.text), partial_tokens=known.log.tokens, changed=level or None
        )
        known.due = asyncio.get_running_loop().time() + left / 1000 if left is not False else 0.0
        for watcher in tuple(known.watchers):
            watcher.grown()
        ending = refusal(known, self._engine if self._goes_on else None, abort, None if left is False else left)
        if ending is not None:
            known.end_here(ending)
        else:
            self._turns.ask(known)

    def check(self) -> None:
        for run in self._names.values():
            if run.ours and not run.alone:
                self.sharing.do(("check", run.name, run.epoch), partial(self._checked, run))

    def _checked(self, run: SharedRun, result: Any) -> None:
        if result == "taken" and run.ours:
            run.lose()
        elif result == "gone" and run.ours:
            for op, then in run.restore():
                self.sharing.do(op, then)

    def _strand(self) -> None:
        """Nobody knows how they go on; whoever asks for them anew is served here."""
        self._stranded = None
        for run in tuple(self._names.values()):
            if not run.ours and run.known.done():
                length = run.log.text.length
                run.apply({"end": [GATEWAY_STOPPED.state, GATEWAY_STOPPED.facts, run.log.tokens, 0.0, length]})

    # -- the end ---------------------------------------------------------------------------------

    async def hand_over(self) -> None:
        """Let another instance go on with what is at work here; those who follow it here are told on."""
        self.sharing.leave()
        for run in tuple(self._names.values()):
            if run.ours and not run.alone:
                for op, then in run.take():
                    self.sharing.do(op, then)
                self.sharing.do(("free", run.name, run.epoch))
                run.release()
                self._turns.leave(run)
                self._sessions.forget(run.turn.run_id)
                self._follow(run)
        await self.sharing.ask(("call_all",))

    async def close(self) -> None:
        if self.sharing.is_up and self.sharing.others:
            await self.hand_over()
        self._turns.close()
        if self._stranded is not None:
            self._stranded.cancel()
        tasks = [run.author.task for run in self._names.values() if run.author is not None and run.author.task]
        for run in tuple(self._names.values()):
            if run.ours:
                run.stop(GATEWAY_STOPPED)
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        await self.sharing.close()
        self._names.clear()
        await super().close()

    # -- inside ----------------------------------------------------------------------------------

    def _known(self, run_id: str) -> SharedRun | None:
        run = self.find(run_id)
        return run if isinstance(run, SharedRun) else None

    def _add(self, run: SharedRun) -> SharedRun:
        self._runs[run.turn.run_id] = self._names[run.name] = run
        return run

    def _forget(self, run: SharedRun) -> None:
        """Know it here no more."""
        self._runs.pop(run.turn.run_id, None)
        self._names.pop(run.name, None)
        if self._ended.pop(run.turn.run_id, None) is not None:
            self._size -= run.size

    def _drop_oldest(self) -> None:
        """Where they take too much here, they take too much in Redis, too; else that forgets them by itself."""
        run = next(iter(self._ended.values()))
        if self._size > RETAIN_BYTES and isinstance(run, SharedRun) and run.epoch:
            self.sharing.do(("forget", run.name))
        super()._drop_oldest()


def _nothing(_: ActiveRun) -> None:
    pass
