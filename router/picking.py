"""
Which replica takes a request next, and when: in the order of the model's applications, once it is the request's turn.

Waiting is of three kinds. For room, where replicas have as much as they can do: in the queue, `router.lanes`. For a
replica at all, where a model has none. For a moment, before those that failed are asked again.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from cache.pauses import pause_s
from router.call import Call
from router.errors import EngineOverloaded, EngineTimeout, EngineUnavailable, ServingError
from router.fitting.abilities import can_take
from router.lanes.queue import Found, Ticket
from router.lanes.room import beside_prefills
from router.models.table import Model
from router.reliability.resumption import Resumption
from router.replicas.choice import Beginning, Pick, choose_replica, preferred
from router.replicas.prefix_key import prefix_key
from router.replicas.registry import Replica
from router.state import RouterState

_WORTH_NO_WAIT = (EngineOverloaded, EngineTimeout)
"""Failures that a new replica would not mend."""


class Picking:
    """One request's. Its beginning is known to others until it leaves."""

    def __init__(self, state: RouterState, call: Call, model: Model, ticket: Ticket, resumption: Resumption) -> None:
        self._state = state
        self._call = call
        self._model = model
        self._ticket = ticket
        self._resumption = resumption
        self._order: Sequence[str] = model.applications
        """In which its applications are asked."""
        self._num_rounds = 0
        self._has_entered = self._is_waiting = False
        self._beginning: Beginning | None = None
        self.has_lacked_replica = False
        """Whether the request has waited for want of any replica."""

    def leave(self) -> None:
        """The request is over."""
        if self._beginning is not None:
            self._state.beginnings.leave(self._beginning.key)
        self._stop_waiting()

    def turn_from(self, application: str, tried: set[str]) -> bool:
        """
        That application has had its attempts: another one is asked, where one has a replica that can.

        Returns:
            Whether one has, which did not fail just now.
        """
        self._order = sorted(self._model.applications, key=lambda one: one == application)
        pick = self.now(tried, (application,))
        return pick is not None and pick.replica.blocked_until <= self._state.loop.time()

    def at_once(self, tried: set[str]) -> Pick | None:
        """The next replica to try, where one has room and nobody waits for it. Nothing that may wait is asked."""
        pick = self.now(tried)
        return pick if pick is not None and self._state.lanes.admits(self._ticket, pick.replica) else None

    async def next(self, tried: set[str], failure: ServingError | None, num_left: int) -> Pick:
        """
        The next replica to try, waiting for one where none is left.

        Serve replaces a dead replica, so waiting may help; it does not help against one that is overloaded. Meanwhile
        those that failed are tried again after a pause, while more than one of `num_left` attempts would be left: the
        last one is for a replica that is new.

        Args:
            tried: ids of the replicas that failed; emptied when they are to be tried again.
            failure: the last one; raised where nobody else is found.

        Raises:
            ServingError: there is none, or none in time.
        """
        state, model = self._state, self._model
        patience_s = model.deadlines.queue_s if model.wake is None else model.wake.timeout_s
        deadline = state.loop.time() + patience_s
        while True:
            asked_at = state.loop.time()
            pick = await self._in_turn(tried)
            if pick is not None:
                self._stop_waiting()
                return pick
            deadline += state.loop.time() - asked_at  # the queue has a limit of its own
            if isinstance(failure, _WORTH_NO_WAIT):
                raise failure
            wake_at = deadline
            if failure is not None and tried and num_left > 1:
                wake_at = min(deadline, state.loop.time() + self._next_pause_s())
            self._is_waiting = self.has_lacked_replica = True
            state.demand.enter(self, model)
            try:
                async with asyncio.timeout_at(wake_at):
                    await state.directory.changed()
            except TimeoutError:
                if wake_at == deadline:
                    raise failure or _none_ready(model, patience_s) from None
                tried.clear()

    def now(self, tried: set[str], full: Collection[str] = ()) -> Pick | None:
        """
        Of the first application that has one which did not fail just now; else any that is left. None of `full`.

        Fallbacks that cannot do what the request demands are none of it: that the model's own replicas are down would
        be told as if they could not do it either, and clients do not ask again for what is refused.
        """
        now = self._state.loop.time()
        last_resort = None
        for application in self._order:
            if application in full:
                continue
            replicas = self._state.directory.of(application)
            if not replicas:
                self._state.demand.missed(application)
            if self._resumption.is_under_way or application != self._model.applications[0]:
                replicas = tuple(one for one in replicas if self._can_ask(one))
            pick = self._choose(replicas, tried)
            if pick is not None and pick.replica.blocked_until <= now:
                return pick
            last_resort = last_resort or pick
        return last_resort

    async def _in_turn(self, tried: set[str]) -> Pick | None:
        """
        What has room at once, or when this request has its turn. None: no replica is left.

        Raises:
            EngineOverloaded: it may wait nowhere, or not any longer.
        """
        state, full, refusal = self._state, set[str](), None
        pick = self.now(tried)
        while pick is not None and not state.lanes.admits(self._ticket, pick.replica):
            application, found = pick.replica.application, None
            find = partial(self._find, tried, full, application)
            try:
                found = await state.lanes.wait(self._ticket, application, find, is_free=not tried)
            except EngineOverloaded as error:
                full.add(application)
                state.demand.missed(application)
                refusal = error
            if found is not None:
                return found
            pick = self.now(tried, full)
            if refusal is not None and (pick is None or pick.replica.blocked_until > state.loop.time()):
                raise refusal
        return pick

    def _find(self, tried: set[str], full: Collection[str], application: str) -> Found:
        """For whoever waits for room at that application, which may have lost its replicas by now."""
        pick = self.now(tried, full)
        if pick is None or pick.replica.application != application:
            return True, None
        lanes, now = self._state.lanes, self._state.loop.time()
        if not lanes.has_room(self._ticket, pick.replica):
            able = [
                one
                for one in self._state.directory.of(application)
                if one.blocked_until <= now and self._can_ask(one) and one.replica_id not in tried
            ]
            free = [one for one in preferred(able, now) if lanes.has_room(self._ticket, one)]
            pick = self._choose(free, tried)
            if pick is not None and not tried:
                pick = replace(pick, reason="spilled")  # what was chosen of all of them has no room
        return pick is not None, pick

    def _choose(self, replicas: Sequence[Replica], tried: set[str]) -> Pick | None:
        state = self._state
        has_choice = len(replicas) > 1
        if has_choice and self._call.lane.is_completion:
            left = [one for one in replicas if one.replica_id not in tried]
            replicas = beside_prefills(preferred(left, state.loop.time()))
        beginning = self._enter() if has_choice and self._model.replica_choice == "prefix" else None
        return choose_replica(replicas, beginning, tried, state.loop.time(), state.next_turn())

    def _can_ask(self, replica: Replica) -> bool:
        if self._resumption.is_under_way and self._resumption.cannot_ask(replica):
            return False
        is_own = replica.application == self._model.applications[0]
        return is_own or can_take(self._call, self._model, replica)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._state.demand.leave(self)

    def _next_pause_s(self) -> float:
        retries = self._model.reliability.retries
        first_s, max_s = retries.first_pause_ms / 1000, retries.max_pause_ms / 1000
        self._num_rounds += 1
        return pause_s(self._num_rounds - 1, first_s, max_s, random.random())  # noqa: S311 - no secret

    def _enter(self) -> Beginning | None:
        """Made when it is first asked for: with one replica there is nothing to choose."""
        if not self._has_entered:
            self._has_entered = True
            key = prefix_key(self._call)
            self._beginning = None if key is None else Beginning(key, self._state.beginnings.enter(key))
        return self._beginning


def _none_ready(model: Model, waited_s: float) -> EngineUnavailable:
    return EngineUnavailable(
        f"No replica of the model {model.name!r} was ready within {waited_s:g} s.", retry_after_s=5
    )
