"""An engine that takes turns with others on one GPU."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from configs.engine import EngineSettings
from configs.swap import SwapSettings
from deployments.engines.contract import Engine, EngineAddress
from deployments.engines.errors import EngineDied, EngineError, EngineStartError
from deployments.engines.load import EngineLoad
from deployments.engines.model_facts import ModelFacts
from deployments.engines.runtime import EngineRuntime, OnPhase
from deployments.engines.swap.board import Board
from deployments.engines.swap.door import Door
from deployments.engines.swap.sleeping import put_to_sleep, wake
from deployments.engines.swap.turns import Member, State, advance, whom_it_waits_for
from router.replicas.statement import Statement

logger = logging.getLogger("enginehouse.engine")

POLL_S = 0.05
"""How often a member looks at what its group says, in seconds. Measured: 0.8 % of a core."""

SLEEP_TIMEOUT_S = 120.0
"""Longest time for giving a GPU's memory back, in seconds: weights of 100 GB go to the host's memory in ten."""

DRAIN_SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Swap:
    """
    The engine is awake, or asleep, from now on.

    Attributes:
        took_s: how long the change took, in seconds, from the moment when nothing ran any more.
        before_s: how long it was in the other state before, in seconds.
    """

    is_awake: bool
    took_s: float
    before_s: float


OnSwap: TypeAlias = Callable[[Swap], None]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where turns are taken.

    Attributes:
        folder: of the group's members on this node and GPU.
        member_id: the replica's.
        host: where the engine's door listens.
    """

    folder: Path
    member_id: str
    host: str


@dataclass(frozen=True, slots=True)
class Ties:
    """
    Whom an engine that takes turns tells, and asks.

    Attributes:
        on_phase: as that of `EngineRuntime`; told of the wait for a turn. Of the start only, for it may block until
            Ray's head answers, and nobody's turn waits for that.
        on_start: its start has the GPU from now on, until it is awake or has failed.
        on_swap: told of each change between awake and asleep.
        asked_for: returns once somebody waits for the replica that starts. Cancelled when it has its turn.
    """

    on_phase: OnPhase
    on_start: Callable[[], None]
    on_swap: OnSwap
    asked_for: Callable[[], Awaitable[None]]


class SwappedEngine:
    """
    An `EngineRuntime` that sleeps while another of its group has the GPU. Has the same calls; `start` waits for its
    turn, too, and whoever ends it without `stop` leaves nothing behind either.

    Args:
        make_runtime: a new runtime each time, whose engine listens on this machine only: the door is before it.
        settings: of the engine, with `swap`.
        place: where turns are taken.
        ties: to those who want to know of it.
    """

    def __init__(
        self,
        make_runtime: Callable[[OnPhase], EngineRuntime],
        settings: EngineSettings,
        place: Place,
        ties: Ties,
    ) -> None:
        if settings.swap is None:
            raise ValueError("the engine takes no turns: its settings have no swap")
        self._make_runtime = make_runtime
        self._settings = settings
        self._swap: SwapSettings = settings.swap
        self._ties = ties
        self._board = Board(place.folder, place.member_id)
        self._member_id = place.member_id
        self._door = Door(place.host, secrets.token_urlsafe(32), settings.model, settings.swap)
        self._runtime = make_runtime(ties.on_phase)
        self._lock: int | None = None
        self._address: EngineAddress | None = None
        self._state = State.ASLEEP
        self._is_new = True
        self._is_changing = self._is_stopping = False
        self._changed_at = time.monotonic()
        self._failure = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def engine(self) -> Engine:
        return self._runtime.engine

    @property
    def address(self) -> EngineAddress:
        """Where the engine's door listens; there is none before `start`."""
        if self._address is None:
            raise RuntimeError("the engine was not started")
        return self._address

    @property
    def max_model_len(self) -> int | None:
        return self._runtime.max_model_len

    @property
    def version(self) -> str:
        return self._runtime.version

    @property
    def facts(self) -> ModelFacts:
        return self._runtime.facts

    @property
    def statement(self) -> Statement:
        return self._runtime.statement

    @property
    def is_awake(self) -> bool:
        """Whether it has the GPU now, and takes requests or finishes them."""
        return self._state in (State.AWAKE, State.LEAVING)

    @property
    def num_waiting(self) -> int:
        """Requests that wait until it is awake."""
        return self._door.num_waiting

    async def start(self) -> None:
        """
        Returns when it is the engine's turn and it is ready. The wait for the turn has no limit of its own; until
        somebody asks for this replica, or `max_start_wait_s` is over, those go before that are asked.

        Raises:
            EngineStartError: as that of `EngineRuntime`.
        """
        try:
            self._lock = await asyncio.to_thread(self._board.join)
            self._address = await self._door.start()
            self._ties.on_phase(f"waiting for its turn on the GPU of {self._swap.group}")
            await self._wait_for_turn()
            began_at = time.monotonic()
            self._ties.on_start()
            await self._start_runtime()
            self._is_new = False
            self._enter(State.AWAKE, began_at)
            self._door.has_server_asleep = self._runtime.sleep_mode is not None
            self._door.open(self._runtime.address)
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.get_running_loop().create_task(self._take_turns())

    async def check(self) -> None:
        """
        Returns when the engine lives, awake or asleep.

        Raises:
            EngineDied: it does not, or did not sleep or wake when it should have.
        """
        if self._failure:
            raise EngineDied(f"{self._settings.model} cannot take its turn: {self._failure}")
        if not self._can_be_asked:
            return
        try:
            await self._runtime.check()
        except EngineDied:
            if self._can_be_asked:  # else it was ended meanwhile, by us
                raise

    async def load(self) -> EngineLoad:
        """
        The engine's own counts, with those who wait for its turn.

        Raises:
            EngineDied, EngineUnresponsive: as that of `EngineRuntime`.
        """
        if self.is_awake and not self._is_changing:
            load = await self._runtime.load()
            if self._door.num_waiting == 0:
                return load
            return replace(load, num_waiting=load.num_waiting + self._door.num_waiting)
        return EngineLoad(0, self._door.num_waiting, None)

    async def drain(self, timeout_s: float) -> bool:
        """Waits until nobody has come for a second, and all who came have their answers; else as `EngineRuntime`'s."""
        idle_since = time.monotonic()
        deadline = idle_since + timeout_s
        while time.monotonic() < deadline and not self._failure:
            if self._door.num_running or self._door.num_waiting:
                idle_since = time.monotonic()
            elif time.monotonic() - max(idle_since, self._door.last_used_at) >= DRAIN_SETTLE_S:
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def stop(self, grace_s: float = 5.0) -> None:
        """As that of `EngineRuntime`. The GPU is free for the others when it returns."""
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._runtime.stop(grace_s)
        await self._door.close()
        await asyncio.to_thread(self._board.leave)

    @property
    def _can_be_asked(self) -> bool:
        """Whether there is an engine that answers: some sleep by not being there."""
        return not self._is_changing and (self.is_awake or self._runtime.sleep_mode is not None)

    async def _wait_for_turn(self) -> None:
        wanted_since = time.monotonic()
        asked_for = asyncio.ensure_future(self._ties.asked_for())
        try:
            while True:
                is_patient = time.monotonic() < wanted_since + self._swap.max_start_wait_s
                await self._decide(wanted_since, gives_way=is_patient and not asked_for.done())
                if self._is_stopping:  # it has left the group, whatever it was told
                    raise EngineStartError(f"{self._settings.model} was stopped before it had its turn")
                if self._state is State.STARTING:
                    return
                await asyncio.sleep(POLL_S)
        finally:
            asked_for.cancel()
            await asyncio.gather(asked_for, return_exceptions=True)

    async def _take_turns(self) -> None:
        """For ever, or until that cannot go on: then Serve replaces the replica."""
        try:
            while True:
                before = self._state
                await self._decide(self._door.wanted_since)
                if self._state is State.WAKING:
                    await self._wake()
                elif self._state is State.LEAVING:
                    self._door.shut()
                    if self._door.num_running == 0:
                        await self._sleep()
                elif before is State.LEAVING and self._state is State.AWAKE:  # those who wanted its place have left
                    self._door.open(self._runtime.address)
                await asyncio.sleep(POLL_S)
        except EngineError as error:  # the engine does not sleep or wake any more
            self._give_up(error.message)
        except Exception as error:  # whatever it is: else all would wait for ever for turns that nobody takes
            logger.exception("the turns of %s ended", self._settings.model)
            self._give_up(repr(error))

    def _give_up(self, failure: str) -> None:
        self._failure = failure
        self._door.give_up()

    async def _decide(self, wanted_since: float | None, *, gives_way: bool = False) -> None:
        mine = Member(
            self._settings.model,
            self._state,
            self._changed_at + self._swap.min_awake_s,
            self._door.last_used_at,
            self._door.num_running,
            wanted_since,
            self._is_new,
            gives_way,
            self._door.last_used_at + self._swap.min_awake_s,
        )
        now = time.monotonic()

        def choose(members: Mapping[str, Member]) -> Member:
            self._door.waits_for = whom_it_waits_for(self._member_id, members)
            return advance(self._member_id, members, self._swap.max_awake, now)

        self._state = (await asyncio.to_thread(self._board.take_turn, mine, choose)).state

    async def _start_runtime(self) -> None:
        if self._lock is not None:
            self._runtime.inherited = (self._lock,)
        await self._runtime.start()

    async def _sleep(self) -> None:
        began_at = time.monotonic()
        self._is_changing = True
        mode = self._runtime.sleep_mode
        if mode is None:
            await self._runtime.stop()
        else:
            await put_to_sleep(mode, SLEEP_TIMEOUT_S)
        self._enter(State.ASLEEP, began_at)

    async def _wake(self) -> None:
        began_at = time.monotonic()
        self._is_changing = True
        mode = self._runtime.sleep_mode
        if mode is None:
            self._runtime = self._make_runtime(lambda _: None)
            await self._start_runtime()
        else:
            await wake(mode, self._settings.start_timeout_s)
        self._enter(State.AWAKE, began_at)
        self._door.open(self._runtime.address)

    def _enter(self, state: Literal[State.AWAKE, State.ASLEEP], began_at: float) -> None:
        now, before = time.monotonic(), self._changed_at
        self._state, self._changed_at, self._is_changing = state, now, False
        self._ties.on_swap(Swap(state is State.AWAKE, now - began_at, began_at - before))
